package egress

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"
	"time"
)

// A viewer that skips every second is logged once a minute, and every skip is counted.
func TestSkipsAreLoggedOnceAMinute(t *testing.T) {
	var b bytes.Buffer
	l := NewSkipLog(func() *slog.Logger { return slog.New(slog.NewTextHandler(&b, nil)) })
	now := time.Unix(0, 0)
	for total := range uint64(180) {
		l.Total(now, total+1)
		now = now.Add(time.Second)
	}
	got := b.String()
	if n := strings.Count(got, "viewer skipped"); n != 3 {
		t.Errorf("got %d lines in 3 minutes, want 3:\n%s", n, got)
	}
	for _, want := range []string{"skips=1 ", "skips=60 "} {
		if !strings.Contains(got, want) {
			t.Errorf("got %s, want %q in it", got, want)
		}
	}
	var none SkipLog
	none.Add(now, 5)
}
