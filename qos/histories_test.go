package qos

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// usedHistory returns a history of a route with a failed and a successful dial, a sample and a break.
func usedHistory(now time.Time) *History {
	h := &History{}
	h.Attempt(Attempt{At: now.Add(-2 * time.Minute), Outcome: DialDenied, Phase: PhasePublish, Detail: "no"})
	h.Attempt(Attempt{At: now.Add(-time.Minute), Outcome: DialOK, Phase: PhaseRunning, Took: map[Phase]time.Duration{PhaseTCP: time.Second}})
	h.Sample(Sample{At: now.Add(-time.Second), Span: time.Second, RTT: time.Second, Sent: 5, Delivered: 5, Segments: 9, Resent: 1, Limited: true})
	h.Broke(now, "reset", time.Minute)
	return h
}

func TestHistories(t *testing.T) {
	h := NewHistories(3)
	for i := range 5 {
		h.Get(epoch.Add(time.Duration(i)*time.Second), fmt.Sprintf("cdn/%d", i)).Attempt(Attempt{At: epoch, Outcome: DialOK})
		h.Get(epoch.Add(time.Duration(i)*time.Second), "cdn/0") // used all the time
	}
	if h.Len() != 3 {
		t.Fatalf("got %d histories, want 3", h.Len())
	}
	*h.Get(epoch.Add(5*time.Second), "cdn/0") = *usedHistory(epoch)
	data, err := h.Encode()
	if err != nil {
		t.Fatal(err)
	}
	now := epoch.Add(time.Minute)
	again, err := DecodeHistories(data, now, 2)
	if err != nil {
		t.Fatal(err)
	}
	if again.Len() != 2 {
		t.Errorf("got %d histories, want the newest 2", again.Len())
	}
	if diff := cmp.Diff(usedHistory(epoch).Summary(now), again.Get(now, "cdn/0").Summary(now)); diff != "" {
		t.Error(diff)
	}
	if again.Get(now, "cdn/4").Summary(now).Streak != 1 || again.Get(now, "cdn/3").Summary(now).Streak != 0 {
		t.Error("got other histories than the most recently used")
	}
}

// TestDecodeDropsBadValues checks that a bad number or a bad history does not affect the others.
func TestDecodeDropsBadValues(t *testing.T) {
	now := epoch
	ms := now.UnixMilli()
	good := fmt.Sprintf(`{"used":%d,"history":{"version":1,"streak":7}}`, ms)
	for name, c := range map[string]struct {
		data string
		want int // histories
	}{
		"another":        {`{"used":5,"history":{}}`, 2},
		"a bad history":  {`{"used":5,"history":[]}`, 2}, // counts as empty
		"no history":     {`{"used":5}`, 1},
		"of the future":  {fmt.Sprintf(`{"used":%d,"history":{}}`, ms+1), 1},
		"of no time":     {`{"history":{}}`, 1},
		"a number":       {`5`, 1},
		"a wrong time":   {`{"used":"noon","history":{}}`, 1},
		"endless number": {`{"used":5,"history":{"rate":{"sum":1e999,"weight":5,"at":5}}}`, 2},
	} {
		h, err := DecodeHistories([]byte(`{"version":1,"routes":{"a/b":`+good+`,"c/d":`+c.data+`}}`), now, 10)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if h.Len() != c.want || h.Get(now, "a/b").Summary(now).Streak != 7 {
			t.Errorf("%s: got %d histories, want %d", name, h.Len(), c.want)
		}
	}
	long := strings.Repeat("x", maxKey+1)
	if h, err := DecodeHistories([]byte(`{"version":2,"new":true,"routes":{"`+long+`":`+good+`}}`), now, 10); err != nil || h.Len() != 0 {
		t.Errorf("a long key: got %v and %d histories, want none", err, h.Len())
	}
	for _, bad := range []string{"", "{", "[]", "5", `{"routes":{}}`} {
		if _, err := DecodeHistories([]byte(bad), now, 10); err == nil {
			t.Errorf("%q: got no error", bad)
		}
	}
	if _, err := DecodeHistories([]byte("{}"), now, 10); !errors.Is(err, errNoHistories) {
		t.Errorf("no version: got %v, want %v", err, errNoHistories)
	}
}

// TestDecodeDropsImplausibleValues checks that values that cannot have been measured count as unknown.
func TestDecodeDropsImplausibleValues(t *testing.T) {
	ms := epoch.UnixMilli()
	for _, data := range []string{
		fmt.Sprintf(`{"rate":{"sum":-5,"weight":5,"at":%d}}`, ms),
		fmt.Sprintf(`{"rate":{"sum":5,"weight":-5,"at":%d}}`, ms),
		fmt.Sprintf(`{"rate":{"sum":5,"weight":5,"at":%d}}`, ms+1),
		fmt.Sprintf(`{"rate":{"sum":1e300,"weight":5,"at":%d}}`, ms),
		`{"rate":{"sum":5,"weight":5,"at":-7}}`,
		`{"rate":"fast"}`,
		fmt.Sprintf(`{"limited_at":%d,"capacity":{"sum":5,"weight":5,"at":5}}`, ms+1),
		fmt.Sprintf(`{"last_success":%d}`, ms+1),
		fmt.Sprintf(`{"attempts":[{"at":%d,"outcome":"ok"},{"at":5,"outcome":"maybe"},{"at":5,"outcome":"ok","phase":"lunch"}]}`, ms+1),
		fmt.Sprintf(`{"breaks":[{"at":%d,"cause":"reset"},{"at":5,"lasted_ms":-1}]}`, ms+1),
		fmt.Sprintf(`{"minutes":[{"n":%d,"attempts":1},{"n":%d,"attempts":-1},{"n":%d,"attempts":1}]}`, ms/60000+1, ms/60000, ms/60000-60),
		`{"phases":{"lunch":{"sum":1,"weight":1,"at":5}}}`,
		`{"minutes":5,"attempts":{},"breaks":"none","phases":[]}`,
		`null`,
	} {
		h, err := DecodeHistory([]byte(data), epoch)
		if err != nil {
			t.Errorf("%s: %v", data, err)
			continue
		}
		if diff := cmp.Diff(Summary{}, h.Summary(epoch)); diff != "" {
			t.Errorf("%s: %s", data, diff)
		}
	}
}

func FuzzDecodeHistories(f *testing.F) {
	h := NewHistories(4)
	*h.Get(epoch, "cdn/a") = *usedHistory(epoch)
	h.Get(epoch, "cdn/b")
	data, err := h.Encode()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(data)
	f.Add([]byte(`{"version":1,"routes":{"a/b":{"used":5,"history":{"minutes":[{"n":5},{"n":3},{"n":5}]}}}}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		h, err := DecodeHistories(data, epoch, 4)
		if err != nil {
			return
		}
		if h.Len() > 4 {
			t.Fatalf("got %d histories, want at most 4", h.Len())
		}
		for _, e := range h.routes {
			checkFinite(t, e.history.Summary(epoch))
			checkFinite(t, e.history.Summary(epoch.Add(time.Hour)))
			checkFinite(t, e.history.Summary(time.Time{}))
		}
		once, err := h.Encode()
		if err != nil {
			t.Fatal(err)
		}
		again, err := DecodeHistories(once, epoch, 4)
		if err != nil {
			t.Fatal(err)
		}
		twice, err := again.Encode()
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(once, twice) {
			t.Fatalf("encoded again: got %s\nwant %s", twice, once)
		}
		for _, e := range again.routes { // the decoded histories are usable
			e.history.Attempt(Attempt{At: epoch, Outcome: DialFailed})
			e.history.Sample(Sample{At: epoch, Span: time.Second, RTT: time.Second, Delivered: 5, Segments: 5, Limited: true})
			e.history.Broke(epoch, "reset", 0)
			checkFinite(t, e.history.Summary(epoch))
		}
	})
}
