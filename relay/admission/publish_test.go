package admission

import (
	"testing"
	"time"

	"github.com/holdfast-live/holdfast/ingest"
)

// named is a session that has only a name.
type named string

func (n named) ID() string                      { return string(n) }
func (named) Close(ingest.Cause, string)        {}
func (named) RTT() (srtt, rttvar time.Duration) { return 0, 0 }

// The name of a rendition alone does not bypass the hooks.
func TestLayers(t *testing.T) {
	for _, tt := range []struct {
		name, session string
		want          bool
	}{
		{"cam", "s1", false},
		{"cam~low", "s1", false},
		{"cam~low", "s1~low", true},
		{"cam~low", "s1~high", false},
		{"cam", "s1~low", false},
	} {
		if got := isLayer(ingest.Request{Name: tt.name, Session: named(tt.session)}); got != tt.want {
			t.Errorf("%+v: got %v", tt, got)
		}
	}
}
