package lifecycle

import (
	"time"

	"github.com/holdfast-live/holdfast/ingest"
)

// headStart is how long a stream that has not begun waits for the first keyframe of a connected
// primary, before it begins with a backup's keyframe.
const headStart = 2 * time.Second

// Spare returns the standby session, which takes over when the current one breaks, or 0. It is a
// backup while a primary feeds the stream, and the primary while a backup feeds it.
func (m *Machine) Spare() ID { return m.standby }

// OnBackup reports whether a backup feeds the stream, or is the session that the stream waits for.
func (m *Machine) OnBackup() bool { return m.onBackup }

// standbyMedia handles media of the standby, which the caller has buffered.
func (m *Machine) standbyMedia(now time.Time, key bool) (Action, []Effect) {
	if m.healthy.IsZero() {
		m.healthy, m.silentSince = now, time.Time{}
	}
	feeding := m.state == Live || m.state == Suspect
	switch {
	case !m.peers.Ready(m.standby, now) && m.state == Held && now.Sub(m.brokeAt) >= patience && now.Sub(m.healthy) >= patience:
		// The standby is in an endless GOP. It will have a keyframe after it reconnects.
		m.extend(now)
		return Refuse, m.dropStandby(ingest.Silence)
	case !m.peers.Ready(m.standby, now):
		return Ask, nil
	case m.state == Idle && m.next != 0 && now.Sub(m.accepted) < headStart:
		return Keep, nil
	case !feeding:
		return Keep, m.switchover(now, false)
	case !m.onBackup || now.Sub(m.healthy) < m.ReturnAfter():
		return Keep, nil
	case !key:
		return Ask, nil
	}
	return Keep, m.switchover(now, true)
}

// switchover makes the standby the current session, continuing from its buffered media. The previous
// session becomes the standby if it is still connected. healthy reports whether the previous session
// is healthy.
func (m *Machine) switchover(now time.Time, healthy bool) []Effect {
	var out []Effect
	old, cause := m.current, m.cause
	m.current, m.standby, m.healthy, m.silentSince = m.standby, old, time.Time{}, now
	if healthy {
		m.healthy, m.silentSince, cause = now, time.Time{}, ""
	}
	if m.next != 0 { // it was about to replace the old session
		if healthy {
			out = append(out, Effect{Kind: Broke, ID: old, Cause: ingest.Takeover})
		}
		if old != 0 {
			out = append(out, Effect{Kind: Close, ID: old, Cause: ingest.Takeover})
		}
		m.standby, m.next, m.lost, m.healthy, m.silentSince = m.next, 0, 0, time.Time{}, time.Time{}
	}
	m.onBackup = !m.onBackup
	m.relapse.switched(now, !m.onBackup, m.ReturnAfter())
	out = append(out, m.resume(now)...)
	return append(out, Effect{Kind: Turned, ID: m.current, Cause: cause})
}

// away handles the break of the current session: it switches to the standby if that is ready,
// otherwise it starts a hold.
func (m *Machine) away(now time.Time, cause ingest.Cause) []Effect {
	if m.standby == 0 || !m.peers.Ready(m.standby, now) {
		return m.hold(now, cause)
	}
	m.brokeAt, m.cause = now, cause
	return m.switchover(now, false)
}

// Ailed records that session id has had no video until now. If it is the standby, the time for which
// it has been healthy is counted from now.
func (m *Machine) Ailed(now time.Time, id ID) {
	if id != 0 && id == m.standby && !m.healthy.IsZero() {
		m.healthy = now
	}
}

// standbySilent handles a standby that counts as broken. It may return on the same socket for the
// duration of a hold.
func (m *Machine) standbySilent(now time.Time, cause ingest.Cause) []Effect {
	if cause == ingest.FirstMedia {
		return m.dropStandby(cause)
	}
	if !m.silentSince.IsZero() {
		return nil
	}
	m.healthy, m.silentSince = time.Time{}, now
	return []Effect{{Kind: Broke, ID: m.standby, Cause: cause, Spare: true}}
}

// dropStandby closes the standby. It reports no break for a standby that already counts as broken.
func (m *Machine) dropStandby(cause ingest.Cause) []Effect {
	var out []Effect
	if m.silentSince.IsZero() {
		out = append(out, Effect{Kind: Broke, ID: m.standby, Cause: cause, Spare: true})
	}
	out = append(out, Effect{Kind: Close, ID: m.standby, Cause: cause})
	m.standby, m.healthy, m.silentSince = 0, time.Time{}, time.Time{}
	return out
}

// tickStandby closes a standby that has been silent for the duration of a hold.
func (m *Machine) tickStandby(now time.Time) []Effect {
	if at := m.silentUntil(); at.IsZero() || now.Before(at) {
		return nil
	}
	return m.dropStandby(ingest.Silence)
}

func (m *Machine) silentUntil() time.Time {
	if m.standby == 0 || m.silentSince.IsZero() {
		return time.Time{}
	}
	return m.silentSince.Add(m.cfg.Hold)
}

// publishStandby decides whether session id may be the standby.
func (m *Machine) publishStandby(now time.Time, id ID) (Admission, []Effect) {
	a, old := Admission{OK: true}, m.standby
	switch {
	case old == 0:
	case !m.silentSince.IsZero() || m.cfg.Takeover != Never && m.peers.Quiet(old, now) >= maxQuiet:
		a.Outcome = "silent"
	default:
		history := &m.takeovers[1]
		if refusal := m.refusal(now, history); refusal != nil {
			return *refusal, nil
		}
		history.record(now)
		a.Outcome = "healthy"
	}
	var out []Effect
	if old != 0 {
		out = m.dropStandby(ingest.Takeover)
	}
	m.standby, m.healthy, m.silentSince = id, time.Time{}, time.Time{}
	return a, out
}
