package policy

import (
	"fmt"
	"time"
)

// currentStep returns the ladder's position among steps that may have changed: the same step, or the
// highest whose rate is no higher.
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

// stepGone reports whether the ladder's step no longer exists, so that it has to move to another, and
// why.
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

// fittingStep returns the highest ready step, from from on, that uses no more than the part fits of capacity.
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

// forcedChoice moves to the rung that the operator chose. It wants a rendition that is not ready. If a rung
// saves nothing of this stream, it uses the nearest above it.
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
