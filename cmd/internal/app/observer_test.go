package app

import (
	"testing"

	"github.com/holdfast-live/holdfast/ingest"
	"github.com/holdfast-live/holdfast/relay/stream"
)

// Only a publisher that broke is reported as broken.
func TestMessagesOfBreaks(t *testing.T) {
	for _, cause := range ingest.Causes() {
		want := "push broke"
		switch cause {
		case ingest.Unpublish:
			want = "push ended"
		case ingest.Kick, ingest.Shutdown:
			want = "push closed"
		}
		if got := message(stream.Event{Type: stream.Broke, Cause: cause}); got != want {
			t.Errorf("got %q for %s, want %q", got, cause, want)
		}
	}
}
