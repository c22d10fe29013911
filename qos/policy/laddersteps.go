package policy

import (
	"fmt"
	"time"
)

// currentStep returns the index of the ladder's step among the steps currently possible. If the step no
// longer exists, it returns the highest usable step with no higher rate, or else the lowest usable step.
func (l *Ladder) currentStep(all []Step) int {
	for i, s := range all {
		if s.Rung == l.step.Rung && s.Offer == l.step.Offer && s.usable() {
			return i
		}
	}
	takes := l.step.rates.At(l.step.Rung, l.share)
	last := 0
	for i, s := range all {
		if !s.usable() {
			continue
		}
		if last = i; takes <= 0 || s.Rate <= takes/maxStepRatio {
			break
		}
	}
	return last
}

// stepGone reports whether the ladder's step no longer exists, so that the ladder has to move to another
// step. It also returns the reason.
func (l *Ladder) stepGone(to Step) (why Reason, gone bool) {
	if l.step == (Step{}) || to.Rung == l.step.Rung && to.Offer == l.step.Offer {
		return Reason{}, false
	}
	switch {
	case to.Offer == l.step.Offer:
		return Reason{CauseOffer, l.step.Rung.String() + " no longer saves anything"}, true
	case to.Offer != "":
		return Reason{CauseOffer, fmt.Sprintf("rendition %q is available", to.Offer)}, true
	}
	return Reason{CauseOffer, fmt.Sprintf("rendition %q is no longer available", l.step.Offer)}, true
}

// fittingStep returns the index of the first ready step, starting at index from, that needs no more than
// the usable part of capacity. If none fits, it returns the last ready step.
func (l *Ladder) fittingStep(all []Step, from int, capacity float64) int {
	last := from
	for i := from; i < len(all); i++ {
		if !all[i].ready {
			continue
		}
		last = i
		if all[i].Rate <= usableCapacity*capacity {
			return i
		}
	}
	return last
}

// forcedChoice moves to the rung that the operator forced. If that rung saves nothing for this stream, it
// moves to the nearest rung above it. If that rung is a rendition that is not ready, the choice wants it.
func (l *Ladder) forcedChoice(now time.Time, all []Step, at int) Choice {
	to, want := -1, ""
	for i, s := range all {
		same := s.Rung == l.forced.Rung && (l.forced.Name == "" || l.forced.Name == s.Offer)
		switch {
		case same && s.ready:
			to = i
		case same && want == "":
			want = s.Offer
			continue
		case l.forced.Rung != Rendition && s.usable() && s.Rung < l.forced.Rung:
			to = i
			continue
		default:
			continue
		}
		break
	}
	if to < 0 || to == at {
		c := l.choiceAt(all, at)
		if want != "" {
			c.Want = want
		}
		return c
	}
	return l.moveTo(now, all, to, Reason{CauseForced, "the operator chose " + l.forced.String()})
}
