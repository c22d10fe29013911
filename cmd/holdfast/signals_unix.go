//go:build !windows

package main

import (
	"os"
	"syscall"
)

// reloadSignals have the configuration loaded again.
var reloadSignals = []os.Signal{syscall.SIGHUP}
