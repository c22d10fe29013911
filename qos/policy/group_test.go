package policy

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/holdfast-live/holdfast/qos"
	"github.com/holdfast-live/holdfast/testmedia/story"
)

func halfChance() float64 { return 0.5 }

func TestStories(t *testing.T) {
	stories, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(stories) == 0 {
		t.Fatalf("got %d stories, %v", len(stories), err)
	}
	for _, path := range stories {
		t.Run(strings.TrimSuffix(filepath.Base(path), ".txt"), func(t *testing.T) {
			s := &groupStory{t: t}
			story.Run(t, path, s.do)
		})
	}
}

type groupStory struct {
	t *testing.T
	w *world
}

func (s *groupStory) do(c story.Command) string {
	if c.Name == "group" {
		s.w = newWorld(GroupConfig{
			Routes: strings.Split(c.String("routes", "a,b"), ","),
			After:  c.Duration("after", 2*time.Second), Rise: c.Duration("rise", 30*time.Second), Probe: c.Duration("probe", 5*time.Second),
			GiveUp: c.Int("give_up", 0), NoProbe: c.Has("no-probe"),
		}, halfChance, c.Fatalf)
		return ""
	}
	w := s.w
	w.base = w.now
	w.show.Reset()
	w.probes = c.Has("probes")
	switch c.Name {
	case "start":
		w.apply(w.g.Start(w.now))
	case "host":
		w.setHost(s.route(c), outcomes[c.Arg(1)])
	case "dials":
		w.takes = c.ArgDuration(0)
	case "mute":
		w.silentHosts = c.Arg(0) == "on"
	case "deaf":
		w.ignoreCancel = c.Arg(0) == "on"
	case "score":
		scores := make([]Score, len(w.names))
		for i, n := range w.names {
			scores[i].Value = c.Float(n, 1)
		}
		w.apply(w.g.Scores(w.now, scores))
	case "force":
		if c.Arg(0) == "none" {
			w.apply(w.g.Force(w.now, -1))
			break
		}
		w.apply(w.g.Force(w.now, s.route(c)))
	case "reset":
		w.apply(w.g.Reset(w.now, s.route(c)))
	case "break":
		i := s.route(c)
		w.connected[i], w.active = false, -1
		w.apply(w.g.Broke(w.now, i, c.Arg(1)))
	case "wait":
		w.advanceBy(c.ArgDuration(0))
	case "flap":
		for range c.Int("times", 10) {
			w.setHost(s.route(c), qos.DialFailed)
			w.advanceBy(c.Duration("down", 5*time.Second))
			w.setHost(s.route(c), qos.DialOK)
			w.advanceBy(c.Duration("up", 5*time.Second))
		}
		if c.Has("count") {
			return fmt.Sprintf("%d switches\n", w.switches)
		}
	case "status":
		return formatStatus(w.g.Status(w.now), w.now)
	case "decisions":
		var out strings.Builder
		for _, d := range w.g.Status(w.now).Decisions {
			fmt.Fprintf(&out, "%s from %q: %s\n", d.Route, d.From, d.Reason.Cause)
		}
		return out.String()
	default:
		return c.Unknown()
	}
	return w.show.String()
}

var outcomes = map[string]qos.Outcome{
	"up": qos.DialOK, "down": qos.DialFailed, "denied": qos.DialDenied, "rejects": qos.DialRejected, "hangs": qos.DialTimeout,
}

func (s *groupStory) route(c story.Command) int {
	i := slices.Index(s.w.names, c.Arg(0))
	if i < 0 {
		c.Fatalf("unknown route %s", c.Arg(0))
	}
	return i
}

func formatStatus(s GroupStatus, now time.Time) string {
	var out strings.Builder
	for _, r := range s.Routes {
		fmt.Fprintf(&out, "%s %v for %v", r.Name, r.State, roundForDisplay(now.Sub(r.Since)))
		if r.Fails > 0 {
			fmt.Fprintf(&out, ", %d failures", r.Fails)
		}
		if r.Backoff > 0 {
			fmt.Fprintf(&out, ", redial in %.1fs", r.Backoff)
		}
		if !r.HealthySince.IsZero() {
			fmt.Fprintf(&out, ", healthy for %v", roundForDisplay(now.Sub(r.HealthySince)))
		}
		if r.LastFailure != "" {
			fmt.Fprintf(&out, ", last %s", r.LastFailure)
		}
		fmt.Fprintf(&out, ", needs %vs\n", r.Rise)
	}
	fmt.Fprintf(&out, "active %q, forced %q, %d switches\n", s.Active, s.Forced, s.Switches)
	return out.String()
}

// TestFlapping checks that a route that is up and down for five seconds each, ten times, causes at
// most three switches, for any random numbers and phase.
func TestFlapping(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		chance := func() float64 { return rapid.Float64Range(0, 0.999).Draw(t, "chance") }
		after := time.Duration(rapid.IntRange(0, 4000).Draw(t, "after")) * time.Millisecond
		rise := time.Duration(rapid.IntRange(2000, 30000).Draw(t, "rise")) * time.Millisecond
		w := newWorld(GroupConfig{Routes: []string{"a", "b"}, After: after, Rise: rise, Probe: time.Second}, chance, t.Fatalf)
		w.apply(w.g.Start(w.now))
		w.advanceBy(time.Duration(rapid.IntRange(1000, 60000).Draw(t, "first")) * time.Millisecond)
		for range 10 {
			w.setHost(0, qos.DialFailed)
			w.advanceBy(5 * time.Second)
			w.setHost(0, qos.DialOK)
			w.advanceBy(5 * time.Second)
		}
		if w.switches > 3 {
			t.Fatalf("got %d switches, want at most 3\n%s", w.switches, w.show.String())
		}
	})
}

// TestInvariants drives groups at random. The world checks that at most one route is active, that no
// route is dialled twice at once, that only connected routes are used, and that time advances. In
// the end, after all hosts have been up for long enough, a route must be active.
func TestInvariants(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		chance := func() float64 { return rapid.Float64Range(0, 0.999).Draw(t, "chance") }
		n := rapid.IntRange(1, 4).Draw(t, "routes")
		seconds := func(name string, most int) time.Duration {
			return time.Duration(rapid.IntRange(0, most*10).Draw(t, name)) * 100 * time.Millisecond
		}
		w := newWorld(GroupConfig{
			Routes: []string{"a", "b", "c", "d"}[:n], After: seconds("after", 5), Rise: seconds("rise", 40), Probe: seconds("probe", 8),
			NoProbe: rapid.Bool().Draw(t, "no probe"), GiveUp: rapid.SampledFrom([]int{0, 0, 3}).Draw(t, "give up"),
		}, chance, t.Fatalf)
		w.takes = seconds("dial", 6)
		if rapid.Bool().Draw(t, "start") {
			w.apply(w.g.Start(w.now))
		}
		for range rapid.IntRange(1, 40).Draw(t, "steps") {
			i := rapid.IntRange(0, n-1).Draw(t, "route")
			switch rapid.IntRange(0, 9).Draw(t, "do") {
			case 0:
				w.apply(w.g.Force(w.now, rapid.IntRange(-1, n).Draw(t, "force")))
			case 1:
				w.apply(w.g.Reset(w.now, i))
			case 2:
				scores := make([]Score, n)
				for j := range scores {
					scores[j].Value = rapid.Float64Range(-1, 2).Draw(t, "score")
				}
				w.apply(w.g.Scores(w.now, scores))
			case 3:
				w.apply(w.g.Start(w.now))
			case 4:
				w.silentHosts, w.ignoreCancel = !w.silentHosts, rapid.Bool().Draw(t, "deaf")
			case 5, 6:
				w.setHost(i, rapid.SampledFrom(qos.Outcomes()).Draw(t, "outcome"))
			default:
				w.advanceBy(seconds("wait", 120))
			}
			checkWorld(t, w)
		}
		checkSettles(t, w)
	})
}

func checkWorld(t *rapid.T, w *world) {
	s := w.g.Status(w.now)
	up := 0
	for i, r := range s.Routes {
		if r.State == Up {
			up++
			if w.active != i {
				t.Fatalf("got %s up, want only %d", r.Name, w.active)
			}
		}
		if r.Backoff < 0 || r.Fails < 0 {
			t.Fatalf("got %+v", r)
		}
	}
	if up > 1 || up == 0 && w.active >= 0 {
		t.Fatalf("got %d routes up with %d active", up, w.active)
	}
	if len(s.Decisions) > maxDecisions {
		t.Fatalf("got %d decisions, want at most %d", len(s.Decisions), maxDecisions)
	}
}

// checkSettles brings all hosts up and checks that the group notices.
func checkSettles(t *rapid.T, w *world) {
	w.apply(w.g.Start(w.now))
	w.apply(w.g.Force(w.now, -1))
	for i := range w.names {
		w.setHost(i, qos.DialOK)
		w.apply(w.g.Reset(w.now, i))
	}
	w.silentHosts = false
	w.apply(w.g.Scores(w.now, make([]Score, len(w.names))))
	w.advanceBy(time.Minute)
	if w.active < 0 {
		t.Fatalf("all hosts up: got no active route: %+v", w.g.Status(w.now))
	}
	w.advanceBy(time.Hour)
	if w.active != 0 {
		t.Fatalf("all hosts up for an hour: got %d active: %+v", w.active, w.g.Status(w.now))
	}
	switches, dials := w.switches, w.dials
	w.advanceBy(time.Hour)
	if w.switches != switches || w.dials != dials {
		t.Fatalf("all hosts up: got %d switches and %d dials, want none", w.switches-switches, w.dials-dials)
	}
}

// TestDeadHosts checks that dead hosts are dialled rarely, for ever.
func TestDeadHosts(t *testing.T) {
	w := newWorld(GroupConfig{Routes: []string{"a", "b"}, After: 2 * time.Second, Rise: 30 * time.Second}, halfChance, t.Fatalf)
	w.hosts = []qos.Outcome{qos.DialFailed, qos.DialTimeout}
	w.apply(w.g.Start(w.now))
	w.advanceBy(time.Hour)
	// At the longest delay of 30 s, with jitter over its second half.
	if got := w.dials; got < 2*120 || got > 2*250 {
		t.Errorf("got %d dials in an hour", got)
	}
}
