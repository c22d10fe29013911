package app

import (
	"sync"
	"time"

	"github.com/holdfast-live/holdfast/cmd/internal/redact"
	"github.com/holdfast-live/holdfast/ingest"
	"github.com/holdfast-live/holdfast/relay/api"
	"github.com/holdfast-live/holdfast/relay/stream"
)

// activeSessions tracks, for each stream, the publisher session that is active or was active last. Events
// without a session are attributed to it.
type activeSessions struct {
	mu       sync.Mutex        // guards sessions
	sessions map[string]string // by stream
}

// attribute returns the event with the active session added, if it has no session. If the event shows
// which session is active, attribute records that.
func (f *activeSessions) attribute(e stream.Event) stream.Event {
	f.mu.Lock()
	defer f.mu.Unlock()
	switch {
	case e.Type == stream.Ended:
		if e.Session == "" {
			e.Session = f.sessions[e.Stream]
		}
		delete(f.sessions, e.Stream)
	case e.Session == "":
		e.Session = f.sessions[e.Stream]
	case e.Type == stream.Resumed || e.Type == stream.State || e.Type == stream.BackupOn || e.Type == stream.BackupOff || e.Type == stream.Published && f.sessions[e.Stream] == "":
		if f.sessions == nil {
			f.sessions = map[string]string{}
		}
		f.sessions[e.Stream] = e.Session
	}
	return e
}

func (f *activeSessions) of(name string) string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.sessions[name]
}

// logRefused returns a function that adds a rejected publisher to the event log of its stream. It is for
// publishers that are rejected before they reach the stream; the stream reports all others itself.
func logRefused(events *api.Events, secrets *redact.Secrets) func(ingest.Request, *ingest.Refusal) {
	return func(r ingest.Request, why *ingest.Refusal) {
		name, err := ingest.StreamName(r.App, r.Name)
		if err != nil || why.Outcome == ingest.RefusedTakeover {
			return
		}
		events.Note(api.Event{
			Time: time.Now(), Type: string(stream.Refused), Stream: secrets.Text(name), Session: r.Session.ID(),
			Fields: map[string]any{
				"outcome": string(why.Outcome), "detail": secrets.Text(why.Error()), "protocol": r.Protocol, "remote": r.Remote,
			},
		})
	}
}
