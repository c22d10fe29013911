package hook

import (
	"net/http"
	"testing"
	"testing/synctest"
	"time"
)

// A receiver that is busy is not called before its Retry-After.
func TestRetryAfterIsRespected(t *testing.T) {
	date := func(in time.Duration) func() string {
		return func() string { return time.Now().Add(in).UTC().Format(http.TimeFormat) }
	}
	seconds := func(s string) func() string { return func() string { return s } }
	for _, tt := range []struct {
		status      int
		after       func() string
		least, most time.Duration // to the second call
	}{
		{408, seconds(""), 0, 2 * time.Second},
		{429, seconds("0"), 0, 2 * time.Second},
		{429, seconds("90"), 90 * time.Second, 90 * time.Second},
		{503, seconds("90"), 90 * time.Second, 90 * time.Second},
		{500, date(time.Minute), 59 * time.Second, time.Minute},
		{503, date(time.Hour), maxRetryAfter, maxRetryAfter},
		{429, date(-time.Hour), 0, 2 * time.Second},
	} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t, usual())
			w.up()
			w.mu.Lock()
			w.answer = func(rw http.ResponseWriter, _ *http.Request) {
				rw.Header().Set("Retry-After", tt.after())
				rw.WriteHeader(tt.status)
			}
			w.mu.Unlock()
			w.hooks.Tell(Event{Type: Break, Stream: "live/cam"})
			synctest.Wait()
			w.answers(204, "")
			time.Sleep(maxRetryAfter + time.Second)
			calls := w.got()
			if len(calls) != 2 || w.count(Delivered) != 1 || w.count(Failed) != 0 {
				t.Fatalf("%d: got %d calls, %v", tt.status, len(calls), w.counts)
			}
			if wait := calls[1].at.Sub(calls[0].at); wait < tt.least || wait > tt.most {
				t.Errorf("%d %q: sent again after %v, want %v to %v", tt.status, tt.after(), wait, tt.least, tt.most)
			}
			if calls[0].event.ID != calls[1].event.ID {
				t.Errorf("got %s, then %s", calls[0].body, calls[1].body)
			}
		})
	}
}

func TestRetryAfter(t *testing.T) {
	now := time.Date(2026, 1, 31, 20, 14, 0, 0, time.UTC)
	for value, want := range map[string]time.Duration{
		"": 0, "soon": 0, "-1": 0, "+1": 0, "1.5": 0, "0": 0, "7": 7 * time.Second, "007": 7 * time.Second,
		"300": maxRetryAfter, "301": maxRetryAfter, "4294967296": maxRetryAfter, "99999999999999999999999999": maxRetryAfter,
		"Sat, 31 Jan 2026 20:14:05 GMT": 5 * time.Second, "Saturday, 31-Jan-26 20:14:05 GMT": 5 * time.Second,
		"Sat Jan 31 20:14:05 2026": 5 * time.Second, "Sat, 31 Jan 2026 20:13:05 GMT": 0, "Fri, 31 Dec 9999 23:59:59 GMT": maxRetryAfter,
	} {
		if got := retryAfter(value, now); got != want {
			t.Errorf("%q: got %v, want %v", value, got, want)
		}
	}
}

func FuzzRetryAfter(f *testing.F) {
	for _, s := range []string{"7", "18446744073709551616", "Sat, 31 Jan 2026 20:14:05 GMT", "Mon, 01 Jan 0001 00:00:00 GMT", "-5", ""} {
		f.Add(s)
	}
	now := time.Date(2026, 1, 31, 20, 14, 0, 0, time.UTC)
	f.Fuzz(func(t *testing.T, value string) {
		if got := retryAfter(value, now); got < 0 || got > maxRetryAfter {
			t.Errorf("%q: got %v", value, got)
		}
	})
}
