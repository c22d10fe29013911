package lifecycle

import (
	"time"

	"github.com/holdfast-live/holdfast/ingest"
)

// Admission is the answer to a push.
type Admission struct {
	OK bool
	// Outcome is silent, healthy or refused where another push had the stream, and empty
	// where none had: the label values of holdfast_publish_takeovers_total.
	Outcome string
	// Wait is when a refused push may be accepted if it tries again; 0 if it may not.
	Wait time.Duration
	// Reason is why it was refused.
	Reason string
	// Flaps says that the stream breaks and returns too often.
	Flaps bool
}

// Publish asks whether session id may have the stream. If so it waits for its first
// random-access point; until then a healthy session goes on feeding, and a quiet one is
// closed at once. A backup is held warm beside a primary, and a primary beside a backup that
// feeds, until it gets the stream back.
func (m *Machine) Publish(now time.Time, id ID, backup bool) (Admission, []Effect) {
	switch empty := m.current == 0 && m.next == 0; {
	case m.state == Ended:
		return Admission{Reason: "the stream has ended"}, nil
	case empty && m.spare == 0:
		m.reserve = backup
	case m.state == Idle && m.reserve && !backup: // nothing has begun, and the primary goes first
		m.reserve, m.spare, m.next, m.asked = false, m.next, id, now
		return Admission{OK: true}, nil
	case backup != m.reserve:
		return m.publishSpare(now, id)
	}
	holder := m.current
	if m.next != 0 {
		holder = m.next
	}
	healthy := holder != 0 && !m.gone(now, holder)
	if healthy {
		if refusal := m.refusal(now, &m.duels[0]); refusal != nil {
			return *refusal, nil
		}
	}
	if refusal := m.flapping(now); refusal != nil {
		return *refusal, nil
	}
	if holder == 0 {
		m.next, m.asked = id, now
		return Admission{OK: true}, nil
	}
	if !healthy {
		return Admission{OK: true, Outcome: "silent"}, m.replace(now, id)
	}
	m.duels[0].fight(now)
	var out []Effect
	if old := m.next; old != 0 {
		out = append(out, Effect{Kind: Broke, ID: old, Cause: ingest.Takeover}, Effect{Kind: Close, ID: old, Cause: ingest.Takeover})
	}
	m.next, m.asked = id, now
	return Admission{OK: true, Outcome: "healthy"}, out
}

// gone tells whether the holder gives way at once: it is broken, or has been quiet.
func (m *Machine) gone(now time.Time, holder ID) bool {
	if holder == m.current && m.state == Held || holder == m.lost {
		return true
	}
	return m.cfg.Takeover != Never && m.peers.Quiet(holder, now) >= quietEnough
}

// refusal is the answer to a push while the holder is healthy; nil if it may take over.
func (m *Machine) refusal(now time.Time, d *duel) *Admission {
	switch m.cfg.Takeover {
	case Always:
		return nil
	case Never:
		return &Admission{Outcome: "refused", Reason: "another push is live, and takeover is off"}
	}
	if wait := d.truce() - now.Sub(d.tookOver); !d.tookOver.IsZero() && wait > 0 {
		return &Admission{Outcome: "refused", Wait: wait, Reason: "another push is live and healthy, and took over a short while ago"}
	}
	return nil
}

// duel is who takes over from whom while both are healthy.
type duel struct {
	tookOver time.Time // the last time
	fights   int       // how many came close upon each other
}

// truce is how long after a takeover from a healthy session the next may come. It doubles
// while takeovers follow close upon each other: two encoders with one key are a mistake,
// and viewers should not see it alternate.
func (d *duel) truce() time.Duration { return truce << min(d.fights, truces) }

func (d *duel) fight(now time.Time) {
	if !d.tookOver.IsZero() && now.Sub(d.tookOver) < 2*d.truce() {
		d.fights++
	} else {
		d.fights = 0
	}
	d.tookOver = now
}

// replace closes whom the new push finds quiet or broken, and waits for its media.
func (m *Machine) replace(now time.Time, id ID) []Effect {
	var out []Effect
	quiet := func(old ID) bool {
		return old == m.current && m.state == Held || m.peers.Quiet(old, now) >= quietEnough
	}
	if old := m.next; old != 0 {
		out = append(out, Effect{Kind: Broke, ID: old, Cause: ingest.Takeover}, Effect{Kind: Close, ID: old, Cause: ingest.Takeover})
	}
	m.next, m.asked = id, now
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
