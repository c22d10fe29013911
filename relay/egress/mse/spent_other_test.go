//go:build !unix

package mse

import "time"

// spent is not known here.
func spent() time.Duration { return 0 }
