package standby

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/datadriven"

	"github.com/holdfast-live/holdfast/packetbuf"
)

var epoch = time.Unix(1000, 0)

// story is the state of a script.
type story struct {
	sent, kept Window
	returning  Returning
	flaps      Flaps
}

func TestStories(t *testing.T) {
	datadriven.Walk(t, "testdata", func(t *testing.T, path string) {
		var s story
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			t.Helper()
			switch d.Cmd {
			case "sent":
				return window(t, d, &s.sent)
			case "kept":
				return window(t, d, &s.kept)
			case "plan":
				return s.plan(t, d)
			case "return":
				s.returning = Returning{}
				s.returning.Begin(duration(t, d, "rtt"), duration(t, d, "jitter"))
				return ""
			case "backlog":
				return s.backlog(t, d)
			case "squeeze":
				return squeeze(t, d)
			case "flap":
				return s.flap(t, d)
			}
			d.Fatalf(t, "unknown command %q", d.Cmd)
			return ""
		})
	})
}

// duration returns the argument key, or 0.
func duration(t *testing.T, d *datadriven.TestData, key string) time.Duration {
	t.Helper()
	var text string
	if !d.MaybeScanArgs(t, key, &text) {
		return 0
	}
	return parse(t, d, text)
}

func parse(t *testing.T, d *datadriven.TestData, text string) time.Duration {
	t.Helper()
	v, err := time.ParseDuration(text)
	if err != nil {
		d.Fatalf(t, "%v", err)
	}
	return v
}

// packet reads a line: a DTS, the payload, and what else holds of it.
func packet(t *testing.T, d *datadriven.TestData, line string) (p *packetbuf.Packet, has func(word string) bool) {
	t.Helper()
	words := strings.Fields(line)
	p = &packetbuf.Packet{Track: packetbuf.Video, Kind: packetbuf.Delta, DTS: parse(t, d, words[0]), Payload: []byte(words[1])}
	p.Arrived = epoch.Add(p.DTS)
	has = func(word string) bool {
		for _, w := range words[2:] {
			if w == word {
				return true
			}
		}
		return false
	}
	if has("key") || has("idr") {
		p.Kind = packetbuf.Key
	}
	if has("audio") {
		p.Track = packetbuf.Audio
	}
	return p, has
}

// window fills a window anew.
func window(t *testing.T, d *datadriven.TestData, w *Window) string {
	t.Helper()
	w.Clear()
	limits := packetbuf.Limits{Duration: 20 * time.Second, Bytes: 1 << 20}
	for line := range strings.Lines(d.Input) {
		p, has := packet(t, d, line)
		w.Add(p, has("key") || has("idr"), has("idr"), limits)
	}
	return fmt.Sprintf("%d packets, start %d, frozen start %d\n", len(w.packets), w.Start(false), w.Start(true))
}

// plan plans the switchover. The clock of the standby differs from that of the active session by
// offset; without it the two tell nothing of each other.
func (s *story) plan(t *testing.T, d *datadriven.TestData) string {
	t.Helper()
	offset, known := duration(t, d, "offset"), d.HasArg("offset")
	plan := Plan(s.sent, s.kept, packetbuf.Video, d.HasArg("frozen"), !d.HasArg("otherconfigs"), func(dts, raw time.Duration) bool {
		return known && dts+offset == raw
	})
	if plan.Aligned != nil {
		return fmt.Sprintf("goes on behind %s, which stands at %v\n", plan.Aligned.Payload, plan.At)
	}
	return fmt.Sprintf("splices at %s, %d packets\n", plan.Packets[0].Payload, len(plan.Packets))
}

// backlog brings packets: when each arrives, its lag, and what it is.
func (s *story) backlog(t *testing.T, d *datadriven.TestData) string {
	t.Helper()
	limit := 0
	d.MaybeScanArgs(t, "limit", &limit)
	var out strings.Builder
	for line := range strings.Lines(d.Input) {
		at, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
		now := epoch.Add(parse(t, d, at))
		p, has := packet(t, d, rest)
		s.returning.Note(now, p.DTS) // the DTS stands for the lag
		kept, dropped := s.returning.Keep(now, p, has("key"), limit)
		fmt.Fprintf(&out, "%s: kept=%t dropped=%d", strings.TrimSpace(line), kept, dropped)
		if kept && s.returning.Joins(now) {
			n := len(s.returning.kept)
			_, shift := s.returning.Join()
			fmt.Fprintf(&out, "; joins with %d packets, shift %v, catching=%t", n, shift, s.returning.Catching())
		}
		out.WriteString("\n")
	}
	return out.String()
}

// squeeze places packets between last and end. A third word is the composition offset.
func squeeze(t *testing.T, d *datadriven.TestData) string {
	t.Helper()
	var packets []*packetbuf.Packet
	for line := range strings.Lines(d.Input) {
		p, _ := packet(t, d, line)
		if words := strings.Fields(line); len(words) > 2 {
			p.CTO = parse(t, d, words[2])
		}
		packets = append(packets, p)
	}
	var out strings.Builder
	where := func(p *packetbuf.Packet) time.Duration { return p.DTS }
	for _, p := range Squeeze(packets, where, duration(t, d, "last"), duration(t, d, "end")) {
		fmt.Fprintf(&out, "%s at %v, shown at %v\n", p.Payload, p.DTS, p.PTS)
	}
	return out.String()
}

// flap refuses pushes at the times of the input, or with the word returned tells of one that
// returned.
func (s *story) flap(t *testing.T, d *datadriven.TestData) string {
	t.Helper()
	var out strings.Builder
	for line := range strings.Lines(d.Input) {
		at, what, _ := strings.Cut(strings.TrimSpace(line), " ")
		now := epoch.Add(parse(t, d, at))
		if what == "returned" {
			fmt.Fprintf(&out, "%s: tell=%t\n", at, s.flaps.Returned(now))
			continue
		}
		n, tell := s.flaps.Refused(now)
		fmt.Fprintf(&out, "%s: tell=%t refused=%d\n", at, tell, n)
	}
	return out.String()
}
