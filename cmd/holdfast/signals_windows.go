package main

import "os"

// reloadSignals is empty: Windows has no SIGHUP. A change of the file reloads it there, too.
var reloadSignals []os.Signal
