package policy

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

// whole is a typical stream of 2.5 Mb/s.
var whole = Offer{Ready: true, Rates: Rates{Key: 400e3, Delta: 1700e3, Disposable: 250e3, Audio: 150e3, Keyframe: 800e3}}

func lowerOffer(name string, rate float64, ready bool) Offer {
	return Offer{Name: name, Ready: ready, Rates: Rates{Key: 0.2 * rate, Delta: 0.6 * rate, Disposable: 0.1 * rate, Audio: 0.1 * rate}}
}

func parsePlaces(t testing.TB, written string) []Place {
	t.Helper()
	var out []Place
	for s := range strings.FieldsSeq(written) {
		p, err := ParsePlace(s)
		if err != nil {
			t.Fatal(err)
		}
		if p.String() != s {
			t.Errorf("%q: got %q when written", s, p)
		}
		out = append(out, p)
	}
	return out
}

const allRungs = "full rendition drop-disposable trim keyframes audio"

func formatSteps(all []Step) string {
	var out []string
	for _, s := range all {
		name := s.Rung.String()
		if s.Offer != "" {
			name += "(" + s.Offer + ")"
		}
		if !s.ready {
			name += "?"
		}
		out = append(out, name)
	}
	return strings.Join(out, " ")
}

func TestSteps(t *testing.T) {
	mute, plain := whole, whole
	mute.Rates.Audio = 0
	plain.Rates.Delta, plain.Rates.Disposable = plain.Rates.Delta+plain.Rates.Disposable, 0
	soundAlone := Offer{Ready: true, Rates: Rates{Audio: 128e3}}
	for _, tt := range []struct {
		name, places string
		offers       []Offer
		want         string
	}{
		{"the stream alone", allRungs, []Offer{whole}, "full drop-disposable trim keyframes audio"},
		{"no sound", allRungs, []Offer{mute}, "full drop-disposable trim keyframes"},
		{"nothing disposable", allRungs, []Offer{plain}, "full trim keyframes audio"},
		{"sound alone", allRungs, []Offer{soundAlone}, "full"},
		{"of nothing known", allRungs, []Offer{{Ready: true}}, "full"},
		{"no offers", allRungs, nil, "full?"},
		{"no ladder", "", []Offer{whole}, "full"},
		{"rungs missing", "full trim audio", []Offer{whole}, "full trim audio"},
		{"full missing", "drop-disposable keyframes", []Offer{whole}, "drop-disposable keyframes"},
		{"a rendition", allRungs, []Offer{whole, lowerOffer("low", 800e3, true)}, "full rendition(low) drop-disposable(low) trim(low) keyframes(low) audio(low)"},
		{"a rendition to be made", allRungs, []Offer{whole, lowerOffer("low", 800e3, false)}, "full rendition(low)? drop-disposable trim keyframes audio"},
		{
			"two renditions", allRungs,
			[]Offer{whole, lowerOffer("low", 500e3, true), lowerOffer("mid", 1200e3, true)},
			"full rendition(mid) rendition(low) drop-disposable(low) trim(low) keyframes(low) audio(low)",
		},
		{
			"one of two ready", allRungs,
			[]Offer{whole, lowerOffer("low", 500e3, false), lowerOffer("mid", 1200e3, true)},
			"full rendition(mid) rendition(low)? drop-disposable(mid) trim(mid) keyframes(mid) audio(mid)",
		},
		{"a named one", "full rendition:low trim", []Offer{whole, lowerOffer("mid", 1200e3, true), lowerOffer("low", 500e3, true)}, "full rendition(low) trim(low)"},
		{"a named one that is not there", "full rendition:low trim", []Offer{whole, lowerOffer("mid", 1200e3, true)}, "full trim"},
		{"one that is no lower", allRungs, []Offer{whole, lowerOffer("high", 4e6, true)}, "full drop-disposable trim keyframes audio"},
		{"one of which nothing is known", allRungs, []Offer{whole, {Name: "new", Ready: true}}, "full drop-disposable trim keyframes audio"},
		{"a rendition below", "full drop-disposable rendition audio", []Offer{whole, lowerOffer("low", 800e3, true)}, "full drop-disposable rendition(low) audio(low)"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := formatSteps(steps(parsePlaces(t, tt.places), tt.offers)); got != tt.want {
				t.Errorf("got  %s\nwant %s", got, tt.want)
			}
		})
	}
}

func TestPlaces(t *testing.T) {
	for _, s := range []string{"", "half", "rendition:", "full:x", "Full", "unknown"} {
		if p, err := ParsePlace(s); err == nil {
			t.Errorf("%q: got %v, want an error", s, p)
		}
	}
}

func TestLadderBegins(t *testing.T) {
	for _, tt := range []struct {
		capacity float64
		rung     Rung
	}{{0, Full}, {4e6, Full}, {2.7e6, DropDisposable}, {1.5e6, Trim}, {750e3, Keyframes}, {100e3, Audio}} {
		l := NewLadder(parsePlaces(t, allRungs))
		c := l.Begin(epoch, []Offer{whole}, tt.capacity)
		if c.Step.Rung != tt.rung || c.Changed != (tt.rung != Full) || c.Changed && c.Reason.Cause != CauseHistory {
			t.Errorf("with %.0f b/s: got %v, %+v", tt.capacity, c.Step.Rung, c.Reason)
		}
		if tt.rung == Trim && c.Step.rates.At(Trim, c.Share) > tt.capacity {
			t.Errorf("got share %.2f, which does not fit", c.Share)
		}
		// The next connection begins there too; a capacity does not move it up.
		if c := l.Begin(epoch.Add(time.Second), []Offer{whole}, 0); c.Step.Rung != tt.rung || c.Changed {
			t.Errorf("again: got %v", c.Step.Rung)
		}
		if at, when := l.Capacity(); at != tt.capacity || when.Equal(epoch) != (tt.capacity > 0) {
			t.Errorf("got capacity %v, measured %v", at, when)
		}
	}
}

// climber is a ladder that samples its connection four times a second.
type climber struct {
	*Ladder
	now    time.Time
	offers []Offer
}

func newClimber(t testing.TB, written string, offers ...Offer) *climber {
	c := &climber{NewLadder(parsePlaces(t, written)), epoch, offers}
	c.Begin(c.now, offers, 0)
	c.look(Line{}, time.Second) // the lag at the start of the connection
	return c
}

// look repeats a sample for a time and returns the last choice and the changes.
func (c *climber) look(line Line, d time.Duration) (last Choice, changes []string) {
	for end := c.now.Add(d); c.now.Before(end); {
		c.now = c.now.Add(250 * time.Millisecond)
		last = c.Step(c.now, line, c.offers)
		if last.Changed {
			changes = append(changes, fmt.Sprintf("%v(%s) %s", last.Step.Rung, last.Step.Offer, last.Reason.Cause))
		}
	}
	return last, changes
}

func TestLadderOffers(t *testing.T) {
	bad := Line{Lag: 1500 * time.Millisecond}
	low := lowerOffer("low", 800e3, true)
	making := lowerOffer("low", 800e3, false)
	t.Run("made on demand", func(t *testing.T) {
		c := newClimber(t, allRungs, whole, making)
		if got, _ := c.look(bad, 250*time.Millisecond); got.Step.Rung != DropDisposable || got.Want != "low" {
			t.Errorf("got %v, wants %q", got.Step.Rung, got.Want)
		}
		c.offers[1] = low
		got, changes := c.look(Line{}, 500*time.Millisecond)
		if got.Step.Rung != Rendition || got.Want != "low" || !slices.Equal(changes, []string{"rendition(low) offer"}) {
			t.Errorf("got %v, wants %q: %q", got.Step.Rung, got.Want, changes)
		}
	})
	t.Run("gone", func(t *testing.T) {
		c := newClimber(t, allRungs, whole, low)
		if got, _ := c.look(bad, 250*time.Millisecond); got.Step.Rung != Rendition {
			t.Fatalf("got %v", got.Step.Rung)
		}
		c.offers = c.offers[:1]
		got, changes := c.look(Line{}, 500*time.Millisecond)
		if got.Step.Offer != "" || got.Step.Rate > 800e3/maxStepRatio || len(changes) != 1 || got.Step.Rung != Trim {
			t.Errorf("got %v(%s): %q", got.Step.Rung, got.Step.Offer, changes)
		}
	})
	t.Run("another takes its place", func(t *testing.T) {
		c := newClimber(t, allRungs, whole, low, lowerOffer("least", 400e3, true))
		c.look(bad, 250*time.Millisecond)
		c.offers = []Offer{whole, c.offers[2]}
		if got, _ := c.look(Line{}, 250*time.Millisecond); got.Step.Offer != "least" || !got.Changed || got.Reason.Cause != CauseOffer {
			t.Errorf("got %v(%s): %+v", got.Step.Rung, got.Step.Offer, got.Reason)
		}
	})
	t.Run("nothing known for a time", func(t *testing.T) {
		c := newClimber(t, "full trim audio", whole)
		c.look(bad, 250*time.Millisecond)
		c.offers = []Offer{{Ready: true}}
		got, changes := c.look(Line{}, 2*time.Second)
		if got.Step.Rung != Trim || len(changes) > 0 {
			t.Errorf("got %v: %q", got.Step.Rung, changes)
		}
	})
	t.Run("nothing disposable any more", func(t *testing.T) {
		c := newClimber(t, "full drop-disposable audio", whole)
		c.look(bad, 250*time.Millisecond)
		plain := whole
		plain.Rates.Disposable = 50e3
		c.offers = []Offer{plain}
		if got, changes := c.look(Line{}, 250*time.Millisecond); got.Step.Rung != Full || len(changes) != 1 {
			t.Errorf("got %v: %q", got.Step.Rung, changes)
		}
	})
}

func TestLadderForced(t *testing.T) {
	low := lowerOffer("low", 800e3, false)
	c := newClimber(t, allRungs, whole, low)
	force := func(written string) (Choice, []string) {
		c.Force(&parsePlaces(t, written)[0])
		return c.look(Line{Lag: 5 * time.Second, Rate: 1e5, Limited: true}, 5*time.Second)
	}
	for _, r := range []string{"keyframes", "full", "audio", "drop-disposable", "trim"} {
		if got, changes := force(r); got.Step.Rung.String() != r || !slices.Equal(changes, []string{r + "() forced"}) || got.Skip {
			t.Errorf("%s: got %v, %q", r, got.Step.Rung, changes)
		}
	}
	if got, changes := force("rendition"); got.Step.Rung != Trim || got.Want != "low" || len(changes) > 0 {
		t.Errorf("got %v, wants %q, %q", got.Step.Rung, got.Want, changes)
	}
	c.offers[1].Ready = true
	if got, _ := c.look(Line{}, time.Second); got.Step.Rung != Rendition {
		t.Errorf("got %v", got.Step.Rung)
	}
	if got, _ := force("rendition:another"); got.Step.Offer != "low" {
		t.Errorf("got %v", got.Step)
	}
	c.offers = []Offer{whole}
	c.offers[0].Rates.Disposable = 0
	if got, _ := force("drop-disposable"); got.Step.Rung != Full {
		t.Errorf("forced to a rung that saves nothing: got %v", got.Step.Rung)
	}
	force("audio")
	c.Force(nil)
	if got, changes := c.look(Line{}, time.Minute); got.Step.Rung != Full || c.Forced() != nil {
		t.Errorf("no longer forced: got %v, %q", got.Step.Rung, changes)
	}
}

func TestLadderForgivesAReplay(t *testing.T) {
	for _, late := range []time.Duration{0, 2 * time.Second, 8 * time.Second, 30 * time.Hour} {
		l := NewLadder(parsePlaces(t, allRungs))
		l.Begin(epoch, []Offer{whole}, 0)
		now := epoch
		for lag := late; lag > 0; lag -= max(lag/10, 100*time.Millisecond) {
			now = now.Add(250 * time.Millisecond)
			if lag > time.Hour {
				lag = 8 * time.Second // the configuration, which was that old, has arrived
			} else if c := l.Step(now, Line{Lag: lag}, []Offer{whole}); c.Changed || c.Skip {
				t.Fatalf("%v behind at the start: got %v at %v, %+v", late, c.Step.Rung, lag, c.Reason)
			}
		}
		l.Step(now, Line{}, []Offer{whole})
		// Lag after that counts.
		if c := l.Step(now.Add(time.Second), Line{Lag: 1500 * time.Millisecond}, []Offer{whole}); !c.Changed {
			t.Errorf("%v behind at the start: got no step down for later lag", late)
		}
	}
	c := newClimber(t, allRungs, whole)
	c.Begin(c.now, c.offers, 0)
	if got, changes := c.look(Line{Lag: 8 * time.Second}, startLagStalled-500*time.Millisecond); len(changes) > 0 {
		t.Errorf("got %v: %q", got.Step.Rung, changes)
	}
	if _, changes := c.look(Line{Lag: 8 * time.Second}, 2*time.Second); len(changes) == 0 {
		t.Error("got no step down for a replay that does not catch up")
	}
}
