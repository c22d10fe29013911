package hub

import (
	"slices"
	"testing"

	"github.com/holdfast-live/holdfast/ingest"
	"github.com/holdfast-live/holdfast/relay/lifecycle"
	"github.com/holdfast-live/holdfast/relay/stream"
)

// The names are those of the streams that are live or held, except for streams that ended with
// an unpublish, and do not change after Freeze.
func TestLiveNames(t *testing.T) {
	l := NewLiveNames()
	to := func(name string, state lifecycle.State, cause ingest.Cause) {
		l.Observe(stream.Event{Type: stream.State, Stream: name, To: state, Cause: cause})
	}
	to("live/a", lifecycle.Live, "")
	to("live/b", lifecycle.Live, "")
	to("live/b", lifecycle.Suspect, ingest.Silence)
	to("live/b", lifecycle.Held, ingest.Silence)
	to("live/c", lifecycle.Live, "")
	to("live/c", lifecycle.Held, ingest.Unpublish)
	to("live/d", lifecycle.Live, "")
	l.Observe(stream.Event{Type: stream.Published, Stream: "live/e"})
	l.Observe(stream.Event{Type: stream.Ended, Stream: "live/d"})
	want := []string{"live/a", "live/b"}
	if got := l.List(); !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	if len(l.Changed()) != 1 {
		t.Error("Changed has no value, want one")
	}
	l.Freeze()
	l.Observe(stream.Event{Type: stream.Ended, Stream: "live/a"})
	if got := l.List(); !slices.Equal(got, want) {
		t.Errorf("frozen: got %v, want %v", got, want)
	}
}
