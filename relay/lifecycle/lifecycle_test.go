package lifecycle

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/holdfast-live/holdfast/ingest"
	"github.com/holdfast-live/holdfast/testmedia/story"
)

var epoch = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// harness is a machine with a clock and sessions that remember their last media.
type harness struct {
	m    *Machine
	now  time.Time
	last map[ID]time.Time
	keys map[ID]bool // sessions of which a keyframe has arrived
}

func newHarness(cfg Config) *harness {
	d := &harness{now: epoch, last: map[ID]time.Time{}, keys: map[ID]bool{}}
	d.m = New(cfg, d)
	return d
}

func (d *harness) Quiet(id ID, now time.Time) time.Duration { return now.Sub(d.last[id]) }

func (d *harness) Ready(id ID, now time.Time) bool {
	return d.keys[id] && d.Quiet(id, now) < time.Second
}

var reference = Config{Hold: 30 * time.Second, HoldUnpublish: 5 * time.Second, BackupReturn: 10 * time.Second}

func TestStories(t *testing.T) {
	story.Each(t, "testdata", func(*testing.T) func(story.Command) string { return newHarness(reference).do })
}

// do executes one line of a story.
func (d *harness) do(c story.Command) string {
	id := func() ID { return ID(c.Int("id", 1)) } //nolint:gosec // a story's small number
	switch c.Name {
	case "config":
		cfg := reference
		cfg.Hold = c.Duration("hold", cfg.Hold)
		cfg.Takeover = map[string]Takeover{"auto": Auto, "always": Always, "never": Never}[c.String("takeover", "auto")]
		d.m.SetConfig(cfg)
		return ""
	case "publish":
		a, effects := d.m.Publish(d.now, id(), c.Has("backup"))
		if a.OK {
			d.last[id()] = d.now
		}
		return admission(a) + show(effects)
	case "key", "delta":
		d.last[id()] = d.now
		d.keys[id()] = d.keys[id()] || c.Name == "key"
		action, effects := d.m.Media(d.now, id(), c.Name == "key")
		return actions[action] + "\n" + show(effects)
	case "late":
		return show(d.m.Late(id()))
	case "silent":
		return show(d.m.Silent(d.now, id(), ingest.Cause(c.String("cause", "silence"))))
	case "end":
		return show(d.m.End(d.now, id(), ingest.Cause(c.Arg(0))))
	case "stop":
		return show(d.m.Stop(ingest.Kick))
	case "wait":
		return d.wait(c.ArgDuration(0), c.Has("media"), id())
	}
	return c.Unknown()
}

// wait lets time pass, with continuous media or without, and calls Tick when it is due.
func (d *harness) wait(t time.Duration, media bool, id ID) string {
	end := d.now.Add(t)
	var out strings.Builder
	for next := d.m.Next(); !next.IsZero() && !next.After(end); next = d.m.Next() {
		d.now = next
		if media {
			d.last[id] = next
		}
		if effects := d.m.Tick(next); len(effects) > 0 {
			fmt.Fprintf(&out, "after %v\n", next.Sub(end.Add(-t)))
			out.WriteString(show(effects))
		}
	}
	d.now = end
	if media {
		d.last[id] = end
	}
	return out.String()
}

var actions = map[Action]string{Drop: "drop", Late: "late", Pass: "pass", Splice: "splice", Refuse: "refuse", Keep: "keep", Ask: "ask"}

func admission(a Admission) string {
	switch {
	case a.OK && a.Outcome != "":
		return "accepted, the other was " + a.Outcome + "\n"
	case a.OK:
		return "accepted\n"
	case a.Wait > 0:
		return fmt.Sprintf("refused: %s; wait %v\n", a.Reason, a.Wait)
	}
	return "refused: " + a.Reason + "\n"
}

func show(effects []Effect) string {
	var b strings.Builder
	for _, e := range effects {
		switch e.Kind {
		case Changed:
			fmt.Fprintf(&b, "%v -> %v %s\n", e.From, e.To, e.Cause)
		case Broke:
			held := map[bool]string{true: ", held warm"}[e.Spare]
			fmt.Fprintf(&b, "%d broke%s: %s\n", e.ID, held, e.Cause)
		case Resumed:
			fmt.Fprintf(&b, "%d resumed after %v\n", e.ID, e.Outage)
		case Close:
			fmt.Fprintf(&b, "close %d: %s\n", e.ID, e.Cause)
		case Turned:
			fmt.Fprintf(&b, "%d feeds from what was kept\n", e.ID)
		}
	}
	return strings.ReplaceAll(b.String(), " \n", "\n")
}

// TestInvariants drives a machine at random. The current and the waiting session always differ,
// an ended stream stays ended, and a hold has an end.
func TestInvariants(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d := newHarness(Config{Hold: 10 * time.Second, HoldUnpublish: time.Second, BackupReturn: 3 * time.Second, Takeover: rapid.SampledFrom([]Takeover{Auto, Always, Never}).Draw(t, "takeover")})
		lastID := ID(0)
		ended := false
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			d.now = d.now.Add(time.Duration(rapid.IntRange(0, 4000).Draw(t, "ms")) * time.Millisecond)
			id := ID(rapid.IntRange(1, int(lastID)+1).Draw(t, "id")) //nolint:gosec // small
			switch rapid.IntRange(0, 6).Draw(t, "do") {
			case 0:
				lastID++
				if a, _ := d.m.Publish(d.now, lastID, rapid.Bool().Draw(t, "backup")); a.OK {
					d.last[lastID] = d.now
					if ended {
						t.Fatal("an ended stream accepted a publisher")
					}
				}
			case 1, 2:
				d.last[id] = d.now
				key := rapid.Bool().Draw(t, "key")
				d.keys[id] = d.keys[id] || key
				action, _ := d.m.Media(d.now, id, key)
				if (action == Pass || action == Splice) && id != d.m.Current() {
					t.Fatalf("media of session %d was used, current is %d", id, d.m.Current())
				}
			case 3:
				d.m.Silent(d.now, id, ingest.Silence)
			case 4:
				d.m.End(d.now, id, ingest.Reset)
				if id == d.m.Current() || id == d.m.Waiting() || id == d.m.Spare() {
					t.Fatalf("session %d has ended and is still known", id)
				}
			case 5:
				d.m.Late(id)
			case 6:
				d.m.Tick(d.now)
			}
			state, _ := d.m.State()
			if ended && state != Ended {
				t.Fatalf("got state %v after ended", state)
			}
			ended = state == Ended
			if c := d.m.Current(); c != 0 && c == d.m.Waiting() {
				t.Fatalf("session %d is current and waiting", c)
			}
			if sp := d.m.Spare(); sp != 0 && (sp == d.m.Current() || sp == d.m.Waiting()) {
				t.Fatalf("session %d is standby and current or waiting", sp)
			}
			if state == Held && d.m.Next().IsZero() {
				t.Fatal("got a hold without an end")
			}
			if (state == Live || state == Suspect) && d.m.Current() == 0 {
				t.Fatalf("got state %v without a current session", state)
			}
		}
	})
}
