package stream

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/holdfast-live/holdfast/ingest"
	"github.com/holdfast-live/holdfast/packetbuf"
	"github.com/holdfast-live/holdfast/testmedia/gen"
)

// audioGap returns the longest step between the audio packets among those of a viewer, and fails
// where a track's times do not rise.
func audioGap(t *testing.T, packets []*packetbuf.Packet) (longest time.Duration) {
	t.Helper()
	var last [packetbuf.NumTracks]time.Duration
	var begun [packetbuf.NumTracks]bool
	for _, p := range packets {
		if !p.Media() {
			continue
		}
		if begun[p.Track] && p.DTS <= last[p.Track] {
			t.Fatalf("%v at %v after %v", p.Track, p.DTS, last[p.Track])
		}
		if begun[p.Track] && p.Track == packetbuf.Audio {
			longest = max(longest, p.DTS-last[p.Track])
		}
		last[p.Track], begun[p.Track] = p.DTS, true
	}
	if !begun[packetbuf.Audio] {
		t.Fatal("no audio")
	}
	if behind := last[packetbuf.Video] - last[packetbuf.Audio]; behind > 600*time.Millisecond {
		t.Errorf("audio ends %v before video", behind)
	}
	return longest
}

const mostGap = 100 * time.Millisecond

func TestAudioPauses(t *testing.T) {
	for _, codec := range []packetbuf.Codec{packetbuf.AAC, packetbuf.Opus} {
		for _, away := range []time.Duration{500 * time.Millisecond, 3 * time.Second, 20 * time.Second} {
			t.Run(codec.String()+" for "+away.String(), func(t *testing.T) {
				story(t, func(c *Config) { c.Lag = 0 }, func(b *bench) {
					p := b.publish(gen.Options{AudioCodec: codec})
					p.run(4500 * time.Millisecond)
					r := b.attach()
					p.skip = isTrack(packetbuf.Audio)
					p.run(away)
					during, _ := drain(t, r)
					p.skip = nil
					p.run(3 * time.Second)
					after, _ := drain(t, r)
					if gap := audioGap(t, append(during, after...)); gap > mostGap {
						t.Errorf("audio gap of %v", gap)
					}
					if n := count(after, func(p *packetbuf.Packet) bool { return p.Track == packetbuf.Audio && !isFiller(p) }); n < 130 {
						t.Errorf("%d real audio frames in the 3s after", n)
					}
				})
			})
		}
	}
}

func TestOpusWithDTX(t *testing.T) {
	story(t, func(c *Config) { c.Lag = 0 }, func(b *bench) {
		p := b.publish(gen.Options{AudioCodec: packetbuf.Opus})
		p.run(2 * time.Second)
		r := b.attach()
		n := 0
		p.skip = func(p *packetbuf.Packet) bool {
			if p.Track == packetbuf.Audio {
				n++
			}
			return p.Track == packetbuf.Audio && n%20 != 0
		}
		p.run(6 * time.Second)
		p.skip = nil
		p.run(2 * time.Second)
		packets, _ := drain(t, r)
		if gap := audioGap(t, packets); gap > 21*time.Millisecond {
			t.Errorf("audio gap of %v", gap)
		}
	})
}

// Audio comes six seconds after the video. Viewers have a silent track until then, from the first
// moments of the stream on.
func TestAnnouncedAudioComesLate(t *testing.T) {
	for name, configured := range map[string]bool{"by its configuration": true, "by metadata": false} {
		t.Run(name, func(t *testing.T) {
			story(t, func(c *Config) { c.Lag = 0 }, func(b *bench) {
				p := b.publish(gen.Options{})
				p.skip = func(p *packetbuf.Packet) bool {
					return p.Track == packetbuf.Audio && (p.Media() || !configured)
				}
				p.run(100 * time.Millisecond)
				r := b.attach()
				if !r.Has(packetbuf.Audio) {
					t.Error("the viewer is not told of the audio")
				}
				p.run(6 * time.Second)
				p.skip = nil
				p.gen.Configure()
				p.run(3 * time.Second)
				packets, _ := drain(t, r)
				if gap := audioGap(t, packets); gap > mostGap {
					t.Errorf("audio gap of %v", gap)
				}
				for _, p := range packets {
					if p.Track == packetbuf.Audio && p.Media() {
						if p.DTS > 200*time.Millisecond {
							t.Errorf("audio begins at %v", p.DTS)
						}
						break
					}
				}
				for _, e := range b.told() {
					if e.Type == Changed {
						t.Errorf("the announced configuration counts as changed: %+v", e)
					}
				}
			})
		})
	}
}

// The audio track of the session before stands in the next one until its audio comes, or for
// as long as it may come.
func TestRememberedAudio(t *testing.T) {
	for name, late := range map[string]time.Duration{"late": 6 * time.Second, "never": 0} {
		t.Run(name, func(t *testing.T) {
			story(t, func(c *Config) { c.Lag = 0 }, func(b *bench) {
				first := b.publish(gen.Options{})
				first.run(4 * time.Second)
				r := b.attach()
				first.sink.End(ingest.Reset, "")
				time.Sleep(time.Second)
				second := b.publish(gen.Options{Source: 1, NoMetadata: true})
				second.skip = isTrack(packetbuf.Audio)
				if late == 0 {
					second.run(30*time.Second + 2*time.Second)
					_, _ = drain(t, r)
					if r := b.attach(); r.Has(packetbuf.Audio) {
						t.Error("the audio of the session before is never forgotten")
					}
					return
				}
				second.run(late)
				second.skip = nil
				second.gen.Configure()
				second.run(3 * time.Second)
				packets, _ := drain(t, r)
				if gap := audioGap(t, packets); gap > mostGap {
					t.Errorf("audio gap of %v", gap)
				}
			})
		})
	}
}

// A publisher that announces nothing and has sent no audio before has no audio track.
func TestUnannouncedAudioIsNotMade(t *testing.T) {
	story(t, nil, func(b *bench) {
		p := b.publish(gen.Options{NoAudio: true, NoMetadata: true})
		p.run(4 * time.Second)
		r := b.attach()
		packets, _ := drain(t, r)
		if n := count(packets, isTrack(packetbuf.Audio)); n != 0 || r.Has(packetbuf.Audio) {
			t.Errorf("%d audio packets", n)
		}
	})
}

// Late audio inside made silence is dropped and counted.
func TestLateAudioIsCounted(t *testing.T) {
	story(t, func(c *Config) { c.Lag = 0 }, func(b *bench) {
		p := b.publish(gen.Options{})
		p.run(4500 * time.Millisecond)
		r := b.attach()
		var late []*packetbuf.Packet
		p.skip = func(p *packetbuf.Packet) bool {
			if p.Track == packetbuf.Audio {
				late = append(late, p)
			}
			return p.Track == packetbuf.Audio
		}
		p.run(2 * time.Second)
		p.skip = nil
		before := b.opts.Counters.Late.Load()
		for _, p1 := range late {
			p1.Arrived = time.Now()
			if err := p.sink.Write(p1); err != nil {
				t.Fatal(err)
			}
		}
		p.run(2 * time.Second)
		if n := b.opts.Counters.Late.Load() - before; n < 50 || n > uint64(len(late)) {
			t.Errorf("%d of %d late frames counted", n, len(late))
		}
		packets, _ := drain(t, r)
		if gap := audioGap(t, packets); gap > mostGap {
			t.Errorf("audio gap of %v", gap)
		}
	})
}

// Audio that comes back on a clock that starts anew is heard.
func TestAudioReturnsOnAnotherClock(t *testing.T) {
	story(t, func(c *Config) { c.Lag = 0 }, func(b *bench) {
		p := b.publish(gen.Options{})
		p.run(20500 * time.Millisecond)
		r := b.attach()
		p.skip = isTrack(packetbuf.Audio)
		p.run(4 * time.Second)
		_, _ = drain(t, r)
		p.skip = func(p *packetbuf.Packet) bool {
			if p.Track == packetbuf.Audio {
				p.DTS -= 24 * time.Second
			}
			return false
		}
		p.run(4 * time.Second)
		packets, _ := drain(t, r)
		if gap := audioGap(t, packets); gap > mostGap {
			t.Errorf("audio gap of %v", gap)
		}
		if n := count(packets, func(p *packetbuf.Packet) bool { return p.Track == packetbuf.Audio && !isFiller(p) }); n < 150 {
			t.Errorf("%d real audio frames in 4s", n)
		}
	})
}

// Random holes and backlogs of audio, and breaks of the session: no gap above 100 ms while the
// filler fills the breaks, and times rise.
func TestRandomAudioHoles(t *testing.T) {
	for seed := range uint64(10) {
		story(t, func(c *Config) { c.Lag = 0 }, func(b *bench) {
			rng := rand.New(rand.NewPCG(seed, 5))
			codec := []packetbuf.Codec{packetbuf.AAC, packetbuf.Opus}[seed%2]
			p := b.publish(gen.Options{AudioCodec: codec})
			p.run(3 * time.Second)
			r := b.attach()
			var packets []*packetbuf.Packet
			for range 20 {
				drop := rng.Float64()
				p.skip = func(p *packetbuf.Packet) bool { return p.Track == packetbuf.Audio && rng.Float64() < drop }
				if rng.IntN(2) == 0 {
					p.skip = isTrack(packetbuf.Audio)
				}
				p.run(time.Duration(rng.IntN(3000)) * time.Millisecond)
				p.skip = nil
				if rng.IntN(6) == 0 {
					p.sink.End(ingest.Reset, "")
					time.Sleep(time.Duration(rng.IntN(2000)) * time.Millisecond)
					p = b.publish(gen.Options{AudioCodec: codec, Source: 1})
				}
				p.run(time.Duration(rng.IntN(2000)) * time.Millisecond)
				got, _ := drain(t, r)
				packets = append(packets, got...)
			}
			p.run(time.Second)
			got, _ := drain(t, r)
			if gap := audioGap(t, append(packets, got...)); gap > mostGap {
				t.Errorf("seed %d: audio gap of %v", seed, gap)
			}
		})
	}
}
