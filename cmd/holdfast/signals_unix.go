//go:build !windows

package main

import (
	"os"
	"syscall"
)

// reloadSignals are the signals that reload the configuration.
var reloadSignals = []os.Signal{syscall.SIGHUP}
