package main

import "os"

// reloadSignals is empty because Windows has no SIGHUP. A change of the file still causes a reload.
var reloadSignals []os.Signal
