package publisher

import "time"

// meter measures rates over the last whole seconds.
type meter struct {
	start time.Time // of the current second
	sums  [meterSlots]rate
	at    int
	full  int // slots that hold a whole second, at most meterSlots-1
}

// rate is what arrived in one second: bytes of all media, bytes of audio among them, and video
// frames.
type rate struct{ bytes, audio, frames int }

const meterSlots = 4

func (m *meter) add(now time.Time, r rate) {
	m.advance(now)
	sum := &m.sums[m.at]
	sum.bytes += r.bytes
	sum.audio += r.audio
	sum.frames += r.frames
}

// advance moves to the slot of the second that contains time now.
func (m *meter) advance(now time.Time) {
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

// rates returns the total and the audio bitrate in bits per second, and video frames per second. All
// are 0 before the first whole second.
func (m *meter) rates(now time.Time) (bits, audio, frames float64) {
	m.advance(now)
	if m.full == 0 {
		return 0, 0, 0
	}
	for i := range m.full {
		s := m.sums[(m.at-1-i+meterSlots)%meterSlots]
		bits += 8 * float64(s.bytes)
		audio += 8 * float64(s.audio)
		frames += float64(s.frames)
	}
	return bits / float64(m.full), audio / float64(m.full), frames / float64(m.full)
}
