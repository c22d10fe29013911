package filler

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/datadriven"

	"github.com/holdfast-live/holdfast/packetbuf"
	"github.com/holdfast-live/holdfast/packetbuf/flv"
	"github.com/holdfast-live/holdfast/testmedia"
)

// story is the state of a script: what was published, and the filler of the stream once it is held.
type story struct {
	held   Held
	media  []*packetbuf.Packet
	filler *Filler
	since  time.Duration // where the stream's clock stood when it was held
}

func TestStories(t *testing.T) {
	datadriven.Walk(t, "testdata", func(t *testing.T, path string) {
		var s story
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			t.Helper()
			switch d.Cmd {
			case "publish":
				return s.publish(t, d)
			case "hold":
				return s.hold(t, d)
			case "due":
				return s.due(t, d)
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
	v, err := time.ParseDuration(text)
	if err != nil {
		d.Fatalf(t, "%s: %v", key, err)
	}
	return v
}

// publish plays the first part of the clip, up to until. The flags noaudio and novideo leave out a
// track, noconfig the configuration of the video.
func (s *story) publish(t *testing.T, d *datadriven.TestData) string {
	t.Helper()
	until := duration(t, d, "until")
	*s = story{}
	var before time.Duration
	for _, p := range testmedia.Clip() {
		switch {
		case p.Track == packetbuf.Data, d.HasArg("noaudio") && p.Track == packetbuf.Audio, d.HasArg("novideo") && p.Track == packetbuf.Video:
		case p.Kind == packetbuf.Config:
			if !d.HasArg("noconfig") || p.Track != packetbuf.Video {
				s.held.Configs[p.Track] = p
			}
		case p.DTS >= until:
		default:
			s.media = append(s.media, p)
			if p.Track == packetbuf.Audio {
				s.held.LastAudio, s.held.HasAudio = p.DTS, true
				continue
			}
			s.held.LastVideo, s.held.VideoStep, before = p.DTS, p.DTS-before, p.DTS
			if p.Kind == packetbuf.Key {
				s.held.Keyframe = p
			}
		}
	}
	s.held.Media = slices.Values(s.media)
	return fmt.Sprintf("%d packets, video to %v, audio to %v\n", len(s.media), s.held.LastVideo, s.held.LastAudio)
}

// hold starts the filler where the stream's clock stands at clock. slate=clip
// configures the clip as a slate, slate=video the clip without its audio.
func (s *story) hold(t *testing.T, d *datadriven.TestData) string {
	t.Helper()
	s.since = duration(t, d, "clock")
	s.held.AudioClock, s.held.Stalled = s.since, d.HasArg("stalled")
	var slate string
	if d.MaybeScanArgs(t, "slate", &slate) {
		s.held.Slate = readClip(t, slate != "video")
	}
	s.filler = New(s.held)
	out := fmt.Sprintf("freezes=%t silent=%t\n", s.filler.Freezes(), s.filler.Silent())
	if err := s.filler.SlateFault(); err != nil {
		out += strings.ReplaceAll(err.Error(), "\n", "; ") + "\n"
	}
	return out
}

func readClip(t *testing.T, audio bool) *Slate {
	t.Helper()
	file := flv.Header(true, true)
	for _, p := range testmedia.Clip() {
		if audio || p.Track != packetbuf.Audio {
			file = append(file, flv.Tag(p)...)
		}
	}
	slate, err := ReadSlate("clip.flv", bytes.NewReader(file))
	if err != nil {
		t.Fatal(err)
	}
	return slate
}

// due lists what is due at a position of the stream's clock; with the flag sum only how much of
// each track there is.
func (s *story) due(t *testing.T, d *datadriven.TestData) string {
	t.Helper()
	at := duration(t, d, "at")
	packets := s.filler.Due(at-s.since, at, at)
	var out strings.Builder
	var n, size [packetbuf.NumTracks]int
	padding := 0
	for _, p := range packets {
		n[p.Track]++
		size[p.Track] += len(p.Payload)
		padding += int(p.Padding)
		if !d.HasArg("sum") {
			fmt.Fprintf(&out, "%-8v %v %v %d bytes%s\n", p.DTS, p.Track, p.Kind, len(p.Payload), marks(p))
		}
	}
	if d.HasArg("sum") {
		for _, tr := range []packetbuf.Track{packetbuf.Video, packetbuf.Audio} {
			fmt.Fprintf(&out, "%v: %d packets, %d bytes\n", tr, n[tr], size[tr])
		}
		fmt.Fprintf(&out, "padding: %d units\n", padding)
	}
	return out.String()
}

// marks lists what else a packet carries.
func marks(p Packet) (out string) {
	for _, f := range []struct {
		flag packetbuf.Flags
		name string
	}{{packetbuf.Splice, "splice"}, {packetbuf.Repeat, "repeat"}, {packetbuf.Restart, "restart"}, {packetbuf.Overdue, "overdue"}} {
		if p.Flags&f.flag != 0 {
			out += " " + f.name
		}
	}
	if p.StartsSlate {
		out += " starts-slate"
	}
	if p.Padding > 0 {
		out += fmt.Sprintf(" padding=%d", p.Padding)
	}
	return out
}
