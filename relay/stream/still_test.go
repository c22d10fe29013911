package stream

import (
	"bytes"
	"context"
	"encoding/binary"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
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

func pictures(packets []*packetbuf.Packet) []*packetbuf.Packet {
	return slices.DeleteFunc(slices.Clone(packets), func(p *packetbuf.Packet) bool { return p.Track != packetbuf.Video || !p.Media() })
}

func isFiller(p *packetbuf.Packet) bool { return p.Flags&packetbuf.Filler != 0 }

func TestStillPictures(t *testing.T) {
	story(t, nil, func(b *bench) {
		p := b.publishClip()
		p.until(t, 3500*time.Millisecond)
		r := b.attach()
		p.sink.End(ingest.Reset, "")
		time.Sleep(3 * time.Second)
		packets, _ := drain(t, r)
		all := pictures(packets)
		made := slices.DeleteFunc(slices.Clone(all), func(p *packetbuf.Packet) bool { return !isFiller(p) })
		if most := int(3*time.Second/stillEvery) + promptly; len(made) < most-promptly || len(made) > most {
			t.Fatalf("%d pictures in 3s", len(made))
		}
		for i, p := range all[1:] {
			step := p.PTS() - all[i].PTS()
			switch n := slices.Index(made, p); {
			case n >= 0 && n < promptly && step != 40*time.Millisecond, n >= promptly && step != stillEvery, step <= 0:
				t.Errorf("picture %d at %v, %v after the one before", i, p.PTS(), step)
			case n >= 0 && (p.Kind != packetbuf.Delta || len(p.Payload) > 100):
				t.Errorf("made: %v of %d bytes", p.Kind, len(p.Payload))
			}
		}
		next := b.publishClip()
		next.until(t, time.Second)
		packets, _ = drain(t, r)
		after := pictures(packets)
		i := slices.IndexFunc(after, func(p *packetbuf.Packet) bool { return !isFiller(p) })
		if i < 0 || after[i].Flags&packetbuf.Splice == 0 || after[i].DTS <= made[len(made)-1].PTS() {
			t.Error("the new session does not begin behind what was made")
		}
	})
}

// After a made picture a keyframe is not enough: leading pictures of an open GOP would refer to
// what is not there any more.
func TestOnlyAnIDREndsTheStill(t *testing.T) {
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
						t.Fatal("an IDR picture did not end it")
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
					t.Errorf("%v after a keyframe that is no IDR picture", b.state())
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
					time.Sleep(holdMost) // more of a backlog might have come
				}
				if !slices.ContainsFunc(b.told()[told:], func(e Event) bool { return e.Type == Resumed }) {
					t.Error("an IDR picture did not end it")
				}
			})
		})
	}
}

// An hour of hold costs little and grows nothing, and who joins at its end sees the picture that
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
					t.Fatal("a viewer who has the picture was sent a keyframe")
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
		all := pictures(slices.Concat(seen, more))
		for i := range all[1:] {
			if all[i+1].DTS <= all[i].DTS || all[i+1].PTS() <= all[i].PTS() {
				t.Fatalf("%v after %v", all[i+1].DTS, all[i].DTS)
			}
		}
		joined = byteStream(b, all)
	})
	want, got := decode(t, shown), decode(t, joined)
	if len(got) < 10 || got[len(got)-1] != want[len(want)-1] || got[len(got)-8] != want[len(want)-1] {
		t.Errorf("of %d pictures the last is another than the last of %d", len(got), len(want))
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
	for _, p := range pictures(packets) {
		add(p.Payload)
	}
	return out
}

// decode is the sums of the pictures.
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

// A large keyframe that has to be repeated comes as seldom as the stream's own rate allows.
func TestRepeatedKeyframesKeepTheRate(t *testing.T) {
	story(t, nil, func(b *bench) {
		sink, err := b.Publish(t.Context(), ingest.Request{App: "live", Name: "cam", Protocol: ingest.RTMP, Session: &session{}})
		if err != nil {
			t.Fatal(err)
		}
		const key, other, gop = 500 << 10, 1000, 100 // at 25 a second: about 150 kB/s
		for n := range 3 * gop {
			p := &packetbuf.Packet{Track: packetbuf.Video, Codec: packetbuf.HEVC, Kind: packetbuf.Delta, DTS: time.Duration(n) * 40 * time.Millisecond, Payload: make([]byte, other)}
			if n%gop == 0 {
				p.Kind, p.Payload = packetbuf.Key, make([]byte, key)
			}
			if err := sink.Write(p); err != nil {
				t.Fatal(err)
			}
			time.Sleep(40 * time.Millisecond)
		}
		r := b.attach()
		_, _ = drain(t, r)
		sink.End(ingest.Reset, "")
		const held = 20 * time.Second
		sent := 0
		for end := time.Now().Add(held); time.Now().Before(end); time.Sleep(time.Second) {
			packets, _ := drain(t, r)
			for _, p := range packets {
				sent += len(p.Payload)
			}
		}
		rate := float64(3*key+3*(gop-1)*other) / 12
		if got := float64(sent) / held.Seconds(); got > rate || got < rate/2 {
			t.Errorf("%.0f bytes a second while held, %.0f before", got, rate)
		}
	})
}

// After a minute of hold sound and picture belong together as before.
func TestLipSyncAfterAHold(t *testing.T) {
	story(t, func(c *Config) { c.Hold, c.Buffer.Duration, c.Lag = 2*time.Minute, 2*time.Minute, 0 }, func(b *bench) {
		p := b.publishClip()
		p.until(t, 4*time.Second)
		r := b.attach()
		p.sink.End(ingest.Reset, "")
		time.Sleep(time.Minute)
		synctest.Wait()
		next := b.publishClip()
		next.until(t, 4*time.Second)
		packets, _ := drain(t, r)
		var sound *packetbuf.Packet
		first := map[packetbuf.Track]*packetbuf.Packet{}
		for _, p := range packets {
			if !p.Media() {
				continue
			}
			if p.Epoch == 2 && !isFiller(p) && first[p.Track] == nil {
				first[p.Track] = p
			}
			if p.Track == packetbuf.Audio {
				if sound != nil && (p.DTS-sound.DTS < 20*time.Millisecond || p.DTS-sound.DTS > 45*time.Millisecond) {
					t.Errorf("sound steps by %v at %v", p.DTS-sound.DTS, p.DTS)
				}
				sound = p
			}
		}
		v, a := first[packetbuf.Video], first[packetbuf.Audio]
		if v == nil || a == nil || v.DTS < time.Minute {
			t.Fatal("the second session is not there")
		}
		if d := a.DTS - v.DTS; d < 0 || d > 45*time.Millisecond {
			t.Errorf("sound begins %v after the picture", d)
		}
	})
}

// Numbers of an encoder that do not come again for hours make the way to the last picture no
// longer: who joins after an hour of hold is sent it in time.
func TestWayStaysShort(t *testing.T) {
	sps := codec.SPS{
		Profile: 66, Level: 30, ChromaFormat: 1, BitDepthLuma: 8, BitDepthChroma: 8, Log2MaxFrameNum: 15, POCType: 2,
		MaxRefFrames: 1, WidthMBs: 4, HeightMapUnits: 4, FrameMBsOnly: true, Direct8x8: true, Width: 64, Height: 64, NumReorder: -1,
	}
	cfg := codec.AVCConfig{Profile: 66, Level: 30, LengthSize: 4, SPS: [][]byte{sps.NAL()}, PPS: [][]byte{{0x68, 0xce, 0x3c, 0x80}}}
	idr := []byte{0x65, 0x88, 0x80, 0x00, 0x9c} // no more than a header
	story(t, func(c *Config) { c.Hold = 2 * time.Hour }, func(b *bench) {
		sink, err := b.Publish(t.Context(), ingest.Request{App: "live", Name: "cam", Protocol: ingest.RTMP, Session: &session{}})
		if err != nil {
			t.Fatal(err)
		}
		for n := range 3 {
			p := &packetbuf.Packet{Track: packetbuf.Video, Codec: packetbuf.H264, Kind: packetbuf.Config, Payload: cfg.Append(nil)}
			if n > 0 {
				p.Kind, p.Payload, p.DTS = packetbuf.Key, codec.AppendNAL(nil, idr), time.Duration(n)*40*time.Millisecond
			}
			if err := sink.Write(p); err != nil {
				t.Fatal(err)
			}
			time.Sleep(40 * time.Millisecond)
		}
		sink.End(ingest.Reset, "")
		for _, after := range []time.Duration{time.Minute, 4 * time.Minute, time.Hour} {
			time.Sleep(after)
			r := b.attach()
			_, _ = drain(t, r)
			time.Sleep(7 * time.Second)
			packets, _ := drain(t, r)
			way := pictures(packets)
			keys := count(way, func(p *packetbuf.Packet) bool { return p.Kind == packetbuf.Key })
			if keys != 1 || way[0].Kind != packetbuf.Key || len(way) > againMost {
				t.Errorf("after %v: %d keyframes among %d pictures", after, keys, len(way))
			}
		}
	})
}

// After a silence, viewers of protocols whose players may have started their decoder again get the
// newest GOP once more. After a break that shows at once, they have missed nothing.
func TestRestartAfterSilence(t *testing.T) {
	for _, tt := range []struct {
		name, protocol string
		silence        bool
		keys           int
	}{
		{"HTTP-FLV", "httpflv", true, 1},
		{"RTMP", "rtmp", true, 1},
		{"WHEP", "whep", true, 0},
		{"HTTP-FLV, reset", "httpflv", false, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			story(t, nil, func(b *bench) {
				p := b.publishClip()
				p.until(t, 3500*time.Millisecond)
				r, err := b.Attach(tt.protocol)
				if err != nil {
					t.Fatal(err)
				}
				defer r.Close()
				drain(t, r)
				if !tt.silence {
					p.sink.End(ingest.Reset, "")
				}
				time.Sleep(4 * time.Second)
				if b.state() != lifecycle.Held {
					t.Fatalf("the stream is %v, want held", b.state())
				}
				packets, _ := drain(t, r)
				all := pictures(packets)
				keys, last := 0, time.Duration(-1)
				for _, p := range all {
					if p.Kind == packetbuf.Key {
						keys++
					}
					if p.DTS <= last {
						t.Errorf("DTS %v after %v", p.DTS, last)
					}
					last = p.DTS
				}
				if keys != tt.keys {
					t.Errorf("%d keyframes while held, want %d", keys, tt.keys)
				}
			})
		})
	}
}
