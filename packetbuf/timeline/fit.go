package timeline

import (
	"slices"
	"time"

	"github.com/holdfast-live/holdfast/packetbuf"
)

const (
	// early is how far ahead of its arrival a packet may be that steps further than usual.
	early = 50 * time.Millisecond
	// backstep is how far a track's time may step back. What steps back by less stands right
	// behind the packet before it.
	backstep = 250 * time.Millisecond
	// follow is how far ahead of its arrival a step is taken as it is once it is believed; the
	// session's clock is moved for a longer one.
	follow = 500 * time.Millisecond
	// together is how far apart the same step of two tracks may be.
	together = 200 * time.Millisecond
)

// fitting is what a packet's time is worth.
type fitting uint8

const (
	fits    fitting = iota
	doubted         // it stepped, and gets a place by its arrival
	late            // it belongs before what the track has
)

// doubt is a packet that stepped and was not believed.
type doubt struct {
	set    bool
	raw    time.Duration // its time on the session's clock, unwrapped
	step   time.Duration // from what was believed before it
	placed time.Duration // where it stands on the stream's clock instead
}

// usual knows how far apart a track's packets are, by the last few that were believed.
type usual struct {
	steps [9]time.Duration
	n     int // how many steps were noted
}

// unknown is the longest usual step of a track that has not shown enough of them.
const unknown = 250 * time.Millisecond

func (u *usual) note(step time.Duration) {
	if step <= 0 || step > skew {
		return
	}
	u.steps[u.n%len(u.steps)] = step
	u.n++
}

// step returns the median of the last steps.
func (u *usual) step() time.Duration {
	known := min(u.n, len(u.steps))
	if known == 0 {
		return 0
	}
	sorted := u.steps
	slices.Sort(sorted[:known])
	return sorted[known/2]
}

// covers reports whether a step is one of the track's.
func (u *usual) covers(step time.Duration) bool {
	most := u.step()*3/2 + 5*time.Millisecond
	if u.n < len(u.steps) {
		most = max(most, unknown)
	}
	return step > 0 && step <= most
}

// fit finds p's place: by the offset in force; by the other track's or the one before, where a
// step of the publisher's clock has reached one track and not yet the other; or by a new one,
// where a step goes on.
func (t *Timeline) fit(p *packetbuf.Packet, raw time.Duration) (time.Duration, fitting) {
	tr := &t.tracks[p.Track]
	if !tr.begun || tr.arrived.IsZero() {
		// The track's first packet in this session, whose other track tells what the time is.
		// What another session, or filler, has already covered is late.
		dts := raw + tr.offset
		if ahead := raw - t.raw; ahead < max(0, p.Arrived.Sub(t.seen))+leap && ahead > -skew {
			if tr.begun && dts <= tr.last {
				return dts, late
			}
			return dts, fits
		}
		t.step(tr, t.nextFree(p)-raw)
		return raw + tr.offset, fits
	}
	if t.plausible(p, raw, tr.offset) {
		return raw + tr.offset, fits
	}
	for _, other := range []time.Duration{t.offset, t.tracks[beside(p.Track)].offset, t.former} {
		if other != tr.offset && (other != t.former || t.moved) && t.plausible(p, raw, other) {
			tr.offset = other
			return raw + other, fits
		}
	}
	return t.stepped(p, raw)
}

// plausible reports whether p continues its track where offset puts it: with a usual step, or
// not far back and not ahead of its arrival, or of the other track where media is sent faster
// than real time.
func (t *Timeline) plausible(p *packetbuf.Packet, raw, offset time.Duration) bool {
	tr := &t.tracks[p.Track]
	dts := raw + offset
	back := dts < tr.natural-backstep || dts < tr.last-max(backstep, tr.last-tr.natural)
	if other := &t.tracks[beside(p.Track)]; !back && !other.arrived.IsZero() && dts <= other.natural+early {
		return true
	}
	if !back && dts <= t.clock(p.Track, p.Arrived)+early {
		return true
	}
	return offset == tr.offset && tr.usual.covers(raw-tr.raw)
}

// stepped decides on a packet whose time stepped. It is believed if it goes on from one that
// was doubted before, or if the other track has stepped as far.
func (t *Timeline) stepped(p *packetbuf.Packet, raw time.Duration) (time.Duration, fitting) {
	tr, other := &t.tracks[p.Track], &t.tracks[beside(p.Track)]
	passed := max(0, p.Arrived.Sub(tr.arrived))
	step := raw - tr.raw
	on := raw - tr.doubt.raw
	switch {
	case tr.doubt.set && (tr.usual.covers(on) || on > 0 && on <= passed+early):
		t.believe(p, raw, tr.doubt.placed+on)
		return raw + tr.offset, fits
	case other.doubt.set && (step-other.doubt.step).Abs() <= together:
		t.believe(p, raw, tr.next(passed))
		return raw + tr.offset, fits
	}
	placed := tr.next(passed)
	tr.doubt = doubt{set: true, raw: raw, step: step, placed: placed}
	return placed, doubted
}

// next returns the place behind the newest packet for one that arrived passed after it: by its
// arrival, and no further on than usual.
func (tr *track) next(passed time.Duration) time.Duration {
	return tr.last + max(time.Millisecond, min(passed, tr.usual.step()))
}

// believe moves the session's clock so that a step which goes on puts p at dts. A small step
// ahead is taken as it is.
func (t *Timeline) believe(p *packetbuf.Packet, raw, dts time.Duration) {
	tr := &t.tracks[p.Track]
	if ahead := raw + tr.offset - dts; ahead > 0 && ahead <= follow {
		return
	}
	t.step(tr, dts-raw)
}

// step gives one track another offset, which the other takes when it steps likewise.
func (t *Timeline) step(tr *track, offset time.Duration) {
	t.former, t.moved = t.offset, true
	t.offset, tr.offset = offset, offset
}
