package stream

import (
	"time"

	"github.com/holdfast-live/holdfast/ingest"
	"github.com/holdfast-live/holdfast/relay/lifecycle"
)

// EventType tells events apart; the values are those of the event API.
type EventType string

// The events of a stream.
const (
	Published   EventType = "publish" // a push was accepted
	Refused     EventType = "refused" // a push was refused
	Broke       EventType = "break"   // a push broke or ended
	Resumed     EventType = "resume"  // the stream goes on after a break
	State       EventType = "state"   // the state changed
	TrackSilent EventType = "track"   // one track of a push is silent while another goes on, or came back
	Ended       EventType = "end"     // the stream is over
	Changed     EventType = "codec"   // the configuration of a track changed

	BackupOn  EventType = "backup_on"  // a backup that was held warm feeds the stream
	BackupOff EventType = "backup_off" // the primary, held warm meanwhile, feeds it again
)

// Event is something that happened to a stream.
type Event struct {
	Time     time.Time
	Type     EventType
	Stream   string
	Session  string // of the publisher concerned
	Backup   bool   // that is a backup
	Standby  bool   // of Broke: it was held warm, and fed nothing
	After    string // of BackupOn and BackupOff: the session that fed before; empty: none
	Protocol string
	Remote   string
	Cause    ingest.Cause
	From, To lifecycle.State
	Outcome  string        // of a push: see ingest.Outcome; of a takeover in Takeover
	Takeover string        // silent, healthy, refused, or empty
	Track    string        // of TrackSilent and Changed
	Outage   time.Duration // of Resumed: break to the first keyframe of what came next
	Detect   time.Duration // of Broke by silence: last packet to verdict
	Detail   string
}

// Observer is told what happens, in order, one event at a time. It must not block for long
// and must not call the stream.
type Observer interface {
	Observe(Event)
}

// outbox keeps events in order on their way out of the stream's lock.
type outbox struct {
	queue  []func()
	sender chan struct{} // of one: held while sending
}

func newOutbox() outbox { return outbox{sender: make(chan struct{}, 1)} }

// flush sends what is queued. s.mu must not be held. Whoever finds another sending leaves
// its events to it: the sender looks once more after it has let go.
func (s *Stream) flush() {
	for {
		if s.queued() == 0 {
			return
		}
		select {
		case s.out.sender <- struct{}{}:
		default:
			return
		}
		s.send()
	}
}

// send sends what is queued, and lets go of the sender that flush took.
func (s *Stream) send() {
	defer func() { <-s.out.sender }()
	for _, send := range s.takeQueue() {
		send()
	}
}

func (s *Stream) queued() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.out.queue)
}

func (s *Stream) takeQueue() (queue []func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	queue, s.out.queue = s.out.queue, nil
	return queue
}

// tell queues an event. s.mu is held.
func (s *Stream) tell(e Event) {
	e.Stream = s.name
	s.out.queue = append(s.out.queue, func() { s.opts.Observer.Observe(e) })
}

// tellOf queues an event about a session. s.mu is held.
func (s *Stream) tellOf(pub *publisherSession, e Event) {
	if pub != nil {
		e.Session, e.Backup, e.Protocol, e.Remote = pub.session.ID(), pub.req.Backup, pub.req.Protocol, pub.req.Remote
	}
	s.tell(e)
}
