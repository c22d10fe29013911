package scaling

import (
	"fmt"
	"testing"
)

// recorder is a testing.TB that records whether it failed.
type recorder struct {
	testing.TB
	failed string
}

func (r *recorder) Helper() {}

func (r *recorder) Errorf(format string, args ...any) { r.failed = fmt.Sprintf(format, args...) }

var sink int

func TestLinear(t *testing.T) {
	linear := func(size int) func() {
		return func() {
			for range 200 * size {
				sink++
			}
		}
	}
	quadratic := func(size int) func() {
		return func() {
			for range size {
				for range size {
					sink++
				}
			}
		}
	}
	for name, tt := range map[string]struct {
		prepare func(int) func()
		fails   bool
	}{"linear": {linear, false}, "quadratic": {quadratic, true}} {
		r := &recorder{TB: t}
		Linear(r, 300, tt.prepare)
		if (r.failed != "") != tt.fails {
			t.Errorf("%s: got failure %q, want a failure: %v", name, r.failed, tt.fails)
		}
	}
}
