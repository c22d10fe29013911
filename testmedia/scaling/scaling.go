// Package scaling checks that the work of a parser grows no faster than its input.
package scaling

import (
	"runtime"
	"testing"
	"time"
)

const (
	// factor is the ratio of the long input to the short one.
	factor = 16
	// tolerance is how much more time a byte of the long input may take. Quadratic work takes factor times
	// as much.
	tolerance = 8
	// tries is the number of measurements, of which the shortest counts.
	tries = 5
	// shortest is the minimum time of the work for the short input. Shorter times are too inexact to
	// compare.
	shortest = 100 * time.Microsecond
	// longest is the maximum size of the short input in bytes.
	longest = 1 << 17
)

// Linear fails the test unless work on an input 16 times as long takes at most 128 times as long. prepare
// makes an input of about size bytes and returns the work. It is called for each measurement, and its own
// time does not count. The short input has size bytes, or more if that work is too short to measure.
func Linear(t testing.TB, size int, prepare func(size int) (work func())) {
	t.Helper()
	short := measure(size, prepare, 0)
	for ; short < shortest && size < longest; size *= 2 {
		short = measure(2*size, prepare, 0)
	}
	// One measurement within the limit is enough.
	most := factor * tolerance * short
	if long := measure(factor*size, prepare, most); long > most {
		t.Errorf("got %d bytes in %v and %d bytes in %v, %.0f times as long, want about %d times", size, short, factor*size, long, float64(long)/float64(short), factor)
	}
}

// start is the start of time measurements on systems without processor time.
var start = time.Now()

// measure returns the shortest time of the work on one thread, or the first that is at most enough.
func measure(size int, prepare func(size int) func(), enough time.Duration) time.Duration {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	best := time.Duration(0)
	for range tries {
		work := prepare(size)
		began := elapsed()
		work()
		if took := elapsed() - began; best == 0 || took < best {
			best = took
		}
		if best <= enough {
			break
		}
	}
	return max(best, 1)
}
