package policy

import (
	"fmt"
	"slices"
	"strings"
)

// Rung is what a route leaves out of a stream so that the rest arrives in time.
type Rung uint8

// The rungs, from above. Each leaves out what those above it do: but a rendition is a stream
// of its own, and what stands below it is taken from the rendition.
const (
	Full           Rung = iota
	Rendition           // a lower rendition of the stream
	DropDisposable      // without frames that no other frame needs
	Trim                // without the tail of each GOP
	Keyframes           // of pictures keyframes alone
	Audio               // no pictures
	numRungs
)

var rungNames = [numRungs]string{"full", "rendition", "drop-disposable", "trim", "keyframes", "audio"}

func (r Rung) String() string {
	if r < numRungs {
		return rungNames[r]
	}
	return "unknown"
}

// Place is one rung of a group's ladder as it is configured.
type Place struct {
	Rung Rung
	Name string // of the rendition; empty: whatever lower ones there are
}

// ParsePlace reads a rung as it is written in a configuration: its name, or rendition:NAME.
func ParsePlace(s string) (Place, error) {
	name, rendition, named := strings.Cut(s, ":")
	for r, n := range rungNames {
		if n == name && (!named || Rung(r) == Rendition && rendition != "") { //nolint:gosec // a handful
			return Place{Rung: Rung(r), Name: rendition}, nil //nolint:gosec // a handful
		}
	}
	return Place{}, fmt.Errorf("%q is no rung; write one of %s, or rendition:NAME", s, strings.Join(rungNames[:], ", "))
}

func (p Place) String() string {
	if p.Name != "" {
		return p.Rung.String() + ":" + p.Name
	}
	return p.Rung.String()
}

// Rates is what a stream takes, in bits per second of payload, by what its packets are.
type Rates struct {
	Key, Delta, Disposable, Audio float64
	// Keyframe is the size of one, in bits: what a line has to swallow at once.
	Keyframe float64
}

// Total is the whole stream.
func (r Rates) Total() float64 { return r.Key + r.Delta + r.Disposable + r.Audio }

// At is what is left of the stream at a rung; share is the part of a GOP's frames, by bytes
// and after its keyframe, that Trim keeps.
func (r Rates) At(rung Rung, share float64) float64 {
	switch rung {
	case DropDisposable:
		return r.Key + r.Delta + r.Audio
	case Trim:
		return r.Key + share*r.Delta + r.Audio
	case Keyframes:
		return r.Key + r.Audio
	case Audio:
		return r.Audio
	}
	return r.Total()
}

// Offer is a stream that a route can carry: the stream itself, named "", or a rendition of it.
type Offer struct {
	Name  string
	Rates Rates
	// Ready tells that it can be read now. One that is not is made when it is wanted; until
	// its rates are measured they are what was ordered.
	Ready bool
}

// Step is one step of a ladder: a rung of an offer.
type Step struct {
	Level int    // place in the configured ladder, from 0
	Rung  Rung   // what is left out
	Offer string // of this offer; "" is the stream itself
	Rate  float64
	rates Rates // of the offer
	ready bool
}

// usable tells whether a stream can be sent so now.
func (s *Step) usable() bool { return s.ready || s.Rung != Rendition && s.Offer == "" }

// saves is how much less than the step above it a step has to take, or it is left out.
const saves = 0.97

// steps is the ladder that the offers allow, from above. What saves nothing is left out: so
// are disposable frames of a stream without any, and sound of one without sound. A rendition
// that is not ready hides nothing of what stands below it.
func steps(places []Place, offers []Offer) []Step {
	var source Offer
	for _, o := range offers {
		if o.Name == "" {
			source = o
		}
	}
	var out []Step
	least := -1.0 // of the steps so far that can be taken, -1: none
	add := func(level int, rung Rung, o Offer) bool {
		rate := o.Rates.At(rung, leastShare)
		unknown := rate <= 0 && (len(out) > 0 || rung == Rendition)
		if unknown || least >= 0 && rate > saves*least {
			return false
		}
		out = append(out, Step{Level: level, Rung: rung, Offer: o.Name, Rate: rate, rates: o.Rates, ready: o.Ready})
		if o.Ready || rung != Rendition {
			least = rate
		}
		return true
	}
	for level, p := range places {
		if p.Rung != Rendition {
			add(level, p.Rung, source)
			continue
		}
		for _, o := range renditions(p, offers) {
			if add(level, Rendition, o) && o.Ready {
				source = o
			}
		}
	}
	if len(out) == 0 {
		out = append(out, Step{Offer: source.Name, Rate: source.Rates.Total(), rates: source.Rates, ready: true})
	}
	return out
}

// renditions are the offers that a place allows, from above.
func renditions(p Place, offers []Offer) []Offer {
	var out []Offer
	for _, o := range offers {
		if o.Name == "" || p.Name != "" && p.Name != o.Name {
			continue
		}
		at := 0
		for at < len(out) && out[at].Rates.Total() >= o.Rates.Total() {
			at++
		}
		out = slices.Insert(out, at, o)
	}
	return out
}
