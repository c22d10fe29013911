package app

import "syscall"

// errInUse is WSAEADDRINUSE, which package syscall does not define.
const errInUse = syscall.Errno(10048)
