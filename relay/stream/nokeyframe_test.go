package stream

import (
	"errors"
	"testing"
	"time"

	"github.com/holdfast-live/holdfast/packetbuf"
	"github.com/holdfast-live/holdfast/testmedia/gen"
)

// endless is a GOP that does not end within a test.
const endless = 1 << 20

// refreshed publishes one keyframe and, from then on, a recovery point every two seconds, after
// which frames are right a second later.
func refreshed(b *bench) *push {
	p := b.publish(gen.Options{GOP: endless, FPS: 25})
	n := 0
	p.skip = func(p *packetbuf.Packet) bool {
		if p.Track == packetbuf.Video && p.Kind == packetbuf.Delta {
			if n++; n%50 == 0 {
				p.Recovery = 25 + 1
			}
		}
		return false
	}
	return p
}

func video(packets []*packetbuf.Packet) (out []*packetbuf.Packet) {
	for _, p := range packets {
		if p.Track == packetbuf.Video && p.Media() {
			out = append(out, p)
		}
	}
	return out
}

// A stream whose only keyframe has left the buffer refuses viewers that begin at keyframes.
func TestJoinWithoutAKeyframe(t *testing.T) {
	short := func(c *Config) { c.Buffer.Duration = 5 * time.Second }
	story(t, short, func(b *bench) {
		p := refreshed(b)
		p.run(4 * time.Second)
		early := b.attach()
		p.run(6 * time.Second)
		var keyless *NoKeyframeError
		if _, err := b.Attach("whep"); !errors.As(err, &keyless) || err.Error() != "no keyframe for 10 s; set the encoder's keyframe interval" {
			t.Errorf("got %v", err)
		}
		if n := b.Audience(); n != 1 {
			t.Errorf("got %d viewers, want the first alone", n)
		}
		if pub := b.publishers[b.machine.Current()]; !pub.keyless {
			t.Error("it was not logged")
		}
		if _, _, err := b.Resume("hls", Position{Begin: Anywhere}); err != nil {
			t.Errorf("got %v for a viewer of chunks", err)
		}
		// One whose next packet has left the buffer has nowhere to go on either.
		var end *EndError
		for err := error(nil); !errors.As(err, &end); {
			if _, err = drain(t, early); err == nil {
				t.Fatal("got packets behind a hole")
			}
		}
		if !end.Again {
			t.Errorf("got %v, want an end after which to ask again", end)
		}
	})
}

// One whose decoder can begin at a recovery point does so, at the newest from which frames are
// right at once.
func TestJoinAtARecoveryPoint(t *testing.T) {
	short := func(c *Config) { c.Buffer.Duration = 5 * time.Second }
	story(t, short, func(b *bench) {
		p := refreshed(b)
		p.run(10500 * time.Millisecond)
		r, _, err := b.Resume("rtmp", Position{Begin: AtRecovery})
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		packets, _ := drain(t, r)
		frames := video(packets)
		if len(frames) == 0 || frames[0].Recovery == 0 || packets[0].Kind != packetbuf.Config && packets[0].Track != packetbuf.Data {
			t.Fatalf("begins with %v", packets[0])
		}
		// The points stand at 8 and 10 s; from the one at 10 s frames are right at 11 s.
		if at := frames[0].DTS; at != 8*time.Second {
			t.Errorf("begins at %v, want 8s", at)
		}
		for i, p := range frames[1:] {
			if step := p.DTS - frames[i].DTS; step != 40*time.Millisecond {
				t.Fatalf("a step of %v at %v", step, p.DTS)
			}
		}
		// It has fallen out of the buffer: it goes on at another.
		p.run(10 * time.Second)
		packets, err = drain(t, r)
		if err != nil {
			t.Fatal(err)
		}
		if again := video(packets); len(again) == 0 || again[0].Recovery == 0 || again[0].DTS < 15*time.Second {
			t.Errorf("goes on with %v", again[0])
		}
	})
}

// A push to another server, or a transcode, begins there too.
func TestTapAtARecoveryPoint(t *testing.T) {
	story(t, func(c *Config) { c.Buffer.Duration = 5 * time.Second }, func(b *bench) {
		p := refreshed(b)
		p.run(10500 * time.Millisecond)
		r, err := b.Tap(0)
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		packets, _ := drain(t, r)
		if frames := video(packets); len(frames) == 0 || frames[0].DTS != 8*time.Second {
			t.Errorf("begins with %v, want the recovery point at 8s", frames)
		}
	})
}

// Where the next keyframe is due, viewers wait for it.
func TestJoinBetweenKeyframesThatAreFarApart(t *testing.T) {
	story(t, func(c *Config) { c.Buffer.Duration = 3 * time.Second }, func(b *bench) {
		p := b.publish(gen.Options{GOP: 200, FPS: 25}) // 8 s
		p.run(14 * time.Second)
		r := b.attach()
		p.run(3 * time.Second)
		packets, err := drain(t, r)
		if frames := video(packets); err != nil || len(frames) == 0 || frames[0].Kind != packetbuf.Key || frames[0].DTS != 16*time.Second {
			t.Errorf("got %v, %v, want the keyframe at 16s", frames, err)
		}
	})
}
