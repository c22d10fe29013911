package stream

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/holdfast-live/holdfast/ingest"
	"github.com/holdfast-live/holdfast/packetbuf"
	"github.com/holdfast-live/holdfast/packetbuf/codec"
	"github.com/holdfast-live/holdfast/relay/lifecycle"
)

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

// After a minute of hold audio and frame belong together as before.
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
		var audio *packetbuf.Packet
		first := map[packetbuf.Track]*packetbuf.Packet{}
		for _, p := range packets {
			if !p.Media() {
				continue
			}
			if p.Epoch == 2 && !isFiller(p) && first[p.Track] == nil {
				first[p.Track] = p
			}
			if p.Track == packetbuf.Audio {
				// Where the sessions meet, half a frame of 21.3 ms may overlap.
				if audio != nil && (p.DTS-audio.DTS < 10*time.Millisecond || p.DTS-audio.DTS > 33*time.Millisecond) {
					t.Errorf("%v between two audio frames at %v, want 10ms to 33ms", p.DTS-audio.DTS, p.DTS)
				}
				audio = p
			}
		}
		v, a := first[packetbuf.Video], first[packetbuf.Audio]
		if v == nil || a == nil || v.DTS < time.Minute {
			t.Fatal("the second session is not there")
		}
		if d := a.DTS - v.DTS; d < 0 || d > 45*time.Millisecond {
			t.Errorf("audio begins %v after the frame", d)
		}
	})
}

// Numbers of an encoder that do not come again for hours make the way to the last frame no
// longer: a viewer that joins after an hour of hold is sent it in time.
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
			way := videoFrames(packets)
			keys := count(way, func(p *packetbuf.Packet) bool { return p.Kind == packetbuf.Key })
			if keys != 1 || way[0].Kind != packetbuf.Key || len(way) > 900 {
				t.Errorf("after %v: %d keyframes among %d frames", after, keys, len(way))
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
				all := videoFrames(packets)
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
