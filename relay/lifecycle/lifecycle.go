// Package lifecycle is the life of one stream: idle → live → suspect → held → live or
// ended. Publishers come and go on it; which of them feeds the stream, which is refused,
// and what is a break, is decided here.
//
// It is pure: inputs carry the time, effects come back as values, Next says when to Tick.
package lifecycle

import (
	"time"

	"github.com/holdfast-live/holdfast/ingest"
)

// State of a stream. The values are those of holdfast_stream_state, but for Ended, which
// has no series.
type State uint8

const (
	Idle    State = iota // nothing to play yet
	Live                 // media flows
	Suspect              // media is later than the publisher's rhythm explains
	Held                 // the publisher is away; viewers and buffer are kept
	Ended                // over; nothing happens any more
)

func (s State) String() string {
	return [...]string{"idle", "live", "suspect", "held", "ended"}[s]
}

// Takeover is what a second push may do.
type Takeover uint8

const (
	// Auto: it wins at once if the first has been quiet for a second; from a healthy one it
	// takes over at most once in 30 s, and seldomer the longer two fight.
	Auto Takeover = iota
	// Always: it wins.
	Always
	// Never: it is refused unless the first is broken.
	Never
)

// Config is what an operator may set for a stream's life.
type Config struct {
	Hold          time.Duration // how long after a break
	HoldUnpublish time.Duration // how long after a clean end
	Takeover      Takeover
	// BackupReturn is how long the primary must be healthy before it gets the stream back from
	// a backup; see Machine.ReturnAfter.
	BackupReturn time.Duration
}

// What takeover: auto goes by.
const (
	quietEnough = time.Second
	truce       = 30 * time.Second
	truces      = 6 // doublings of the truce, at most
)

// ID names a publisher session on this stream; 0 is none.
type ID uint32

// Peer is what the machine asks about a session's media.
type Peer interface {
	// Quiet is how long nothing has come, counted from the session's acceptance where nothing
	// has come yet.
	Quiet(id ID, now time.Time) time.Duration
	// Ready tells whether so much of a spare has been kept that the stream can go on with it.
	Ready(id ID, now time.Time) bool
}

// Machine is one stream's life. Its zero value is not usable; see New.
type Machine struct {
	cfg   Config
	peers Peer

	state   State
	current ID // feeds the stream; kept while held after silence, since it may come back
	next    ID // accepted, and waiting for its first random-access point
	lost    ID // the one that waits, while it counts as broken and is kept
	broke   time.Time
	until   time.Time // when a hold ends
	end     time.Time // when it would have ended if nobody had been on the way back
	back    time.Time // when the broken session's media came again
	cause   ingest.Cause

	spare   ID        // held warm; its role is the other than that of current and next
	reserve bool      // current and next are backups, and the spare is a primary
	healthy time.Time // since when the spare has had media without a break; zero: it has none
	asked   time.Time // when next was accepted
	dumb    time.Time // since when the spare counts as broken; zero: it does not
	relapse relapse   // of the primary

	flaps flaps
	duels [2]duel // for the stream, and for being its spare
}

// New returns an idle stream's life.
func New(cfg Config, peers Peer) *Machine { return &Machine{cfg: cfg, peers: peers} }

// SetConfig changes the rules from now on; a hold that runs keeps its end.
func (m *Machine) SetConfig(cfg Config) { m.cfg = cfg }

// State returns the state, and since the last break why the stream broke.
func (m *Machine) State() (State, ingest.Cause) { return m.state, m.cause }

// Current is the session that feeds the stream or may come back to it; 0 if none.
func (m *Machine) Current() ID { return m.current }

// Waiting is the accepted session that has not had its first random-access point; 0 if none.
func (m *Machine) Waiting() ID { return m.next }

// Action is what to do with a packet.
type Action uint8

const (
	Drop   Action = iota // before the session's first random-access point
	Late                 // from before the point at which the session went on after a break
	Pass                 // it continues the stream
	Splice               // it is where the session joins the stream
	Refuse               // the session has no part in the stream any more
	Keep                 // it is the spare's, and has been kept
	Ask                  // the same, and a keyframe would be welcome
)

// Effect is something for the shell to do or to tell.
type Effect struct {
	Kind   EffectKind
	ID     ID            // the session concerned
	Cause  ingest.Cause  // of Broke, Close and Changed
	From   State         // of Changed
	To     State         // of Changed
	Outage time.Duration // of Resumed: since the break
	Spare  bool          // of Broke: the session was held warm, and fed nothing
}

// EffectKind tells effects apart.
type EffectKind uint8

const (
	Changed EffectKind = iota // the state
	Broke                     // a push broke or ended
	Resumed                   // the stream goes on after a break
	Close                     // the session ID is to be closed
	Turned                    // the session ID, the spare so far, feeds the stream from what was kept of it
)

// Media is told of every media packet of session id before it is used, and after it has been
// kept if it is the spare's; key says that a decoder can start at it.
func (m *Machine) Media(now time.Time, id ID, key bool) (Action, []Effect) {
	if id == m.lost {
		m.lost = 0
	}
	switch {
	case id != 0 && id == m.spare && m.state != Ended:
		return m.warm(now, key)
	case id == 0 || m.state == Ended || id != m.current && id != m.next:
		return Refuse, nil
	case id == m.next && !key:
		return Drop, nil
	case id == m.next:
		return Splice, m.join(now)
	case m.state == Suspect:
		return Pass, m.change(Live, "")
	case m.state == Live:
		return Pass, nil
	case !key, m.flapping(now) != nil: // or it has come back on its connection too often
		return m.late(now)
	}
	return Splice, m.resume(now)
}

// patience is how long a session may send media without the keyframe that everybody waits
// for. In an endless GOP there will be none until it dials again.
const patience = 30 * time.Second

// late is media of the broken session from before the point at which it may go on. Where that
// does not come, the session is closed, and the hold leaves it the time to dial again.
func (m *Machine) late(now time.Time) (Action, []Effect) {
	if m.back.IsZero() {
		m.back = now
	}
	if now.Sub(m.back) < patience {
		return Late, nil
	}
	id := m.current
	m.current = 0
	m.extend(now)
	return Refuse, []Effect{{Kind: Close, ID: id, Cause: ingest.Silence}}
}

// extend leaves who is closed for want of a keyframe the time to dial again.
func (m *Machine) extend(now time.Time) {
	if again := now.Add(m.cfg.Hold); again.After(m.until) {
		m.until, m.end = again, again
	}
}

// join makes the waiting session the one that feeds.
func (m *Machine) join(now time.Time) []Effect {
	var out []Effect
	if old := m.current; old != 0 {
		// A healthy session was fed from until now, so that viewers lose nothing.
		if m.state == Live || m.state == Suspect {
			m.broke, m.cause = now, ingest.Takeover
			out = append(out, Effect{Kind: Broke, ID: old, Cause: ingest.Takeover})
		}
		out = append(out, Effect{Kind: Close, ID: old, Cause: ingest.Takeover})
	}
	m.current, m.next = m.next, 0
	return append(out, m.resume(now)...)
}

func (m *Machine) resume(now time.Time) []Effect {
	var out []Effect
	if !m.broke.IsZero() {
		// A packet that was on its way may have arrived before the verdict.
		out = append(out, Effect{Kind: Resumed, ID: m.current, Cause: m.cause, Outage: max(0, now.Sub(m.broke))})
	}
	m.broke, m.until, m.end = time.Time{}, time.Time{}, time.Time{}
	return append(out, m.change(Live, "")...)
}

func (m *Machine) change(to State, cause ingest.Cause) []Effect {
	if m.state == to {
		return nil
	}
	from := m.state
	m.state = to
	return []Effect{{Kind: Changed, ID: m.current, From: from, To: to, Cause: cause}}
}

// Late: media of session id is later than its rhythm explains.
func (m *Machine) Late(id ID) []Effect {
	if id != m.current || m.state != Live {
		return nil
	}
	return m.change(Suspect, "")
}

// Silent: session id counts as broken although its socket is open, because of cause
// (silence, or first_media where nothing ever came). The one that feeds may come back on the
// same socket; one that only waits is closed, unless a held stream has no other.
func (m *Machine) Silent(now time.Time, id ID, cause ingest.Cause) []Effect {
	switch {
	case id == 0:
		return nil
	case id == m.spare:
		return m.spareSilent(now, cause)
	case id == m.next && (cause == ingest.FirstMedia || m.current != 0 || m.state == Idle):
		m.next = 0
		return []Effect{{Kind: Broke, ID: id, Cause: cause}, {Kind: Close, ID: id, Cause: cause}}
	case id == m.next:
		m.lost = id
	case id == m.current && (m.state == Live || m.state == Suspect):
		out := []Effect{{Kind: Broke, ID: id, Cause: cause}}
		return append(out, m.away(now, cause)...)
	}
	return nil
}

// End: session id is over.
func (m *Machine) End(now time.Time, id ID, cause ingest.Cause) []Effect {
	switch {
	case id == 0:
		return nil
	case id == m.spare:
		out := m.dropSpare(cause)
		return out[:len(out)-1] // it is closed
	case id == m.next:
		m.next = 0
		return []Effect{{Kind: Broke, ID: id, Cause: cause}}
	case id != m.current:
		return nil
	}
	m.current = 0
	if m.state != Live && m.state != Suspect {
		// It had broken before; this is only its socket. But one that says goodbye after all
		// does not come back.
		if end := now.Add(m.cfg.HoldUnpublish); cause == ingest.Unpublish && end.Before(m.until) {
			m.cause, m.until, m.end = cause, end, end
		}
		return nil
	}
	out := []Effect{{Kind: Broke, ID: id, Cause: cause}}
	return append(out, m.away(now, cause)...)
}

func (m *Machine) hold(now time.Time, cause ingest.Cause) []Effect {
	m.broke, m.cause = now, cause
	length := m.cfg.Hold
	if cause == ingest.Unpublish {
		length = m.cfg.HoldUnpublish
	}
	m.end, m.back = now.Add(length), time.Time{}
	m.until = m.end
	return m.change(Held, cause)
}

// coming is how long a session may be quiet and still keep a hold from running out: it is
// about to send its first keyframe.
const coming = 5 * time.Second

// returning tells whether somebody is on the way back: a session that was accepted, the spare,
// or the broken one if it has sent media since.
func (m *Machine) returning(now time.Time) bool {
	if id := m.current; id != 0 {
		if quiet := m.peers.Quiet(id, now); quiet < coming && quiet < now.Sub(m.broke) {
			return true
		}
	}
	if m.spare != 0 && m.dumb.IsZero() && m.peers.Quiet(m.spare, now) < coming && now.Sub(m.end) < patience {
		return true
	}
	return m.next != 0 && m.peers.Quiet(m.next, now) < coming && now.Sub(m.end) < patience
}

// Tick lets a hold run out, unless somebody is on the way back, and closes a spare that has
// been silent for long.
func (m *Machine) Tick(now time.Time) []Effect {
	out := m.tickSpare(now)
	if m.state != Held || now.Before(m.until) {
		return out
	}
	if m.returning(now) {
		m.until = now.Add(time.Second)
		return out
	}
	if id := m.next; id != 0 { // it came back, and had no keyframe in time
		m.next = 0
		out = append(out, Effect{Kind: Broke, ID: id, Cause: ingest.Silence}, Effect{Kind: Close, ID: id, Cause: ingest.Silence})
	}
	return append(out, m.Stop(m.cause)...)
}

// Stop ends the stream and every session on it. For one that feeds it, or was about to, that
// is a break.
func (m *Machine) Stop(cause ingest.Cause) []Effect {
	if m.state == Ended {
		return nil
	}
	var out []Effect
	for _, id := range []ID{m.current, m.next} {
		if id == 0 {
			continue
		}
		if id == m.next || m.state != Held {
			out = append(out, Effect{Kind: Broke, ID: id, Cause: cause})
		}
		out = append(out, Effect{Kind: Close, ID: id, Cause: cause})
	}
	if m.spare != 0 {
		out = append(out, m.dropSpare(cause)...)
	}
	m.next = 0
	out = append(out, m.change(Ended, cause)...)
	m.current = 0
	return out
}

// Next is when Tick is due; zero if it is not.
func (m *Machine) Next() time.Time {
	hold, spare := m.HeldUntil(), m.dumbUntil()
	if hold.IsZero() || !spare.IsZero() && spare.Before(hold) {
		return spare
	}
	return hold
}

// HeldUntil is when the hold ends; zero if the stream is not held.
func (m *Machine) HeldUntil() time.Time {
	if m.state != Held {
		return time.Time{}
	}
	return m.until
}
