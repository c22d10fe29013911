package stream

import (
	"time"

	"github.com/holdfast-live/holdfast/ingest"
	"github.com/holdfast-live/holdfast/relay/lifecycle"
)

// EventType is the type of an event; the values are those of the event API.
type EventType string

// The events of a stream.
const (
	Published   EventType = "publish" // a push was accepted
	Refused     EventType = "refused" // a push was refused
	Broke       EventType = "break"   // a push broke or ended
	Resumed     EventType = "resume"  // the stream continues after a break
	State       EventType = "state"   // the state changed
	TrackSilent EventType = "track"   // one track of a push fell silent while another continues, or it came back
	Ended       EventType = "end"     // the stream ended
	Changed     EventType = "codec"   // the configuration of a track changed

	BackupOn  EventType = "backup_on"  // the backup, until then on standby, feeds the stream
	BackupOff EventType = "backup_off" // the primary, meanwhile on standby, feeds the stream again
)

// Event is something that happened to a stream.
type Event struct {
	Time     time.Time
	Type     EventType
	Stream   string
	Session  string // of the publisher concerned
	Backup   bool   // the publisher concerned is a backup
	Standby  bool   // of Broke: the push was on standby and did not feed the stream
	After    string // of BackupOn and BackupOff: the session that fed the stream before; empty: none
	Protocol string
	Remote   string
	Cause    ingest.Cause
	From, To lifecycle.State
	Outcome  string        // of a push, see ingest.Outcome; of TrackSilent: silent or back
	Takeover string        // silent, healthy, refused, or empty
	Track    string        // of TrackSilent and Changed
	Outage   time.Duration // of Resumed: from the break to the first keyframe after it
	Detect   time.Duration // of Broke by silence: from the last packet to its detection
	Detail   string
}

// Observer receives a stream's events in order, one at a time. It must not block for long and must
// not call the stream.
type Observer interface {
	Observe(Event)
}

// tell queues an event. s.mu is held.
func (s *Stream) tell(e Event) {
	e.Stream = s.name
	s.out.add(func() { s.opts.Observer.Observe(e) })
}

// tellOf queues an event about a session. s.mu is held.
func (s *Stream) tellOf(pub *publisherSession, e Event) {
	if pub != nil {
		e.Session, e.Backup, e.Protocol, e.Remote = pub.session.ID(), pub.req.Backup, pub.req.Protocol, pub.req.Remote
	}
	s.tell(e)
}
