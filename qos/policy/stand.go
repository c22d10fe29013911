package policy

import (
	"fmt"
	"time"
)

// find is where the ladder stands among steps that may have changed: at the same step, or at
// the highest that takes no more.
func (l *Ladder) find(all []Step) int {
	for i, s := range all {
		if s.Rung == l.at.Rung && s.Offer == l.at.Offer && s.usable() {
			return i
		}
	}
	takes := l.at.rates.At(l.at.Rung, l.share)
	last := 0
	for i, s := range all {
		if !s.usable() {
			continue
		}
		if last = i; takes <= 0 || s.Rate <= takes/saves {
			break
		}
	}
	return last
}

// gone tells whether the step that the ladder stood at is not there any more, so that it has
// to stand at another, and why.
func (l *Ladder) gone(to Step) (why Reason, gone bool) {
	if l.at == (Step{}) || to.Rung == l.at.Rung && to.Offer == l.at.Offer {
		return Reason{}, false
	}
	switch {
	case to.Offer == l.at.Offer:
		return Reason{CauseOffer, l.at.Rung.String() + " saves nothing any more"}, true
	case to.Offer != "":
		return Reason{CauseOffer, fmt.Sprintf("rendition %q is there", to.Offer)}, true
	}
	return Reason{CauseOffer, fmt.Sprintf("rendition %q is not there any more", l.at.Offer)}, true
}

// fit is the highest ready step from there on that takes no more than a part of capacity.
func (l *Ladder) fit(all []Step, from int, capacity float64) int {
	last := from
	for i := from; i < len(all); i++ {
		if !all[i].ready {
			continue
		}
		last = i
		if all[i].Rate <= fits*capacity {
			return i
		}
	}
	return last
}

// force goes to the rung that the operator chose. A rendition that is not ready is asked for;
// in place of a rung that saves nothing of this stream stands the nearest above it.
func (l *Ladder) force(now time.Time, all []Step, at int) Choice {
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
		c := l.stay(all, at)
		if want != "" {
			c.Want = want
		}
		return c
	}
	return l.move(now, all, to, Reason{CauseForced, "the operator chose " + l.forced.String()})
}
