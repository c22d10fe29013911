package stream

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/holdfast-live/holdfast/ingest"
	"github.com/holdfast-live/holdfast/packetbuf"
	"github.com/holdfast-live/holdfast/packetbuf/codec"
	"github.com/holdfast-live/holdfast/packetbuf/rtmp"
	"github.com/holdfast-live/holdfast/relay/lifecycle"
	"github.com/holdfast-live/holdfast/testmedia/gen"
)

func TestJoinBeginsWithConfigurationAndKeyframe(t *testing.T) {
	story(t, nil, func(b *bench) {
		b.publish(gen.Options{}).run(5 * time.Second)
		r := b.attach()
		packets, _ := drain(t, r)
		if len(packets) < 4 || packets[0].Track != packetbuf.Data || packets[1].Kind != packetbuf.Config || packets[2].Kind != packetbuf.Config {
			t.Fatalf("begins with %v", packets[:3])
		}
		if k := packets[3]; k.Kind != packetbuf.Key || k.DTS != 4*time.Second {
			t.Errorf("then %v at %v", k.Kind, k.DTS)
		}
		if last := packets[len(packets)-1]; last.DTS < 4900*time.Millisecond {
			t.Errorf("ends at %v", last.DTS)
		}
		if !r.Has(packetbuf.Video) || !r.Has(packetbuf.Audio) {
			t.Error("the tracks are not told")
		}
	})
}

func TestMetadataSaysWhatIsThere(t *testing.T) {
	for name, o := range map[string]gen.Options{
		"both": {}, "both, silent publisher": {NoMetadata: true}, "audio alone": {NoVideo: true}, "video alone": {NoAudio: true},
		"MP3": {AudioCodec: packetbuf.MP3, NoVideo: true, NoMetadata: true}, "Opus": {AudioCodec: packetbuf.Opus},
	} {
		t.Run(name, func(t *testing.T) {
			story(t, nil, func(b *bench) {
				b.publish(o).run(4 * time.Second)
				packets, _ := drain(t, b.attach())
				values, err := rtmp.DecodeAMF(packets[0].Payload)
				if err != nil || packets[0].Track != packetbuf.Data {
					t.Fatalf("no metadata first: %v", err)
				}
				fields := rtmp.Properties(values[1])
				has := func(key string) bool {
					return slices.ContainsFunc(fields, func(f rtmp.Property) bool { return f.Key == key })
				}
				if has("videocodecid") == o.NoVideo || has("width") == o.NoVideo || has("audiocodecid") != (!o.NoAudio && o.AudioCodec != packetbuf.Opus) ||
					has("audiosamplerate") != (!o.NoAudio && o.AudioCodec != packetbuf.MP3) {
					t.Errorf("metadata %v", fields)
				}
			})
		})
	}
}

func TestAudioAlonePlaysAndJoinsAnywhere(t *testing.T) {
	story(t, nil, func(b *bench) {
		p := b.publish(gen.Options{NoVideo: true, NoMetadata: true})
		p.run(time.Second)
		if b.state() != lifecycle.Idle {
			t.Errorf("%v before it is known that there is no frame", b.state())
		}
		p.run(time.Second)
		r := b.attach()
		packets, _ := drain(t, r)
		if n := count(packets, (*packetbuf.Packet).Media); n > 3 {
			t.Errorf("a join begins with %d frames", n)
		}
		p.sink.End(ingest.Reset, "")
		time.Sleep(3 * time.Second)
		filled, _ := drain(t, r)
		if n := count(filled, func(p *packetbuf.Packet) bool { return p.Flags&packetbuf.Filler != 0 }); n < 130 || n > 145 {
			t.Errorf("%d silent frames in 3s", n) // 140.6 of 1024 samples at 48 kHz
		}
	})
}

func TestFillerKeepsItsPace(t *testing.T) {
	story(t, func(c *Config) { c.Lag, c.Buffer.Duration = 0, time.Minute }, func(b *bench) {
		p := b.publish(gen.Options{})
		p.run(5 * time.Second)
		r := b.attach()
		before, _ := drain(t, r)
		p.sink.End(ingest.EOF, "")
		time.Sleep(20 * time.Second)
		filled, _ := drain(t, r)
		var last [packetbuf.NumTracks]*packetbuf.Packet
		for _, p := range slices.Concat(before, filled) {
			if was := last[p.Track]; p.Media() && was != nil {
				step := p.DTS - was.DTS
				if p.Track == packetbuf.Audio && (step < 21*time.Millisecond || step > 22*time.Millisecond) {
					t.Fatalf("audio steps by %v at %v", step, p.DTS)
				}
				if p.Flags&was.Flags&packetbuf.Filler != 0 && p.Track == packetbuf.Video && step != time.Second {
					t.Fatalf("frames are %v apart", step)
				}
			}
			if p.Media() {
				last[p.Track] = p
			}
		}
		if end := last[packetbuf.Audio].DTS; end < 24900*time.Millisecond || end > 25*time.Second {
			t.Errorf("after 25s the audio is at %v", end)
		}
		if n := b.counters.Filler[packetbuf.Video].Load(); n < 18 || n > 20 {
			t.Errorf("%d frames in 20s", n)
		}
	})
}

func TestNoFillerIsQuietAndStillThere(t *testing.T) {
	story(t, func(c *Config) { c.Freeze = false }, func(b *bench) {
		p := b.publish(gen.Options{})
		p.run(3 * time.Second)
		r := b.attach()
		_, _ = drain(t, r)
		p.sink.End(ingest.Reset, "")
		for range 5 {
			begun := time.Now()
			packets, err := r.Read(context.Background())
			if err != nil || len(packets) != 0 {
				t.Fatalf("%d packets, %v", len(packets), err)
			}
			if d := time.Since(begun); d > 2*time.Second {
				t.Errorf("a viewer was left alone for %v", d)
			}
		}
	})
}

func TestSilenceThenTheSameSocket(t *testing.T) {
	story(t, nil, func(b *bench) {
		p := b.publish(gen.Options{})
		p.run(20 * time.Second)
		time.Sleep(4 * time.Second)
		if b.state() != lifecycle.Held || p.sess.closed != "" {
			t.Fatalf("%v, session closed: %q", b.state(), p.sess.closed)
		}
		detect := time.Duration(0)
		for _, e := range b.told() {
			if e.Type == Broke && e.Cause == ingest.Silence {
				detect = e.Detect
			}
		}
		if detect == 0 || detect > 1500*time.Millisecond {
			t.Errorf("noticed after %v", detect)
		}
		p.run(5 * time.Second) // what waited comes at once
		if b.state() != lifecycle.Live {
			t.Errorf("%v after the thaw", b.state())
		}
		if b.counters.Late.Load() == 0 {
			t.Error("what came before the keyframe was not counted as late")
		}
	})
}

func TestOneTrackFallsSilent(t *testing.T) {
	story(t, nil, func(b *bench) {
		p := b.publish(gen.Options{})
		p.run(10 * time.Second)
		p.skip = func(p *packetbuf.Packet) bool { return p.Track == packetbuf.Video }
		p.run(30 * time.Second)
		if b.state() != lifecycle.Live || b.counters.TrackSilences[packetbuf.Video].Load() != 1 {
			t.Fatalf("%v, %d silences of video", b.state(), b.counters.TrackSilences[packetbuf.Video].Load())
		}
		packets, err := drain(t, b.attach())
		if err != nil || count(packets, (*packetbuf.Packet).Media) == 0 {
			t.Errorf("a viewer that joins gets %d packets, %v", len(packets), err)
		}
		r := b.attach()
		_, _ = drain(t, r)
		p.skip = nil
		p.run(4 * time.Second)
		packets, _ = drain(t, r)
		for _, p := range packets {
			if p.Track == packetbuf.Video && p.Media() {
				if p.Kind != packetbuf.Key {
					t.Error("video came back without a keyframe")
				}
				return
			}
		}
		t.Error("video did not come back")
	})
}

func TestNewResolutionComesBeforeItsKeyframe(t *testing.T) {
	story(t, nil, func(b *bench) {
		p := b.publish(gen.Options{})
		p.run(3 * time.Second)
		r := b.attach()
		_, _ = drain(t, r)
		p.sink.End(ingest.Reset, "")
		time.Sleep(100 * time.Millisecond)
		b.publish(gen.Options{Source: 1, Width: 640, Height: 360}).run(time.Second)
		packets, _ := drain(t, r)
		var configs []packetbuf.Track
		for _, p := range packets {
			if p.Kind == packetbuf.Config {
				configs = append(configs, p.Track)
			}
			if p.Track == packetbuf.Video && p.Kind == packetbuf.Key {
				if !codec.AVCHas(p.Payload, 4, codec.NALSPS) {
					t.Error("the keyframe does not repeat the new parameter sets")
				}
				break
			}
		}
		if !slices.Equal(configs, []packetbuf.Track{packetbuf.Video, packetbuf.Data}) {
			t.Errorf("before the keyframe came configurations of %v", configs)
		}
	})
}

func TestSameConfigurationIsNotRepeated(t *testing.T) {
	story(t, nil, func(b *bench) {
		p := b.publish(gen.Options{})
		p.run(3 * time.Second)
		r := b.attach()
		_, _ = drain(t, r)
		p.sink.End(ingest.Reset, "")
		b.publish(gen.Options{Source: 1}).run(3 * time.Second)
		packets, _ := drain(t, r)
		if n := count(packets, func(p *packetbuf.Packet) bool { return p.Kind == packetbuf.Config }); n != 0 {
			t.Errorf("%d configurations", n)
		}
		if n := count(packets, func(p *packetbuf.Packet) bool { return p.Flags&packetbuf.Splice != 0 }); n != 1 {
			t.Errorf("%d splices", n)
		}
	})
}

func TestAnotherCodecEndsWhoHadTheFirst(t *testing.T) {
	story(t, nil, func(b *bench) {
		p := b.publish(gen.Options{NoVideo: true})
		p.run(3 * time.Second)
		r := b.attach()
		_, _ = drain(t, r)
		p.sink.End(ingest.Reset, "")
		b.publish(gen.Options{Source: 1, NoVideo: true, AudioCodec: packetbuf.MP3}).run(3 * time.Second)
		_, err := drain(t, r)
		var end *EndError
		if !errors.As(err, &end) || !end.Again || end.Reason != "the publisher changed from AAC to MP3" {
			t.Errorf("ends with %v", err)
		}
		if packets, err := drain(t, b.attach()); err != nil || len(packets) == 0 {
			t.Errorf("a new viewer gets %d packets, %v", len(packets), err)
		}
	})
}

func TestWhoFallsBehindSkipsToAKeyframe(t *testing.T) {
	story(t, nil, func(b *bench) {
		p := b.publish(gen.Options{})
		p.run(3 * time.Second)
		r := b.attach()
		_, _ = drain(t, r)
		p.run(9500 * time.Millisecond)
		packets, _ := drain(t, r)
		if packets[0].Kind != packetbuf.Key || packets[0].DTS != 12*time.Second {
			t.Errorf("goes on with %v at %v", packets[0].Kind, packets[0].DTS)
		}
		if b.counters.Skips()["httpflv"] != 1 {
			t.Errorf("skips: %v", b.counters.Skips())
		}
	})
}

func TestABurstIsNotTheViewersFault(t *testing.T) {
	story(t, nil, func(b *bench) {
		p := b.publish(gen.Options{})
		p.run(3 * time.Second)
		r := b.attach()
		_, _ = drain(t, r)
		for range 9 {
			time.Sleep(time.Second)
			_, _ = drain(t, r)
		}
		p.run(10 * time.Millisecond) // nine seconds at once, of which the newest group is used
		packets, _ := drain(t, r)
		if n := count(packets, func(p *packetbuf.Packet) bool { return p.Track == packetbuf.Video && p.Flags&packetbuf.Filler == 0 }); n < 1 || n > 65 {
			t.Errorf("got %d frames, want those of the newest group", n)
		}
		if b.counters.Skips()["httpflv"] != 0 {
			t.Error("the viewer was called slow")
		}
	})
}

func TestOverrunWithoutKeyframeWaitsForOne(t *testing.T) {
	story(t, func(c *Config) { c.Buffer.Duration, c.Lag = 2*time.Second, 0 }, func(b *bench) {
		p := b.publish(gen.Options{GOP: 300})
		p.run(time.Second)
		r := b.attach()
		_, _ = drain(t, r)
		p.run(8 * time.Second)
		if packets, _ := drain(t, r); len(packets) != 0 {
			t.Errorf("%d packets that nothing can decode", len(packets))
		}
		p.run(2 * time.Second)
		packets, _ := drain(t, r)
		if len(packets) == 0 || packets[0].Kind != packetbuf.Key || packets[0].DTS != 10*time.Second {
			t.Errorf("goes on with %v", packets)
		}
	})
}

func TestReadEndsWithItsContext(t *testing.T) {
	story(t, nil, func(b *bench) {
		b.publish(gen.Options{}).run(time.Second)
		r := b.attach()
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		var err error
		for err == nil {
			_, err = r.Read(ctx)
		}
		if !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
	})
}

func TestWakeUpsAreMerged(t *testing.T) {
	story(t, func(c *Config) { c.Gather = 40 * time.Millisecond }, func(b *bench) {
		p := b.publish(gen.Options{})
		p.run(time.Second)
		r := b.attach()
		done := make(chan int)
		go func() {
			wakes := 0
			for {
				packets, err := r.Read(context.Background())
				if err != nil {
					done <- wakes
					return
				}
				if len(packets) > 0 {
					wakes++
				}
			}
		}()
		p.run(10 * time.Second)
		b.Close(ingest.Kick, "enough")
		if wakes := <-done; wakes < 200 || wakes > 260 {
			t.Errorf("%d wake-ups in 10s for about 77 packets a second", wakes)
		}
	})
}

func TestKickHoldsTheViewers(t *testing.T) {
	story(t, nil, func(b *bench) {
		p := b.publish(gen.Options{})
		p.run(2 * time.Second)
		if !b.Kick("enough") || p.sess.closed != ingest.Kick || b.state() != lifecycle.Held {
			t.Errorf("closed %q, %v", p.sess.closed, b.state())
		}
		if b.Kick("again") {
			t.Error("kicked nobody")
		}
	})
}

func TestGatherRisesWithTheCrowd(t *testing.T) {
	var l Load
	for _, c := range []struct {
		viewers int64
		want    time.Duration
	}{{0, 0}, {fewViewers, 0}, {(fewViewers + manyViewers) / 2, gatherMost / 2}, {manyViewers, gatherMost}, {5000, gatherMost}} {
		l.viewers.Store(c.viewers)
		if got := l.gather(); got != c.want {
			t.Errorf("%d viewers: %v, want %v", c.viewers, got, c.want)
		}
	}
}
