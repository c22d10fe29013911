package audio

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/datadriven"

	"github.com/holdfast-live/holdfast/packetbuf"
)

var codecs = map[string]packetbuf.Codec{
	"none": packetbuf.NoCodec, "aac": packetbuf.AAC, "opus": packetbuf.Opus, "mp3": packetbuf.MP3, "flac": packetbuf.FLAC,
}

// story is the state of a script: a stream's bridge, and one viewer.
type story struct {
	bridge   Bridge
	selector Selector
}

func TestStories(t *testing.T) {
	datadriven.Walk(t, "testdata", func(t *testing.T, path string) {
		s := story{bridge: NewBridge()}
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			t.Helper()
			switch d.Cmd {
			case "source":
				return s.source(t, d)
			case "viewers":
				return s.viewers(t, d)
			case "bridged":
				return s.bridged(t, d)
			case "viewer":
				var accepts, source string
				d.ScanArgs(t, "accepts", &accepts)
				d.ScanArgs(t, "source", &source)
				s.selector = NewSelector(setOf(t, d, accepts), codecs[source])
				return ""
			case "pass":
				return s.pass(t, d)
			}
			d.Fatalf(t, "unknown command %q", d.Cmd)
			return ""
		})
	})
}

// setOf reads codecs with + between them; any is the empty set.
func setOf(t *testing.T, d *datadriven.TestData, names string) Codecs {
	t.Helper()
	if names == "any" {
		return 0
	}
	var list []packetbuf.Codec
	for name := range strings.SplitSeq(names, "+") {
		c, ok := codecs[name]
		if !ok {
			d.Fatalf(t, "unknown codec %q", name)
		}
		list = append(list, c)
	}
	return CodecsOf(list)
}

func (s *story) demand() string {
	return fmt.Sprintf("target=%v needed=%t\n", s.bridge.Target(), s.bridge.Needed())
}

// source changes the codec of the publisher's audio.
func (s *story) source(t *testing.T, d *datadriven.TestData) string {
	t.Helper()
	changed, obsolete := s.bridge.SetSource(codecs[d.CmdArgs[0].Key])
	return fmt.Sprintf("changed=%t obsolete=%t ", changed, obsolete) + s.demand()
}

// viewers adds viewers that accept some codecs.
func (s *story) viewers(t *testing.T, d *datadriven.TestData) string {
	t.Helper()
	var accepts string
	n := 1
	d.ScanArgs(t, "accepts", &accepts)
	d.MaybeScanArgs(t, "n", &n)
	s.bridge.AddViewers(setOf(t, d, accepts), n)
	return s.demand()
}

// packet reads a line: codec, config or a time, and bridged.
func packet(t *testing.T, d *datadriven.TestData, line string) *packetbuf.Packet {
	t.Helper()
	words := strings.Fields(line)
	p := &packetbuf.Packet{Track: packetbuf.Audio, Codec: codecs[words[0]], Kind: packetbuf.Delta}
	for _, word := range words[1:] {
		switch name, value, _ := strings.Cut(word, "="); name {
		case "bridged":
			p.Flags = packetbuf.Bridged
		case "config":
			p.Kind, p.Payload = packetbuf.Config, []byte(value)
		default:
			dts, err := time.ParseDuration(word)
			if err != nil {
				d.Fatalf(t, "%s: %v", line, err)
			}
			p.DTS = dts
		}
	}
	return p
}

// bridged brings packets from a bridge, while the stream's buffer reaches from oldest to newest.
func (s *story) bridged(t *testing.T, d *datadriven.TestData) string {
	t.Helper()
	var oldest, newest string
	d.ScanArgs(t, "oldest", &oldest)
	d.ScanArgs(t, "newest", &newest)
	at := Place{Kind: packetbuf.Delta}
	at.Oldest, _ = time.ParseDuration(oldest)
	at.Newest, _ = time.ParseDuration(newest)
	var out strings.Builder
	for line := range strings.Lines(d.Input) {
		p := packet(t, d, line)
		decision := s.bridge.Take(p, at)
		fmt.Fprintf(&out, "%s: %v", strings.TrimSpace(line), decision)
		if decision == Append {
			fmt.Fprintf(&out, " at %v", p.DTS)
		}
		out.WriteString("\n")
	}
	return out.String()
}

// pass takes the viewer past packets, and tells which it is given.
func (s *story) pass(t *testing.T, d *datadriven.TestData) string {
	t.Helper()
	var out strings.Builder
	for line := range strings.Lines(d.Input) {
		p := packet(t, d, line)
		fmt.Fprintf(&out, "%s: ", strings.TrimSpace(line))
		s.selector.Pass(p)
		if !s.selector.Wants(p) {
			out.WriteString("no\n")
			continue
		}
		if c := s.selector.MissingConfig(p); c != nil {
			fmt.Fprintf(&out, "config %s, then ", c.Payload)
			s.selector.Sent(c)
		}
		s.selector.Sent(p)
		out.WriteString("sent\n")
	}
	return out.String()
}
