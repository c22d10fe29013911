package publisher

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/datadriven"

	"github.com/holdfast-live/holdfast/ingest/watchdog"
	"github.com/holdfast-live/holdfast/packetbuf"
	"github.com/holdfast-live/holdfast/packetbuf/codec"
	"github.com/holdfast-live/holdfast/packetbuf/rtmp"
)

var epoch = time.Unix(1000, 0)

// story is the state of a script: one session.
type story struct {
	session *Session
	now     time.Duration // since epoch
}

func TestStories(t *testing.T) {
	datadriven.Walk(t, "testdata", func(t *testing.T, path string) {
		var s story
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			t.Helper()
			if d.Cmd == "accept" {
				s = story{session: NewSession(watchdog.Config{FirstMedia: 10 * time.Second}, epoch)}
				return ""
			}
			if at := duration(t, d, "at"); at > 0 {
				s.now = at
			}
			switch d.Cmd {
			case "metadata":
				return s.metadata(d)
			case "config":
				return s.config(t, d)
			case "media":
				return s.media(t, d)
			case "join":
				s.session.Join(epoch.Add(s.now))
				return ""
			case "audio":
				return s.audio()
			case "look":
				return s.look()
			case "verdict":
				return s.verdict(t, d)
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

// metadata sends an onMetaData with a number in each field that the input names.
func (s *story) metadata(d *datadriven.TestData) string {
	var fields rtmp.Object
	for line := range strings.Lines(d.Input) {
		var key string
		var value float64
		if _, err := fmt.Sscan(line, &key, &value); err == nil {
			fields = append(fields, rtmp.Property{Key: key, Value: rtmp.Number(value)})
		}
	}
	s.session.Configure(&packetbuf.Packet{
		Track: packetbuf.Data, Kind: packetbuf.Config, Payload: rtmp.AppendAMF(nil, rtmp.String("onMetaData"), rtmp.ECMAArray(fields)),
	})
	return ""
}

// config sends an audio configuration with a number of channels.
func (s *story) config(t *testing.T, d *datadriven.TestData) string {
	t.Helper()
	var channels int
	d.ScanArgs(t, "channels", &channels)
	payload, ok := codec.AACConfig(48000, channels)
	if !ok {
		d.Fatalf(t, "no configuration for %d channels", channels)
	}
	replaces := s.session.Configure(&packetbuf.Packet{Track: packetbuf.Audio, Codec: packetbuf.AAC, Kind: packetbuf.Config, Payload: payload})
	return fmt.Sprintf("replaces=%t\n", replaces)
}

// media sends packets of a track for a time, every so often, a keyframe each gop of them. It tells
// where a decoder could start.
func (s *story) media(t *testing.T, d *datadriven.TestData) string {
	t.Helper()
	span, every, gop := duration(t, d, "for"), duration(t, d, "every"), 0
	d.MaybeScanArgs(t, "gop", &gop)
	track := packetbuf.Audio
	if d.HasArg("video") {
		track = packetbuf.Video
	}
	starts, first, n := 0, time.Duration(-1), 0
	for end := s.now + span; s.now < end; s.now += every {
		p := &packetbuf.Packet{Track: track, Kind: packetbuf.Delta, DTS: s.now, Payload: make([]byte, 1000)}
		if gop > 0 && n%gop == 0 {
			p.Kind = packetbuf.Key
		}
		n++
		now := epoch.Add(s.now)
		s.session.ComesBack(track)
		s.session.Note(now, p)
		if s.session.Classify(now, p, d.HasArg("standby")) {
			if starts++; first < 0 {
				first = s.now
			}
		}
	}
	if starts == 0 {
		return fmt.Sprintf("%d packets, none to start at\n", n)
	}
	return fmt.Sprintf("%d packets, %d to start at, the first at %v\n", n, starts, first)
}

// audio tells what viewers can be told of the session's audio.
func (s *story) audio() string {
	out := fmt.Sprintf("expected=%v may-bring=%t keeps=%t", s.session.ExpectedAudio(), s.session.MayBring(packetbuf.Audio), s.session.KeepsAudio(epoch.Add(s.now)))
	if c := s.session.GuessAudio(epoch.Add(s.now)); c != nil {
		out += fmt.Sprintf(" guess=%v", c.Codec)
	}
	return out + "\n"
}

func (s *story) look() string {
	now := epoch.Add(s.now)
	bits, audio, frames := s.session.Rates(now)
	return fmt.Sprintf("%.0f bit/s, audio %.0f, %.0f frames/s; keyframes every %v; jitter %v; quiet for %v; settles=%t\n",
		bits, audio, frames, s.session.KeyframeInterval(), s.session.Jitter(), s.session.Quiet(now), s.session.Settles(now))
}

// verdict asks for a verdict at each time of the input; socket=unread or socket=empty tells what
// the socket has.
func (s *story) verdict(t *testing.T, d *datadriven.TestData) string {
	t.Helper()
	line := Line{Lateness: duration(t, d, "late")}
	var socket string
	if d.MaybeScanArgs(t, "socket", &socket) {
		line.Known, line.Unread = true, socket == "unread"
	}
	var out strings.Builder
	for text := range strings.FieldsSeq(d.Input) {
		at, err := time.ParseDuration(text)
		if err != nil {
			d.Fatalf(t, "%v", err)
		}
		s.now = at
		now := epoch.Add(at)
		verdict, postponed := s.session.Verdict(now, line)
		fmt.Fprintf(&out, "%v: %v", at, verdict)
		if postponed {
			out.WriteString(", postponed")
		}
		for _, tr := range []packetbuf.Track{packetbuf.Video, packetbuf.Audio} {
			if s.session.FallsSilent(now, tr) {
				fmt.Fprintf(&out, ", %v falls silent", tr)
			}
		}
		out.WriteString("\n")
	}
	return out.String()
}
