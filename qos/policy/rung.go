package policy

import (
	"fmt"
	"slices"
	"strings"
)

// Rung is a rung of a ladder: a rule for what a route leaves out of a stream so that the rest arrives in
// time.
type Rung uint8

// The rungs, from the top. Each leaves out more than the rungs above it. A rendition is a stream of its
// own, and the rungs below it apply to the rendition.
const (
	Full           Rung = iota
	Rendition           // a lower rendition of the stream
	DropDisposable      // without disposable frames
	Trim                // without the tail of each GOP
	Keyframes           // keyframes as the only video
	Audio               // no video
	numRungs
)

var rungNames = [numRungs]string{"full", "rendition", "drop-disposable", "trim", "keyframes", "audio"}

func (r Rung) String() string {
	if r < numRungs {
		return rungNames[r]
	}
	return "unknown"
}

// Place is one rung of a group's ladder as configured.
type Place struct {
	Rung Rung
	Name string // of the rendition; empty means any lower one
}

// ParsePlace parses a rung as written in the configuration: the rung's name, or rendition:NAME.
func ParsePlace(s string) (Place, error) {
	name, rendition, named := strings.Cut(s, ":")
	for r, n := range rungNames {
		if n == name && (!named || Rung(r) == Rendition && rendition != "") { //nolint:gosec // a handful
			return Place{Rung: Rung(r), Name: rendition}, nil //nolint:gosec // a handful
		}
	}
	return Place{}, fmt.Errorf("parse rung: %q is not one of %s, or rendition:NAME", s, strings.Join(rungNames[:], ", "))
}

func (p Place) String() string {
	if p.Name != "" {
		return p.Rung.String() + ":" + p.Name
	}
	return p.Rung.String()
}

// Rates holds the payload bitrates of a stream in bits per second, by kind of packet.
type Rates struct {
	Key, Delta, Disposable, Audio float64
	// Keyframe is the size of a keyframe in bits, which a connection has to carry at once.
	Keyframe float64
}

// Total returns the rate of the whole stream in bits per second.
func (r Rates) Total() float64 { return r.Key + r.Delta + r.Disposable + r.Audio }

// At returns the rate of the stream at a rung, in bits per second. share is the part of a GOP's bytes after
// the keyframe that Trim keeps.
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

// Offer is a stream that a route can send: the stream itself, with an empty name, or a rendition of it.
type Offer struct {
	Name  string
	Rates Rates // measured, or the configured ones until then
	// Ready is true if the offer can be read now. Otherwise it is started when a Choice wants it.
	Ready bool
}

// Step is one step of a ladder: a rung of an offer.
type Step struct {
	Level int    // index in the configured ladder, from 0
	Rung  Rung   // what is left out
	Offer string // name of the offer; "" is the stream itself
	Rate  float64
	rates Rates // of the offer
	ready bool
}

// usable reports whether the step can be sent now.
func (s *Step) usable() bool { return s.ready || s.Rung != Rendition && s.Offer == "" }

// maxStepRatio is the largest ratio of a step's rate to that of the step above it. A step with a larger
// ratio saves too little and is omitted.
const maxStepRatio = 0.97

// steps returns the steps that are possible with the offers, from the top. It omits steps that save
// nothing, such as DropDisposable for a stream without disposable frames, or Audio for a stream without
// video. A rendition that is not ready does not affect the steps below it.
func steps(places []Place, offers []Offer) []Step {
	var source Offer
	for _, o := range offers {
		if o.Name == "" {
			source = o
		}
	}
	var out []Step
	least := -1.0 // lowest rate of the usable steps so far; -1 for none
	add := func(level int, rung Rung, o Offer) bool {
		rate := o.Rates.At(rung, minShare)
		unknown := rate <= 0 && (len(out) > 0 || rung == Rendition)
		if unknown || least >= 0 && rate > maxStepRatio*least {
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

// renditions returns the renditions that a rung of the configuration allows, highest rate first.
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
