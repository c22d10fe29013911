// Package lifecycle is the state machine of one stream: idle → live → suspect → held → live or
// ended. It decides which publisher session feeds the stream, which sessions are rejected, and when
// a stream is broken.
//
// The package is pure. Inputs carry the time, effects are returned as values, and Next returns when
// to call Tick.
package lifecycle

import (
	"time"

	"github.com/holdfast-live/holdfast/ingest"
)

// State is the state of a stream. The values are those of the metric holdfast_stream_state,
// except for Ended, which has no series.
type State uint8

const (
	Idle    State = iota // no media yet
	Live                 // media arrives
	Suspect              // media is later than the publisher's usual packet interval explains
	Held                 // the publisher is away; viewers and buffer are kept
	Ended                // final
)

func (s State) String() string {
	return [...]string{"idle", "live", "suspect", "held", "ended"}[s]
}

// Takeover is the policy for a second publisher.
type Takeover uint8

const (
	// Auto admits the second publisher at once if the first has been silent for a second. A healthy
	// first publisher can be replaced at most once in 30 s, and less often the longer the two compete.
	Auto Takeover = iota
	// Always admits the second publisher.
	Always
	// Never rejects the second publisher unless the first is broken.
	Never
)

// Config is the configuration of a stream's lifecycle.
type Config struct {
	Hold          time.Duration // duration of a hold after a break
	HoldUnpublish time.Duration // duration of a hold after an unpublish
	Takeover      Takeover
	// BackupReturn is how long the primary must be healthy before it feeds the stream again in place of
	// a backup; see Machine.ReturnAfter.
	BackupReturn time.Duration
}

// Parameters of takeover Auto.
const (
	maxQuiet     = time.Second
	cooldown     = 30 * time.Second
	maxDoublings = 6 // maximum number of doublings of the cooldown
)

// ID identifies a publisher session of the stream; 0 means none.
type ID uint32

// Peer reports the state of a session's media.
type Peer interface {
	// Quiet returns the time since the last media of a session, or since its acceptance if no media has
	// arrived.
	Quiet(id ID, now time.Time) time.Duration
	// Ready reports whether enough media of a standby session is buffered to continue the stream with
	// it.
	Ready(id ID, now time.Time) bool
}

// Machine is the state machine of one stream. The zero value is not usable; see New.
type Machine struct {
	cfg   Config
	peers Peer

	state     State
	current   ID // feeds the stream; kept during a hold after silence, since it may return
	next      ID // accepted and waiting for its first random-access point
	lost      ID // equal to next while that session counts as broken
	brokeAt   time.Time
	holdUntil time.Time // end of the hold
	holdEnd   time.Time // end of the hold without extensions for a returning publisher
	mediaBack time.Time // when media of the broken session arrived again
	cause     ingest.Cause

	standby     ID        // standby session; it is a backup if current and next are primaries, and vice versa
	onBackup    bool      // current and next are backups, and the standby is a primary
	healthy     time.Time // since when the standby has sent media without a break; zero: it does not
	accepted    time.Time // when next was accepted
	silentSince time.Time // since when the standby counts as broken; zero: it does not
	relapse     relapse   // how stable the primary has been since its last return

	flaps     flaps
	takeovers [2]takeoverHistory // of the stream, and of its standby
}

// New returns the machine of an idle stream.
func New(cfg Config, peers Peer) *Machine { return &Machine{cfg: cfg, peers: peers} }

// SetConfig changes the configuration. It does not change the end of a current hold.
func (m *Machine) SetConfig(cfg Config) { m.cfg = cfg }

// State returns the state and the cause of the last break.
func (m *Machine) State() (State, ingest.Cause) { return m.state, m.cause }

// Current returns the session that feeds the stream or may return to it, or 0.
func (m *Machine) Current() ID { return m.current }

// Waiting returns the accepted session that has not sent a random-access point yet, or 0.
func (m *Machine) Waiting() ID { return m.next }

// Action says what the caller should do with a packet.
type Action uint8

const (
	Drop   Action = iota // drop it: it precedes the session's first random-access point
	Late                 // drop it: it precedes the point at which the session continues after a break
	Pass                 // deliver it: it continues the stream
	Splice               // splice it: the session joins the stream at this packet
	Refuse               // refuse it: the session no longer belongs to the stream
	Keep                 // do nothing: it belongs to the standby and has been buffered
	Ask                  // like Keep, and request a keyframe
)

// Effect is an effect that the caller has to carry out or report.
type Effect struct {
	Kind   EffectKind
	ID     ID            // the session concerned
	Cause  ingest.Cause  // for Broke, Close and Changed
	From   State         // for Changed
	To     State         // for Changed
	Outage time.Duration // for Resumed: time since the break
	Spare  bool          // for Broke: the session was the standby and did not feed the stream
}

// EffectKind is the kind of an Effect.
type EffectKind uint8

const (
	Changed EffectKind = iota // the state has changed
	Broke                     // a publisher broke or ended
	Resumed                   // the stream continues after a break
	Close                     // the caller must close session ID
	Turned                    // session ID, the standby, now feeds the stream from its buffered media
)

// Media handles a media packet of session id. It must be called before the packet is used, or, for a
// packet of the standby, after it has been buffered. key reports whether a decoder can start at the
// packet.
func (m *Machine) Media(now time.Time, id ID, key bool) (Action, []Effect) {
	if id == m.lost {
		m.lost = 0
	}
	switch {
	case id != 0 && id == m.standby && m.state != Ended:
		return m.standbyMedia(now, key)
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
	case !key, m.flapping(now) != nil: // or it has returned on its connection too often
		return m.late(now)
	}
	return Splice, m.resume(now)
}

// patience is how long a session may send media without the keyframe that is required to
// continue. An endless GOP has none until the publisher reconnects.
const patience = 30 * time.Second

// late handles media of the broken session before the point at which it may continue. If that point
// is not reached in time, late closes the session and extends the hold, so that the publisher can
// reconnect.
func (m *Machine) late(now time.Time) (Action, []Effect) {
	if m.mediaBack.IsZero() {
		m.mediaBack = now
	}
	if now.Sub(m.mediaBack) < patience {
		return Late, nil
	}
	id := m.current
	m.current = 0
	m.extend(now)
	return Refuse, []Effect{{Kind: Close, ID: id, Cause: ingest.Silence}}
}

// extend extends the hold for a publisher that was closed for lack of a keyframe, so that it can
// reconnect.
func (m *Machine) extend(now time.Time) {
	if again := now.Add(m.cfg.Hold); again.After(m.holdUntil) {
		m.holdUntil, m.holdEnd = again, again
	}
}

// join makes the waiting session the current one.
func (m *Machine) join(now time.Time) []Effect {
	var out []Effect
	if old := m.current; old != 0 {
		// The old session was healthy and fed the stream until now, so that viewers lost
		// nothing.
		if m.state == Live || m.state == Suspect {
			m.brokeAt, m.cause = now, ingest.Takeover
			out = append(out, Effect{Kind: Broke, ID: old, Cause: ingest.Takeover})
		}
		out = append(out, Effect{Kind: Close, ID: old, Cause: ingest.Takeover})
	}
	m.current, m.next = m.next, 0
	return append(out, m.resume(now)...)
}

func (m *Machine) resume(now time.Time) []Effect {
	var out []Effect
	if !m.brokeAt.IsZero() {
		// The packet may have arrived before the break was detected.
		out = append(out, Effect{Kind: Resumed, ID: m.current, Cause: m.cause, Outage: max(0, now.Sub(m.brokeAt))})
	}
	m.brokeAt, m.holdUntil, m.holdEnd = time.Time{}, time.Time{}, time.Time{}
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

// Late handles the observation that media of session id is later than its usual packet interval
// explains. A live stream becomes suspect.
func (m *Machine) Late(id ID) []Effect {
	if id != m.current || m.state != Live {
		return nil
	}
	return m.change(Suspect, "")
}

// Silent handles session id falling silent: it counts as broken although its socket is open. cause
// is silence, or first_media if no media ever arrived. The current session may return on the same
// socket. A waiting session is closed, except if the stream is held and has no other session.
func (m *Machine) Silent(now time.Time, id ID, cause ingest.Cause) []Effect {
	switch {
	case id == 0:
		return nil
	case id == m.standby:
		return m.standbySilent(now, cause)
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

// End handles the end of session id.
func (m *Machine) End(now time.Time, id ID, cause ingest.Cause) []Effect {
	switch {
	case id == 0:
		return nil
	case id == m.standby:
		out := m.dropStandby(cause)
		return out[:len(out)-1] // without Close: the session is closed already
	case id == m.next:
		m.next = 0
		return []Effect{{Kind: Broke, ID: id, Cause: cause}}
	case id != m.current:
		return nil
	}
	m.current = 0
	if m.state != Live && m.state != Suspect {
		// It broke before, and now its connection has ended. If it ended with an unpublish, the
		// publisher is not expected back.
		if end := now.Add(m.cfg.HoldUnpublish); cause == ingest.Unpublish && end.Before(m.holdUntil) {
			m.cause, m.holdUntil, m.holdEnd = cause, end, end
		}
		return nil
	}
	out := []Effect{{Kind: Broke, ID: id, Cause: cause}}
	return append(out, m.away(now, cause)...)
}

func (m *Machine) hold(now time.Time, cause ingest.Cause) []Effect {
	m.brokeAt, m.cause = now, cause
	length := m.cfg.Hold
	if cause == ingest.Unpublish {
		length = m.cfg.HoldUnpublish
	}
	m.holdEnd, m.mediaBack = now.Add(length), time.Time{}
	m.holdUntil = m.holdEnd
	return m.change(Held, cause)
}

// returnWindow is how long a session may be silent and still extend a hold, because its first
// keyframe may follow.
const returnWindow = 5 * time.Second

// returning reports whether a publisher is returning: an accepted session, the standby, or the
// broken session if it has sent media since the break.
func (m *Machine) returning(now time.Time) bool {
	if id := m.current; id != 0 {
		if quiet := m.peers.Quiet(id, now); quiet < returnWindow && quiet < now.Sub(m.brokeAt) {
			return true
		}
	}
	if m.standby != 0 && m.silentSince.IsZero() && m.peers.Quiet(m.standby, now) < returnWindow && now.Sub(m.holdEnd) < patience {
		return true
	}
	return m.next != 0 && m.peers.Quiet(m.next, now) < returnWindow && now.Sub(m.holdEnd) < patience
}

// Tick ends a hold that has expired, unless a publisher is returning. It also closes a standby that
// has been silent for too long.
func (m *Machine) Tick(now time.Time) []Effect {
	out := m.tickStandby(now)
	if m.state != Held || now.Before(m.holdUntil) {
		return out
	}
	if m.returning(now) {
		m.holdUntil = now.Add(time.Second)
		return out
	}
	if id := m.next; id != 0 { // it returned, but sent no keyframe in time
		m.next = 0
		out = append(out, Effect{Kind: Broke, ID: id, Cause: ingest.Silence}, Effect{Kind: Close, ID: id, Cause: ingest.Silence})
	}
	return append(out, m.Stop(m.cause)...)
}

// Stop ends the stream and all of its sessions. It reports a break of the session that feeds the
// stream and of the session that waits to.
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
	if m.standby != 0 {
		out = append(out, m.dropStandby(cause)...)
	}
	m.next = 0
	out = append(out, m.change(Ended, cause)...)
	m.current = 0
	return out
}

// Next returns when to call Tick, or the zero Time if that is not necessary.
func (m *Machine) Next() time.Time {
	hold, spare := m.HeldUntil(), m.silentUntil()
	if hold.IsZero() || !spare.IsZero() && spare.Before(hold) {
		return spare
	}
	return hold
}

// HeldUntil returns when the hold ends, or the zero Time if the stream is not held.
func (m *Machine) HeldUntil() time.Time {
	if m.state != Held {
		return time.Time{}
	}
	return m.holdUntil
}
