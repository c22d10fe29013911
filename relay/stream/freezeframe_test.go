package stream

import (
	"bytes"
	"context"
	"encoding/binary"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/holdfast-live/holdfast/ingest"
	"github.com/holdfast-live/holdfast/packetbuf"
	"github.com/holdfast-live/holdfast/packetbuf/codec"
	"github.com/holdfast-live/holdfast/relay/lifecycle"
	"github.com/holdfast-live/holdfast/testmedia"
)

// clipPush pushes the clip.
type clipPush struct {
	sink    ingest.Sink
	packets []*packetbuf.Packet
	began   time.Time
}

func (b *bench) publishClip() *clipPush {
	b.t.Helper()
	sink, err := b.Publish(b.t.Context(), ingest.Request{App: "live", Name: "cam", Protocol: ingest.RTMP, Session: &session{}})
	if err != nil {
		b.t.Fatal(err)
	}
	return &clipPush{sink: sink, packets: testmedia.Clip(), began: time.Now()}
}

// until pushes what stands before end in the clip, in its own time.
func (p *clipPush) until(t *testing.T, end time.Duration) {
	t.Helper()
	for ; len(p.packets) > 0 && p.packets[0].DTS < end; p.packets = p.packets[1:] {
		time.Sleep(time.Until(p.began.Add(p.packets[0].DTS)))
		q := p.packets[0]
		q.Arrived = time.Now()
		if err := p.sink.Write(q); err != nil {
			t.Fatal(err)
		}
	}
}

func videoFrames(packets []*packetbuf.Packet) []*packetbuf.Packet {
	return slices.DeleteFunc(slices.Clone(packets), func(p *packetbuf.Packet) bool { return p.Track != packetbuf.Video || !p.Media() })
}

func isFiller(p *packetbuf.Packet) bool { return p.Flags&packetbuf.Filler != 0 }

// How often the last frame is repeated, and how many repeats come at the publisher's own interval.
const (
	frameEvery = 200 * time.Millisecond
	prompt     = 3
)

func TestFreezeFrames(t *testing.T) {
	story(t, nil, func(b *bench) {
		p := b.publishClip()
		p.until(t, 3500*time.Millisecond)
		r := b.attach()
		p.sink.End(ingest.Reset, "")
		time.Sleep(3 * time.Second)
		packets, _ := drain(t, r)
		all := videoFrames(packets)
		made := slices.DeleteFunc(slices.Clone(all), func(p *packetbuf.Packet) bool { return !isFiller(p) })
		if most := int(3*time.Second/frameEvery) + prompt; len(made) < most-prompt || len(made) > most {
			t.Fatalf("%d frames in 3s", len(made))
		}
		for i, p := range all[1:] {
			step := p.PTS() - all[i].PTS()
			switch n := slices.Index(made, p); {
			case n >= 0 && n < prompt && step != 40*time.Millisecond, n >= prompt && step != frameEvery, step <= 0:
				t.Errorf("frame %d at %v, %v after the one before", i, p.PTS(), step)
			case n >= 0 && (p.Kind != packetbuf.Delta || len(p.Payload) > 100):
				t.Errorf("made: %v of %d bytes", p.Kind, len(p.Payload))
			}
		}
		next := b.publishClip()
		next.until(t, time.Second)
		packets, _ = drain(t, r)
		after := videoFrames(packets)
		i := slices.IndexFunc(after, func(p *packetbuf.Packet) bool { return !isFiller(p) })
		if i < 0 || after[i].Flags&packetbuf.Splice == 0 || after[i].DTS <= made[len(made)-1].PTS() {
			t.Error("the new session does not begin behind what was made")
		}
	})
}

// After a made frame a keyframe is not enough: leading frames of an open GOP would refer to
// what is not there any more.
func TestOnlyAnIDREndsTheFreeze(t *testing.T) {
	open := &packetbuf.Packet{Track: packetbuf.Video, Codec: packetbuf.H264, Kind: packetbuf.Key, Payload: codec.AppendNAL(nil, []byte{0x41, 0x9a})}
	for name, again := range map[string]bool{"another session": false, "the same session": true} {
		t.Run(name, func(t *testing.T) {
			story(t, nil, func(b *bench) {
				p := b.publishClip()
				p.until(t, 3500*time.Millisecond)
				time.Sleep(5 * time.Second)
				next := p
				if !again {
					next = b.publishClip()
					next.until(t, 1) // configurations and the first keyframe
					if b.state() != lifecycle.Live {
						t.Fatal("an IDR frame did not end it")
					}
					next.until(t, 3*time.Second)
					next.sink.End(ingest.Reset, "")
					time.Sleep(time.Second)
					next = b.publishClip()
				}
				late := b.counters.Late.Load()
				q := &packetbuf.Packet{Track: open.Track, Codec: open.Codec, Kind: open.Kind, Payload: open.Payload, DTS: next.packets[0].DTS, Arrived: time.Now()}
				if err := next.sink.Write(q); err != nil {
					t.Fatal(err)
				}
				if b.state() != lifecycle.Held || again && b.counters.Late.Load() == late {
					t.Errorf("%v after a keyframe that is no IDR frame", b.state())
				}
				told := len(b.told())
				for b.state() != lifecycle.Live && len(next.packets) > 0 {
					next.packets[0].Arrived = time.Now()
					key := next.packets[0].Kind == packetbuf.Key
					if err := next.sink.Write(next.packets[0]); err != nil {
						t.Fatal(err)
					}
					if next.packets = next.packets[1:]; key {
						break
					}
				}
				if again {
					time.Sleep(time.Second) // more of a backlog might have come
				}
				if !slices.ContainsFunc(b.told()[told:], func(e Event) bool { return e.Type == Resumed }) {
					t.Error("an IDR frame did not end it")
				}
			})
		})
	}
}

// An hour of hold costs little and grows nothing, and a viewer that joins at its end sees the frame that
// all others see.
func TestHeldForAnHour(t *testing.T) {
	if _, err := exec.LookPath("ffmpeg"); err != nil {
		t.Skip("needs ffmpeg")
	}
	var shown, joined []byte
	story(t, func(c *Config) { c.Hold = 2 * time.Hour }, func(b *bench) {
		p := b.publishClip()
		p.until(t, 3520*time.Millisecond)
		r := b.attach()
		seen, _ := drain(t, r)
		shown = byteStream(b, seen)
		p.sink.End(ingest.Reset, "")
		sent, began := 0, time.Now()
		var early packetbuf.Stats
		for minute := range 60 {
			for range 30 {
				time.Sleep(2 * time.Second)
				packets, err := drain(t, r)
				if err != nil {
					t.Fatal(err)
				}
				for _, p := range packets {
					sent += len(p.Payload) + 16 // about what a container adds
				}
				if count(packets, func(p *packetbuf.Packet) bool { return p.Kind == packetbuf.Key && p.Track == packetbuf.Video }) > 0 {
					t.Fatal("a viewer who has the frame was sent a keyframe")
				}
			}
			now := b.ring.Stats()
			if minute == 1 {
				early = now
			} else if minute > 1 && (now.Packets > early.Packets*5/4 || now.Bytes > early.Bytes*5/4) {
				t.Fatalf("after %d minutes %d packets of %d bytes, after 2 %d of %d", minute+1, now.Packets, now.Bytes, early.Packets, early.Bytes)
			}
		}
		rate := float64(sent) / time.Since(began).Seconds() / 1024
		t.Logf("%.1f KiB/s, %d packets of %d bytes in the buffer", rate, early.Packets, early.Bytes)
		if rate > 64 {
			t.Errorf("%.1f KiB/s", rate)
		}
		late := b.attach()
		seen, _ = drain(t, late)
		time.Sleep(7 * time.Second) // past another time that all is sent again
		more, _ := drain(t, late)
		all := videoFrames(slices.Concat(seen, more))
		for i := range all[1:] {
			if all[i+1].DTS <= all[i].DTS || all[i+1].PTS() <= all[i].PTS() {
				t.Fatalf("%v after %v", all[i+1].DTS, all[i].DTS)
			}
		}
		joined = byteStream(b, all)
	})
	want, got := decode(t, shown), decode(t, joined)
	if len(got) < 10 || got[len(got)-1] != want[len(want)-1] || got[len(got)-8] != want[len(want)-1] {
		t.Errorf("of %d frames the last is another than the last of %d", len(got), len(want))
	}
}

// byteStream is what a decoder of H.264 gets.
func byteStream(b *bench, packets []*packetbuf.Packet) (out []byte) {
	c, err := codec.ParseAVCConfig(b.sent[packetbuf.Video].Payload)
	if err != nil {
		b.t.Fatal(err)
	}
	add := func(au []byte) {
		for len(au) > 4 {
			n := binary.BigEndian.Uint32(au)
			out = append(append(out, 0, 0, 0, 1), au[4:4+n]...)
			au = au[4+n:]
		}
	}
	add(c.AppendParameterSets(nil))
	for _, p := range videoFrames(packets) {
		add(p.Payload)
	}
	return out
}

// decode is the sums of the frames.
func decode(t *testing.T, stream []byte) (sums []string) {
	t.Helper()
	cmd := exec.CommandContext(context.WithoutCancel(t.Context()), "ffmpeg", "-v", "warning", "-f", "h264", "-i", "-", "-fps_mode", "passthrough", "-f", "framemd5", "-")
	var stderr bytes.Buffer
	cmd.Stdin, cmd.Stderr = bytes.NewReader(stream), &stderr
	out, err := cmd.Output()
	if err != nil || stderr.Len() > 0 {
		t.Fatalf("ffmpeg: %v\n%s", err, stderr.String())
	}
	for line := range strings.Lines(string(out)) {
		if fields := strings.Split(line, ","); len(fields) == 6 && !strings.HasPrefix(line, "#") {
			sums = append(sums, fields[5])
		}
	}
	return sums
}
