package app

import (
	"slices"
	"testing"
	"time"

	"github.com/holdfast-live/holdfast/configs"
	"github.com/holdfast-live/holdfast/ingest"
	"github.com/holdfast-live/holdfast/relay/hook"
	"github.com/holdfast-live/holdfast/relay/lifecycle"
	"github.com/holdfast-live/holdfast/relay/stream"
)

// The configuration knows the events that there are.
func TestHookEvents(t *testing.T) {
	known, there := configs.HookEvents(), texts(hook.Types())
	slices.Sort(known)
	slices.Sort(there)
	if !slices.Equal(known, there) {
		t.Errorf("%q may be configured, there are %q", known, there)
	}
}

// named is a session that has a name and nothing else.
type named string

func (n named) ID() string                      { return string(n) }
func (named) Close(ingest.Cause, string)        {}
func (named) RTT() (srtt, rttvar time.Duration) { return 0, 0 }

// Nobody gets round being asked about by the name of a rendition.
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
			t.Errorf("%+v: %v", tt, got)
		}
	}
}

// What names no session is told of the one that feeds the stream, to the stream's end.
func TestFeeding(t *testing.T) {
	var f feeding
	for i, tt := range []struct {
		event stream.Event
		want  string
	}{
		{stream.Event{Type: stream.Changed}, ""},
		{stream.Event{Type: stream.Published, Session: "one"}, "one"},
		{stream.Event{Type: stream.Changed}, "one"},
		{stream.Event{Type: stream.State, Session: "one", To: lifecycle.Live}, "one"},
		{stream.Event{Type: stream.Published, Session: "two"}, "two"},
		{stream.Event{Type: stream.Changed}, "one"},
		{stream.Event{Type: stream.Refused, Session: "three"}, "three"},
		{stream.Event{Type: stream.Resumed, Session: "two"}, "two"},
		{stream.Event{Type: stream.Changed}, "two"},
		{stream.Event{Type: stream.Published, Session: "four"}, "four"},
		{stream.Event{Type: stream.BackupOff, Session: "four"}, "four"},
		{stream.Event{Type: stream.Changed}, "four"},
		{stream.Event{Type: stream.Ended}, "four"},
		{stream.Event{Type: stream.Changed}, ""},
	} {
		tt.event.Stream = "live/cam"
		if got := f.note(tt.event).Session; got != tt.want {
			t.Errorf("event %d: %q, want %q", i, got, tt.want)
		}
	}
	if len(f.sessions) > 0 {
		t.Errorf("%v", f.sessions)
	}
}
