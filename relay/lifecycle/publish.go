package lifecycle

import (
	"time"

	"github.com/holdfast-live/holdfast/ingest"
)

// Admission is the answer to a publisher.
type Admission struct {
	OK bool
	// Outcome is silent, healthy or refused if another publisher had the stream, and empty otherwise.
	// The values are label values of holdfast_publish_takeovers_total.
	Outcome string
	// Wait is how long a rejected publisher should wait before it tries again; 0 if a retry does not
	// help.
	Wait time.Duration
	// Reason is why the publisher was rejected.
	Reason string
	// Flaps reports whether the publisher was rejected because the stream breaks and returns too often.
	Flaps bool
}

// Publish decides whether session id may publish the stream. An admitted session waits for its first
// random-access point. Until then a healthy session continues to feed the stream; a silent one is
// closed at once. A backup becomes the standby of a primary. A primary becomes the standby of a
// backup that feeds the stream, until the primary has been healthy for long enough.
func (m *Machine) Publish(now time.Time, id ID, backup bool) (Admission, []Effect) {
	switch empty := m.current == 0 && m.next == 0; {
	case m.state == Ended:
		return Admission{Reason: "the stream has ended"}, nil
	case empty && m.standby == 0:
		m.onBackup = backup
	case m.state == Idle && m.onBackup && !backup: // nothing has begun, and the primary has priority
		m.onBackup, m.standby, m.next, m.accepted = false, m.next, id, now
		return Admission{OK: true}, nil
	case backup != m.onBackup:
		return m.publishStandby(now, id)
	}
	holder := m.current
	if m.next != 0 {
		holder = m.next
	}
	healthy := holder != 0 && !m.givesWay(now, holder)
	if healthy {
		if refusal := m.refusal(now, &m.takeovers[0]); refusal != nil {
			return *refusal, nil
		}
	}
	if refusal := m.flapping(now); refusal != nil {
		return *refusal, nil
	}
	if holder == 0 {
		m.next, m.accepted = id, now
		return Admission{OK: true}, nil
	}
	if !healthy {
		return Admission{OK: true, Outcome: "silent"}, m.replace(now, id)
	}
	m.takeovers[0].record(now)
	var out []Effect
	if old := m.next; old != 0 {
		out = append(out, Effect{Kind: Broke, ID: old, Cause: ingest.Takeover}, Effect{Kind: Close, ID: old, Cause: ingest.Takeover})
	}
	m.next, m.accepted = id, now
	return Admission{OK: true, Outcome: "healthy"}, out
}

// givesWay reports whether the current holder of the stream is replaced at once, because it is
// broken or silent.
func (m *Machine) givesWay(now time.Time, holder ID) bool {
	if holder == m.current && m.state == Held || holder == m.lost {
		return true
	}
	return m.cfg.Takeover != Never && m.peers.Quiet(holder, now) >= maxQuiet
}

// refusal returns the rejection of a publisher while the current holder of the stream is healthy, or
// nil if the publisher may take over.
func (m *Machine) refusal(now time.Time, d *takeoverHistory) *Admission {
	switch m.cfg.Takeover {
	case Always:
		return nil
	case Never:
		return &Admission{Outcome: "refused", Reason: "another push is live, and takeover is off"}
	}
	if wait := d.cooldown() - now.Sub(d.tookOver); !d.tookOver.IsZero() && wait > 0 {
		return &Admission{Outcome: "refused", Wait: wait, Reason: "another push is live and healthy, and took over a short while ago"}
	}
	return nil
}

// takeoverHistory records the takeovers of a stream from healthy sessions.
type takeoverHistory struct {
	tookOver     time.Time // last takeover
	inSuccession int       // number of takeovers in close succession
}

// cooldown returns the minimum time between a takeover from a healthy session and the next takeover.
// It doubles while takeovers follow in close succession. Two encoders with one key are a mistake,
// and viewers should not see the stream alternate between them.
func (d *takeoverHistory) cooldown() time.Duration {
	return cooldown << min(d.inSuccession, maxDoublings)
}

func (d *takeoverHistory) record(now time.Time) {
	if !d.tookOver.IsZero() && now.Sub(d.tookOver) < 2*d.cooldown() {
		d.inSuccession++
	} else {
		d.inSuccession = 0
	}
	d.tookOver = now
}

// replace closes the silent and broken sessions in favor of session id, which waits for its media.
func (m *Machine) replace(now time.Time, id ID) []Effect {
	var out []Effect
	quiet := func(old ID) bool {
		return old == m.current && m.state == Held || m.peers.Quiet(old, now) >= maxQuiet
	}
	if old := m.next; old != 0 {
		out = append(out, Effect{Kind: Broke, ID: old, Cause: ingest.Takeover}, Effect{Kind: Close, ID: old, Cause: ingest.Takeover})
	}
	m.next, m.accepted = id, now
	if old := m.current; old != 0 && quiet(old) {
		m.current = 0
		if m.state == Live || m.state == Suspect {
			out = append(out, Effect{Kind: Broke, ID: old, Cause: ingest.Takeover})
			out = append(out, m.away(now, ingest.Takeover)...)
		}
		out = append(out, Effect{Kind: Close, ID: old, Cause: ingest.Takeover})
	}
	return out
}
