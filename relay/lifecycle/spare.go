package lifecycle

import (
	"time"

	"github.com/holdfast-live/holdfast/ingest"
)

// headStart is how long a stream that has not begun waits for the first keyframe of its primary,
// if that is there, before it begins with the backup's.
const headStart = 2 * time.Second

// Spare is the session that is held warm, to take over when the one that feeds breaks; 0 if
// none. It is a backup while a primary feeds, and the primary while a backup does.
func (m *Machine) Spare() ID { return m.spare }

// OnBackup tells whether a backup feeds the stream, or is the one that is waited for.
func (m *Machine) OnBackup() bool { return m.reserve }

// warm is media of the spare, which the shell has kept.
func (m *Machine) warm(now time.Time, key bool) (Action, []Effect) {
	if m.healthy.IsZero() {
		m.healthy, m.dumb = now, time.Time{}
	}
	feeding := m.state == Live || m.state == Suspect
	switch {
	case !m.peers.Ready(m.spare, now) && m.state == Held && now.Sub(m.broke) >= patience && now.Sub(m.healthy) >= patience:
		// It is in an endless GOP, and will have a keyframe when it dials again.
		m.extend(now)
		return Refuse, m.dropSpare(ingest.Silence)
	case !m.peers.Ready(m.spare, now):
		return Ask, nil
	case m.state == Idle && m.next != 0 && now.Sub(m.asked) < headStart:
		return Keep, nil
	case !feeding:
		return Keep, m.turn(now, false)
	case !m.reserve || now.Sub(m.healthy) < m.ReturnAfter():
		return Keep, nil
	case !key:
		return Ask, nil
	}
	return Keep, m.turn(now, true)
}

// turn has the spare feed the stream from what was kept of it. Whom it follows, where that is
// still connected, is held warm in its stead; healthy says that it is.
func (m *Machine) turn(now time.Time, healthy bool) []Effect {
	var out []Effect
	old, cause := m.current, m.cause
	m.current, m.spare, m.healthy, m.dumb = m.spare, old, time.Time{}, now
	if healthy {
		m.healthy, m.dumb, cause = now, time.Time{}, ""
	}
	if m.next != 0 { // it was about to follow the one that fed
		if healthy {
			out = append(out, Effect{Kind: Broke, ID: old, Cause: ingest.Takeover})
		}
		if old != 0 {
			out = append(out, Effect{Kind: Close, ID: old, Cause: ingest.Takeover})
		}
		m.spare, m.next, m.lost, m.healthy, m.dumb = m.next, 0, 0, time.Time{}, time.Time{}
	}
	m.reserve = !m.reserve
	m.relapse.turned(now, !m.reserve, m.ReturnAfter())
	out = append(out, m.resume(now)...)
	return append(out, Effect{Kind: Turned, ID: m.current, Cause: cause})
}

// away is what follows when the one that feeds has broken: the spare if it is ready, else a hold.
func (m *Machine) away(now time.Time, cause ingest.Cause) []Effect {
	if m.spare == 0 || !m.peers.Ready(m.spare, now) {
		return m.hold(now, cause)
	}
	m.broke, m.cause = now, cause
	return m.turn(now, false)
}

// Ailed: session id has been without its picture until now. The health of a spare is counted from
// here on.
func (m *Machine) Ailed(now time.Time, id ID) {
	if id != 0 && id == m.spare && !m.healthy.IsZero() {
		m.healthy = now
	}
}

// spareSilent: the spare counts as broken. It may come back on its socket for as long as a hold.
func (m *Machine) spareSilent(now time.Time, cause ingest.Cause) []Effect {
	if cause == ingest.FirstMedia {
		return m.dropSpare(cause)
	}
	if !m.dumb.IsZero() {
		return nil
	}
	m.healthy, m.dumb = time.Time{}, now
	return []Effect{{Kind: Broke, ID: m.spare, Cause: cause, Spare: true}}
}

// dropSpare closes the spare. One that counted as broken already does not break again.
func (m *Machine) dropSpare(cause ingest.Cause) []Effect {
	var out []Effect
	if m.dumb.IsZero() {
		out = append(out, Effect{Kind: Broke, ID: m.spare, Cause: cause, Spare: true})
	}
	out = append(out, Effect{Kind: Close, ID: m.spare, Cause: cause})
	m.spare, m.healthy, m.dumb = 0, time.Time{}, time.Time{}
	return out
}

// tickSpare closes a spare that has been silent for as long as a hold.
func (m *Machine) tickSpare(now time.Time) []Effect {
	if at := m.dumbUntil(); at.IsZero() || now.Before(at) {
		return nil
	}
	return m.dropSpare(ingest.Silence)
}

func (m *Machine) dumbUntil() time.Time {
	if m.spare == 0 || m.dumb.IsZero() {
		return time.Time{}
	}
	return m.dumb.Add(m.cfg.Hold)
}

// publishSpare asks whether session id may be held warm.
func (m *Machine) publishSpare(now time.Time, id ID) (Admission, []Effect) {
	a, old := Admission{OK: true}, m.spare
	switch {
	case old == 0:
	case !m.dumb.IsZero() || m.cfg.Takeover != Never && m.peers.Quiet(old, now) >= quietEnough:
		a.Outcome = "silent"
	default:
		duel := &m.duels[1]
		if refusal := m.refusal(now, duel); refusal != nil {
			return *refusal, nil
		}
		duel.fight(now)
		a.Outcome = "healthy"
	}
	var out []Effect
	if old != 0 {
		out = m.dropSpare(ingest.Takeover)
	}
	m.spare, m.healthy, m.dumb = id, time.Time{}, time.Time{}
	return a, out
}
