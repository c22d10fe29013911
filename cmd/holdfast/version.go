package main

import (
	"fmt"
	"runtime"
	"runtime/debug"
)

// release is set by the linker in released builds: -X main.release=v1.2.3.
var release = "dev"

func version() string { return release }

// commit is what the binary was built from, where Go could tell.
func commit() string {
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, s := range info.Settings {
			if s.Key == "vcs.revision" {
				return s.Value
			}
		}
	}
	return "unknown"
}

// versionLine is version, commit and Go version.
func versionLine() string {
	return fmt.Sprintf("holdfast %s, commit %s, %s %s/%s", release, commit(), runtime.Version(), runtime.GOOS, runtime.GOARCH)
}
