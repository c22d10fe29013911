package timeline

import (
	"slices"
	"time"

	"github.com/holdfast-live/holdfast/packetbuf"
)

const (
	// maxEarly is how far a packet may be ahead of its arrival if it steps further than usual.
	maxEarly = 50 * time.Millisecond
	// maxStepBack is the largest step back of a track's time that is ignored: the packet is placed
	// right after the one before it. A larger step back is doubted.
	maxStepBack = 250 * time.Millisecond
	// maxFollowedStep is the largest step ahead that, once believed, is followed without moving the
	// session's clock.
	maxFollowedStep = 500 * time.Millisecond
	// maxTrackDifference is the largest difference between the steps of two tracks that still count as
	// the same step of the publisher's clock.
	maxTrackDifference = 200 * time.Millisecond
)

// verdict is the judgement on a packet's time.
type verdict uint8

const (
	accepted verdict = iota
	doubted          // the time stepped; the packet is placed by its arrival
	late             // the packet belongs before others that the track already has
)

// suspect is a packet whose step was not believed.
type suspect struct {
	set    bool
	raw    time.Duration // its time on the session's clock, unwrapped
	step   time.Duration // from the last believed packet before it
	placed time.Duration // its time on the stream's clock
}

// stepHistory learns the usual step from one packet of a track to the next. It uses the last few packets
// whose times were believed.
type stepHistory struct {
	steps [9]time.Duration
	n     int // number of steps recorded
}

// initialMaxStep is the longest step that counts as usual while too few steps of a track are known.
const initialMaxStep = 250 * time.Millisecond

func (u *stepHistory) record(step time.Duration) {
	if step <= 0 || step > maxSkew {
		return
	}
	u.steps[u.n%len(u.steps)] = step
	u.n++
}

// median returns the median of the last steps.
func (u *stepHistory) median() time.Duration {
	known := min(u.n, len(u.steps))
	if known == 0 {
		return 0
	}
	sorted := u.steps
	slices.Sort(sorted[:known])
	return sorted[known/2]
}

// covers reports whether step is within the track's usual steps.
func (u *stepHistory) covers(step time.Duration) bool {
	most := u.median()*3/2 + 5*time.Millisecond
	if u.n < len(u.steps) {
		most = max(most, initialMaxStep)
	}
	return step > 0 && step <= most
}

// verdict returns p's time on the stream's clock, and how it was judged. It tries the track's own offset
// first. A step of the publisher's clock may have reached only one track so far, so it then tries the
// session's offset, the other track's, and the one before the last step. If none is plausible, judgeStep
// decides.
func (t *Timeline) verdict(p *packetbuf.Packet, raw time.Duration) (time.Duration, verdict) {
	tr := &t.tracks[p.Track]
	if !tr.started || tr.arrived.IsZero() {
		// The track's first packet in this session: it is compared with the session's newest time. It is
		// late if another session, or filler, has already covered its time.
		dts := raw + tr.offset
		if ahead := raw - t.lastRaw; ahead < max(0, p.Arrived.Sub(t.lastArrived))+maxLead && ahead > -maxSkew {
			if tr.started && dts <= tr.last {
				return dts, late
			}
			return dts, accepted
		}
		t.setTrackOffset(tr, t.nextFreeTime(p)-raw)
		return raw + tr.offset, accepted
	}
	if t.plausible(p, raw, tr.offset) {
		return raw + tr.offset, accepted
	}
	for _, other := range []time.Duration{t.offset, t.tracks[otherTrack(p.Track)].offset, t.formerOffset} {
		if other != tr.offset && (other != t.formerOffset || t.offsetMoved) && t.plausible(p, raw, other) {
			tr.offset = other
			return raw + other, accepted
		}
	}
	return t.judgeStep(p, raw)
}

// plausible reports whether p continues its track at the time that offset gives it. It does so after a
// usual step, or if the time is neither far back nor ahead of p's arrival. If media is sent faster than
// real time, p may be as far ahead as the other track.
func (t *Timeline) plausible(p *packetbuf.Packet, raw, offset time.Duration) bool {
	tr := &t.tracks[p.Track]
	dts := raw + offset
	back := dts < tr.naturalDTS-maxStepBack || dts < tr.last-max(maxStepBack, tr.last-tr.naturalDTS)
	if other := &t.tracks[otherTrack(p.Track)]; !back && !other.arrived.IsZero() && dts <= other.naturalDTS+maxEarly {
		return true
	}
	if !back && dts <= t.clock(p.Track, p.Arrived)+maxEarly {
		return true
	}
	return offset == tr.offset && tr.steps.covers(raw-tr.raw)
}

// judgeStep judges a packet whose time stepped. It believes the step if the packet continues from a
// doubted packet, or if the other track has stepped as far. Otherwise it places the packet by its arrival.
func (t *Timeline) judgeStep(p *packetbuf.Packet, raw time.Duration) (time.Duration, verdict) {
	tr, other := &t.tracks[p.Track], &t.tracks[otherTrack(p.Track)]
	passed := max(0, p.Arrived.Sub(tr.arrived))
	step := raw - tr.raw
	on := raw - tr.suspect.raw
	switch {
	case tr.suspect.set && (tr.steps.covers(on) || on > 0 && on <= passed+maxEarly):
		t.acceptStep(p, raw, tr.suspect.placed+on)
		return raw + tr.offset, accepted
	case other.suspect.set && (step-other.suspect.step).Abs() <= maxTrackDifference:
		t.acceptStep(p, raw, tr.nextTime(passed))
		return raw + tr.offset, accepted
	}
	placed := tr.nextTime(passed)
	tr.suspect = suspect{set: true, raw: raw, step: step, placed: placed}
	return placed, doubted
}

// nextTime returns a time for the packet after the newest one, if it arrived later by passed: as much
// later, but by no more than the usual step.
func (tr *track) nextTime(passed time.Duration) time.Duration {
	return tr.last + max(time.Millisecond, min(passed, tr.steps.median()))
}

// acceptStep moves the session's clock so that p is placed at dts even though its time stepped. It
// follows a small step ahead without moving the clock.
func (t *Timeline) acceptStep(p *packetbuf.Packet, raw, dts time.Duration) {
	tr := &t.tracks[p.Track]
	if ahead := raw + tr.offset - dts; ahead > 0 && ahead <= maxFollowedStep {
		return
	}
	t.setTrackOffset(tr, dts-raw)
}

// setTrackOffset sets a new offset for the session and one track. The other track adopts it when its
// time steps as well.
func (t *Timeline) setTrackOffset(tr *track, offset time.Duration) {
	t.formerOffset, t.offsetMoved = t.offset, true
	t.offset, tr.offset = offset, offset
}
