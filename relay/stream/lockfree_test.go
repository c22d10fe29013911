package stream

import (
	"errors"
	"testing"

	"github.com/holdfast-live/holdfast/ingest"
	"github.com/holdfast-live/holdfast/packetbuf/panics"
)

// panickingSession panics when it is asked for its ID for the first time.
type panickingSession struct {
	session
	asked bool
}

func (s *panickingSession) ID() string {
	if !s.asked {
		s.asked = true
		panic("ID")
	}
	return s.session.ID()
}

// A panic under the stream's lock that is recovered leaves the lock free.
func TestPanicLeavesTheLockFree(t *testing.T) {
	for _, c := range []struct {
		name string
		do   func(*Stream)
	}{
		{"publish", func(s *Stream) {
			_, _ = s.Publish(t.Context(), ingest.Request{App: "live", Name: "cam", Protocol: ingest.RTMP, Session: &panickingSession{}})
		}},
		{"limit", func(s *Stream) { s.setCeiling(func(*ceilings) { panic("limit") }) }},
		{"another section", func(s *Stream) { s.locked(func() { panic("section") }) }},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newBench(t, nil).Stream
			var p *panics.Error
			if err := panics.Run(func() error { c.do(s); return nil }); !errors.As(err, &p) {
				t.Fatalf("got %v, want a panic", err)
			}
			if !s.mu.TryLock() {
				t.Fatal("the lock is held")
			}
			s.mu.Unlock()
			s.Close(ingest.Kick, "over")
		})
	}
}
