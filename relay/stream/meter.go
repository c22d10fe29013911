package stream

import "time"

// meter measures rates over the last whole seconds.
type meter struct {
	start time.Time // of the second that runs
	sums  [meterSlots]rate
	at    int
	full  int // slots that hold a whole second, at most meterSlots-1
}

// rate is what came in one second.
type rate struct{ bytes, sound, pictures int } // bytes of all, and of sound among them

const meterSlots = 4

func (m *meter) add(now time.Time, bytes, sound, pictures int) {
	m.turn(now)
	m.sums[m.at].bytes += bytes
	m.sums[m.at].sound += sound
	m.sums[m.at].pictures += pictures
}

func (m *meter) turn(now time.Time) {
	if m.start.IsZero() {
		m.start = now
	}
	if now.Sub(m.start) > 2*meterSlots*time.Second {
		*m = meter{start: now}
	}
	for now.Sub(m.start) >= time.Second {
		m.start = m.start.Add(time.Second)
		m.at = (m.at + 1) % meterSlots
		m.sums[m.at] = rate{}
		m.full = min(m.full+1, meterSlots-1)
	}
}

// rates returns bits, those of sound among them, and pictures per second; 0 before the first
// whole second.
func (m *meter) rates(now time.Time) (bits, sound, pictures float64) {
	m.turn(now)
	if m.full == 0 {
		return 0, 0, 0
	}
	for i := range m.full {
		s := m.sums[(m.at-1-i+meterSlots)%meterSlots]
		bits += 8 * float64(s.bytes)
		sound += 8 * float64(s.sound)
		pictures += float64(s.pictures)
	}
	return bits / float64(m.full), sound / float64(m.full), pictures / float64(m.full)
}
