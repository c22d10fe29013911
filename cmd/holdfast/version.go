package main

import (
	"fmt"
	"runtime"
	"runtime/debug"
)

// release is set by the linker in released builds: -X main.release=v1.2.3.
var release = "dev"

// revision is set by the linker where Go does not know it: -X main.revision=….
var revision string

func version() string { return release }

// commit is what the binary was built from, where the linker or Go could tell.
func commit() string {
	if revision != "" {
		return revision
	}
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
