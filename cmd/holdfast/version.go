package main

import (
	"fmt"
	"runtime"
	"runtime/debug"
)

// release is set by the linker in release builds: -X main.release=v1.2.3.
var release = "dev"

// revision is set by the linker if the build does not record the commit: -X main.revision=….
var revision string

func version() string { return release }

// commit returns the commit that the binary was built from, or "unknown".
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

// versionLine returns a line with the version, the commit, the Go version and the platform.
func versionLine() string {
	return fmt.Sprintf("holdfast %s, commit %s, %s %s/%s", release, commit(), runtime.Version(), runtime.GOOS, runtime.GOARCH)
}
