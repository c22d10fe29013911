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

func used(now time.Time) *History {
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
		h.Get(epoch.Add(time.Duration(i)*time.Second), "cdn/0") // in use all the time
	}
	if h.Len() != 3 {
		t.Fatalf("%d histories", h.Len())
	}
	*h.Get(epoch.Add(5*time.Second), "cdn/0") = *used(epoch)
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
		t.Errorf("%d histories of the newest 2", again.Len())
	}
	if diff := cmp.Diff(used(epoch).Summary(now), again.Get(now, "cdn/0").Summary(now)); diff != "" {
		t.Error(diff)
	}
	if again.Get(now, "cdn/4").Summary(now).Streak != 1 || again.Get(now, "cdn/3").Summary(now).Streak != 0 {
		t.Error("not the newest were kept")
	}
}

// TestForgiving: one bad number, one bad history, costs no other.
func TestForgiving(t *testing.T) {
	now := epoch
	ms := now.UnixMilli()
	good := fmt.Sprintf(`{"used":%d,"history":{"version":1,"streak":7}}`, ms)
	for name, c := range map[string]struct {
		data string
		want int // histories
	}{
		"another":        {`{"used":5,"history":{}}`, 2},
		"a bad history":  {`{"used":5,"history":[]}`, 2}, // as good as an empty one
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
			t.Errorf("%s: %d histories", name, h.Len())
		}
	}
	long := strings.Repeat("x", maxKey+1)
	if h, err := DecodeHistories([]byte(`{"version":2,"new":true,"routes":{"`+long+`":`+good+`}}`), now, 10); err != nil || h.Len() != 0 {
		t.Errorf("a long key: %v", err)
	}
	for _, bad := range []string{"", "{", "[]", "5", `{"routes":{}}`} {
		if _, err := DecodeHistories([]byte(bad), now, 10); err == nil {
			t.Errorf("%q was taken", bad)
		}
	}
	if _, err := DecodeHistories([]byte("{}"), now, 10); !errors.Is(err, errNoHistories) {
		t.Error(err)
	}
}

// TestSane: what cannot have been measured counts as not known.
func TestSane(t *testing.T) {
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
	*h.Get(epoch, "cdn/a") = *used(epoch)
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
			t.Fatalf("%d histories", h.Len())
		}
		for _, e := range h.routes {
			finite(t, e.history.Summary(epoch))
			finite(t, e.history.Summary(epoch.Add(time.Hour)))
			finite(t, e.history.Summary(time.Time{}))
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
			t.Fatalf("%s\nbecame\n%s", once, twice)
		}
		for _, e := range again.routes { // it goes on
			e.history.Attempt(Attempt{At: epoch, Outcome: DialFailed})
			e.history.Sample(Sample{At: epoch, Span: time.Second, RTT: time.Second, Delivered: 5, Segments: 5, Limited: true})
			e.history.Broke(epoch, "reset", 0)
			finite(t, e.history.Summary(epoch))
		}
	})
}
