package stream

import (
	"encoding/binary"
	"slices"
	"testing"
	"time"

	"github.com/holdfast-live/holdfast/ingest"
	"github.com/holdfast-live/holdfast/packetbuf"
	"github.com/holdfast-live/holdfast/relay/lifecycle"
	"github.com/holdfast-live/holdfast/testmedia/gen"
)

func isTrack(tr packetbuf.Track) func(*packetbuf.Packet) bool {
	return func(p *packetbuf.Packet) bool { return p.Track == tr }
}

// A track that was quiet long before the break is not filled for all that time at once: its
// past is over.
func TestFillerBeginsAtTheBreak(t *testing.T) {
	for _, tr := range []packetbuf.Track{packetbuf.Video, packetbuf.Audio} {
		t.Run(tr.String(), func(t *testing.T) {
			story(t, nil, func(b *bench) {
				p := b.publish(gen.Options{})
				p.run(5 * time.Second)
				p.skip = isTrack(tr)
				p.run(time.Minute)
				r := b.attach()
				before, _ := drain(t, r)
				newest := before[len(before)-1].DTS
				p.sink.End(ingest.Reset, "")
				time.Sleep(time.Second)
				filled, _ := drain(t, r)
				for _, p := range filled {
					if p.Flags&packetbuf.Filler != 0 && p.DTS < newest-time.Second {
						t.Fatalf("%v made for %v, the break was at %v", p.Track, p.DTS, newest)
					}
				}
				if n := count(filled, isTrack(tr)); n == 0 || n > 95 {
					t.Errorf("%d packets of %v in a second", n, tr)
				}
			})
		})
	}
}

// What a publisher says of its colours after a while reaches who watches and who joins, and is no
// change of configuration.
func TestDescriptionPassesOn(t *testing.T) {
	story(t, nil, func(b *bench) {
		p := b.publish(gen.Options{})
		p.run(3 * time.Second)
		r := b.attach()
		packets, _ := drain(t, r)
		isConfig := func(p *packetbuf.Packet) bool { return p.Track == packetbuf.Video && p.Kind == packetbuf.Config }
		at := slices.IndexFunc(packets, isConfig)
		if at < 0 {
			t.Fatal("no configuration")
		}
		config := &packetbuf.Packet{Track: packetbuf.Video, Codec: packets[at].Codec, Kind: packetbuf.Config, Payload: packets[at].Payload, Beside: []byte("colours"), Arrived: time.Now()}
		if err := p.sink.Write(config); err != nil {
			t.Fatal(err)
		}
		p.run(3 * time.Second)
		for name, r := range map[string]*Reader{"watches": r, "joins": b.attach()} {
			packets, _ := drain(t, r)
			if at := slices.IndexFunc(packets, isConfig); at < 0 || !packets[at].SameConfig(config) {
				t.Errorf("who %s has not heard of it", name)
			}
		}
		for _, e := range b.told() {
			if e.Type == Changed {
				t.Errorf("%+v", e)
			}
		}
	})
}

// However often a publisher describes its colours, viewers are given its configuration once more
// and at keyframes, and the newest of it in the end.
func TestDescriptionsAreFew(t *testing.T) {
	story(t, quick, func(b *bench) {
		p := b.publish(gen.Options{})
		p.run(3 * time.Second)
		r := b.attach()
		packets, _ := drain(t, r)
		isConfig := func(p *packetbuf.Packet) bool { return p.Track == packetbuf.Video && p.Kind == packetbuf.Config }
		config := packets[slices.IndexFunc(packets, isConfig)]
		var said []byte
		for i := range 5000 {
			said = binary.BigEndian.AppendUint32(nil, uint32(i)) //nolint:gosec // small
			more := &packetbuf.Packet{Track: packetbuf.Video, Codec: config.Codec, Kind: packetbuf.Config, Payload: config.Payload, Beside: said, Arrived: time.Now()}
			if err := p.sink.Write(more); err != nil {
				t.Fatal(err)
			}
			if i%10 == 0 {
				p.run(10 * time.Millisecond)
			}
		}
		p.run(4 * time.Second)
		packets, _ = drain(t, r)
		packets = slices.DeleteFunc(packets, func(p *packetbuf.Packet) bool { return !isConfig(p) })
		if n := len(packets); n == 0 || n > 10 || !slices.Equal(packets[n-1].Beside, said) {
			t.Errorf("%d configurations, the last with %x", n, packets[n-1].Beside)
		}
	})
}

// Everything stops while video was silent already, and comes back audio first: a viewer that
// joins then still learns how to decode the frame.
func TestThawWithTheSoundFirst(t *testing.T) {
	story(t, nil, func(b *bench) {
		p := b.publish(gen.Options{})
		p.run(20 * time.Second)
		p.skip = isTrack(packetbuf.Video)
		p.run(10 * time.Second)
		time.Sleep(4 * time.Second)
		if b.state() != lifecycle.Held {
			t.Fatal(b.state())
		}
		audio := false
		p.skip = func(p *packetbuf.Packet) bool {
			audio = audio || p.Track == packetbuf.Audio
			return !audio
		}
		p.run(10 * time.Millisecond)
		packets, _ := drain(t, b.attach())
		configured := false
		for _, p := range packets {
			configured = configured || p.Track == packetbuf.Video && p.Kind == packetbuf.Config
			if p.Track == packetbuf.Video && p.Media() {
				if !configured || p.Kind != packetbuf.Key {
					t.Fatalf("the frame begins with %v, configured: %v", p.Kind, configured)
				}
				return
			}
		}
		t.Error("no frame")
	})
}

// Once a frame was made, the frames of the session that thaws refer to another: only its
// next keyframe may follow, also where the audio has taken the stream back to live.
func TestNoPictureRefersToOneThatWasMade(t *testing.T) {
	story(t, func(c *Config) { c.Lag = 0 }, func(b *bench) {
		p := b.publish(gen.Options{GOP: 900})
		p.run(15 * time.Second)
		r := b.attach()
		p.skip = isTrack(packetbuf.Video)
		p.run(8 * time.Second)
		_, _ = drain(t, r)
		time.Sleep(4 * time.Second)
		p.skip = nil
		p.run(6 * time.Second)
		packets, _ := drain(t, r)
		made, keys := 0, 0
		for _, p := range packets {
			switch {
			case p.Track != packetbuf.Video || !p.Media():
			case p.Flags&packetbuf.Filler != 0:
				made++
			case p.Kind == packetbuf.Key:
				keys++
			case keys == 0 && made > 0:
				t.Fatalf("%v at %v follows a frame that was made", p.Kind, p.DTS)
			}
		}
		if made == 0 || keys != 1 {
			t.Errorf("%d frames made, %d keyframes", made, keys)
		}
	})
}

// A frame that joins a stream of audio in the middle of a GOP begins with its keyframe.
func TestPictureJoinsTheSoundAtAKeyframe(t *testing.T) {
	story(t, nil, func(b *bench) {
		p := b.publish(gen.Options{NoMetadata: true})
		p.skip = isTrack(packetbuf.Video)
		p.run(2500 * time.Millisecond)
		r := b.attach()
		_, _ = drain(t, r)
		p.skip = nil
		p.gen.Configure()
		p.run(3 * time.Second)
		for _, r := range []*Reader{r, b.attach()} {
			packets, _ := drain(t, r)
			for _, p := range packets {
				if p.Track == packetbuf.Video && p.Media() {
					if p.Kind != packetbuf.Key {
						t.Error("the frame begins without a keyframe")
					}
					break
				}
			}
		}
	})
}

// A still frame that nobody sent for a while has lost nothing: who saw it before sees it
// move on at once, also where a keyframe is far away.
func TestStillPictureMovesOn(t *testing.T) {
	story(t, nil, func(b *bench) {
		p := b.publish(gen.Options{GOP: 3000})
		p.run(10 * time.Second)
		r := b.attach()
		_, _ = drain(t, r)
		p.skip = isTrack(packetbuf.Video)
		for range 10 {
			p.run(time.Second)
			_, _ = drain(t, r)
		}
		late := b.attach()
		_, _ = drain(t, late)
		p.skip = nil
		p.run(2 * time.Second)
		packets, _ := drain(t, r)
		if n := count(packets, isTrack(packetbuf.Video)); n < 55 {
			t.Errorf("%d frames in 2s for who saw the one before", n)
		}
		packets, _ = drain(t, late)
		if n := count(packets, isTrack(packetbuf.Video)); n != 0 {
			t.Errorf("%d frames that the late viewer cannot decode", n)
		}
	})
}

// A verdict falls when it is due, also where the stream has just begun or come back.
func TestVerdictsAreOnTime(t *testing.T) {
	story(t, func(c *Config) { c.Silence, c.Freeze = 300*time.Millisecond, false }, func(b *bench) {
		p := b.publish(gen.Options{})
		for range 3 {
			p.run(50 * time.Millisecond)
			if b.state() != lifecycle.Live {
				t.Fatalf("%v", b.state())
			}
			time.Sleep(300 * time.Millisecond)
			if b.state() != lifecycle.Held {
				t.Errorf("%v after 300ms of silence", b.state())
			}
			time.Sleep(1900*time.Millisecond - 300*time.Millisecond)
			p.run(50 * time.Millisecond)
		}
	})
}
