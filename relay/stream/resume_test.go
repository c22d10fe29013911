package stream

import (
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/holdfast-live/holdfast/ingest"
	"github.com/holdfast-live/holdfast/packetbuf"
	"github.com/holdfast-live/holdfast/relay/stream/audio"
	"github.com/holdfast-live/holdfast/testmedia/gen"
)

// positionOf is where a viewer stands that has received p last.
func positionOf(r *Reader, p *packetbuf.Packet) Position {
	return Position{Origin: r.Origin(), Track: p.Track, DTS: p.DTS % (1 << 32 * time.Millisecond)}
}

// steady is a viewer that was never cut off, and those that resumed in its place at some packet.
type steady struct {
	t        *testing.T
	r        *Reader
	takes    []packetbuf.Codec
	got      []*packetbuf.Packet
	ended    bool
	resumed  []*resumed
	exact    int
	keyframe int
	repeated int // configurations
}

type resumed struct {
	r    *Reader
	from int // of what the steady viewer got
	got  []*packetbuf.Packet
}

// read has all of them read up to the live edge.
func (v *steady) read() {
	v.t.Helper()
	if v.ended {
		return
	}
	synctest.Wait() // filler may just be coming
	packets, err := drain(v.t, v.r)
	v.got, v.ended = append(v.got, packets...), err != nil
	for _, again := range v.resumed {
		packets, againErr := drain(v.t, again.r)
		again.got = append(again.got, packets...)
		if (againErr != nil) != v.ended {
			v.t.Fatalf("ended with %v, the one that resumed with %v", err, againErr)
		}
		v.compare(again)
	}
}

// compare tells where what came after a resume is not what the steady viewer got. Audio that went
// away and came back as it was is announced again to who cannot be known to have heard it.
func (v *steady) compare(again *resumed) {
	v.t.Helper()
	want, got := v.got[again.from:], again.got
	for i, p := range want {
		if len(got) > 0 && got[0].Track == packetbuf.Audio && got[0].Kind == packetbuf.Config && !alike(p, got[0]) && v.heard(got[0], again.from+i) {
			got, v.repeated = got[1:], v.repeated+1
		}
		if len(got) == 0 || !alike(p, got[0]) || p.Media() && p != got[0] {
			v.t.Fatalf("takes %v, %d after the resume:\n%s\ninstead of\n%s", v.takes, i, list(got[:min(5, len(got))]), list(v.got[max(0, again.from+i-5):min(again.from+i+5, len(v.got))]))
		}
		got = got[1:]
	}
	if len(got) > 0 {
		v.t.Fatalf("%d packets since the resume instead of %d", len(again.got), len(want))
	}
}

// list shows packets.
func list(packets []*packetbuf.Packet) string {
	var b strings.Builder
	for _, p := range packets {
		fmt.Fprintf(&b, "%d %v %v %v %v session %d flags %d\n", p.Seq, p.Track, p.Codec, p.Kind, p.DTS, p.Epoch, p.Flags)
	}
	return b.String()
}

// heard reports whether the viewer has had a configuration already.
func (v *steady) heard(config *packetbuf.Packet, until int) bool {
	return slices.ContainsFunc(v.got[:until], func(p *packetbuf.Packet) bool { return p.Kind == packetbuf.Config && p.SameConfig(config) })
}

// cut resumes at a packet that the viewer has received.
func (v *steady) cut(b *bench, i int) {
	v.t.Helper()
	p := v.got[i]
	if v.ended || !p.Media() {
		return
	}
	r, exact, err := b.Resume("httpflv", positionOf(v.r, p), v.takes...)
	if err != nil {
		v.t.Fatal(err)
	}
	v.t.Cleanup(r.Close)
	stats := b.ring.Stats()
	if there := p.Seq >= stats.Head-uint64(stats.Packets); there != exact { //nolint:gosec // not negative
		v.t.Fatalf("exact %v at a packet that is there: %v (%v %v, %v)", exact, there, p.Track, p.Kind, p.DTS)
	}
	if !exact {
		v.keyframe++
		return
	}
	v.exact++
	if r.Origin() != v.r.Origin() {
		v.t.Fatalf("began at %v, after the resume at %v", v.r.Origin(), r.Origin())
	}
	again := &resumed{r: r, from: i + 1}
	again.got, _ = drain(v.t, r)
	v.compare(again)
	v.resumed = append(v.resumed, again)
}

// TestResumeIsAsIfOneHadNeverLeft breaks pushes that change what they push, while viewers of all
// tastes are cut off at any packet. Who resumes gets, packet by packet, what the one who was
// never cut off gets, be it filler, another session's or bridged audio; as long as the packet
// is in the buffer, and only then.
func TestResumeIsAsIfOneHadNeverLeft(t *testing.T) {
	exact, keyframe, repeated := 0, 0, 0
	for seed := range uint64(6) {
		story(t, func(c *Config) { c.Buffer.Duration, c.Lag = 6*time.Second, 0 }, func(b *bench) {
			rng := rand.New(rand.NewPCG(seed, 5))
			var viewers []*steady
			var made *across
			for n := range uint32(14) {
				o := gen.Options{
					Source: n, Width: []int{640, 1280}[rng.IntN(2)], Height: 360, GOP: []int{15, 60, 60, 300}[rng.IntN(4)],
					AudioCodec: []packetbuf.Codec{packetbuf.AAC, packetbuf.AAC, packetbuf.Opus}[rng.IntN(3)], NoAudio: rng.IntN(5) == 0,
					BFrames: rng.IntN(3), Start: time.Duration(rng.Uint32()) * time.Millisecond, Wrap: true,
				}
				o.NoVideo = !o.NoAudio && rng.IntN(5) == 0
				p := b.publish(o)
				for range 1 + 3*(n%2) {
					p.run(500 * time.Millisecond)
					made = b.crossOn(made, audio.BridgeTarget(o.AudioCodec), 0)
				}
				for len(viewers) < 3 && n > 0 {
					takes := [][]packetbuf.Codec{nil, flvAudio, {packetbuf.Opus}}[len(viewers)]
					viewers = append(viewers, &steady{t: b.t, r: b.attach(takes...), takes: takes})
				}
				dull := rng.IntN(4) == 0
				for range 3 + rng.IntN(10) {
					p.skip = func(p *packetbuf.Packet) bool { return dull && p.Track == packetbuf.Video && p.Media() }
					p.run(time.Duration(rng.IntN(900)) * time.Millisecond)
					dull = dull && rng.IntN(3) > 0
					made = b.crossOn(made, audio.BridgeTarget(o.AudioCodec), time.Duration(rng.IntN(60))*time.Millisecond)
					for _, v := range viewers {
						v.read()
						for range 2 {
							if len(v.got) > 0 {
								v.cut(b, max(0, len(v.got)-1-rng.IntN(500)))
							}
						}
						v.resumed = v.resumed[max(0, len(v.resumed)-12):]
					}
				}
				p.sink.End(ingest.Reset, "")
				for range rng.IntN(4) {
					time.Sleep(time.Duration(rng.IntN(1000)) * time.Millisecond)
					for _, v := range viewers {
						v.read()
					}
				}
			}
			for _, v := range viewers {
				v.read()
				exact, keyframe, repeated = exact+v.exact, keyframe+v.keyframe, repeated+v.repeated
			}
		})
	}
	t.Logf("%d resumes were exact, %d at a keyframe; %d configurations came again", exact, keyframe, repeated)
	if exact < 1000 || keyframe < 100 || repeated > exact/4 {
		t.Error("too few of a kind to tell, or too many")
	}
}

// crossOn has the bridge go on, or another begin where it is not wanted any more.
func (b *bench) crossOn(a *across, to packetbuf.Codec, behind time.Duration) *across {
	b.t.Helper()
	if a != nil && a.to == to && a.run(behind) == nil {
		return a
	}
	return b.bridgeTo(to)
}

// Each packet of ten seconds is a place to go on from.
func TestResumeAtAnyPacket(t *testing.T) {
	story(t, nil, func(b *bench) {
		b.publish(gen.Options{BFrames: 2}).run(10 * time.Second)
		r := b.attach(flvAudio...)
		back, _, err := b.ring.Back(1)
		if err != nil {
			t.Fatal(err)
		}
		r.cursor, r.since = back, back.Next()
		got, _ := drain(t, r)
		for i, p := range got {
			if !p.Media() {
				continue
			}
			again, exact, err := b.Resume("httpflv", positionOf(r, p), flvAudio...)
			if err != nil || !exact {
				t.Fatalf("%v at %v: %v, %v", p.Track, p.DTS, exact, err)
			}
			rest, _ := drain(t, again)
			again.Close()
			if !slices.Equal(rest, got[i+1:]) {
				t.Fatalf("%v at %v: %d packets follow instead of %d", p.Track, p.DTS, len(rest), len(got)-i-1)
			}
			bySeq, exact, _ := b.Resume("mse", Position{Origin: r.Origin(), Seq: p.Seq}, flvAudio...)
			if first, _ := bySeq.Read(t.Context()); !exact || i+1 < len(got) && first[0] != got[i+1] {
				t.Fatalf("by sequence %d: %v, %v", p.Seq, exact, first[0])
			}
			bySeq.Close()
		}
		if n := b.Snapshot(time.Now()).Viewers["httpflv"]; n != 1 {
			t.Errorf("%d viewers are counted", n)
		}
	})
}

// Who is back after half the buffer's time is not slow: it catches up; one that then dawdles is.
func TestResumeFarBehindCatchesUp(t *testing.T) {
	story(t, nil, func(b *bench) {
		p := b.publish(gen.Options{})
		p.run(3 * time.Second)
		r := b.attach()
		got, _ := drain(t, r)
		p.run(15 * time.Second)
		again, exact, err := b.Resume("httpflv", positionOf(r, got[len(got)-1]))
		if err != nil || !exact {
			t.Fatal(exact, err)
		}
		defer again.Close()
		p.run(3 * time.Second) // still more than it was, and no less than it may
		more, _ := drain(t, again)
		if n := count(more, func(p *packetbuf.Packet) bool { return p.Track == packetbuf.Video && p.Media() }); n != 18*30 {
			t.Errorf("%d frames of %d", n, 18*30)
		}
		p.run(8 * time.Second)
		if _, _ = drain(t, again); b.counters.Skips()["httpflv"] != 1 {
			t.Errorf("skipped %d times", b.counters.Skips()["httpflv"])
		}
	})
}

// What the buffer does not have, has never had, or had for somebody else is no place to go on
// from.
func TestResumeElsewhereBeginsAtAKeyframe(t *testing.T) {
	story(t, func(c *Config) { c.HoldUnpublish = 0 }, func(b *bench) {
		b.publish(gen.Options{}).run(5 * time.Second)
		r := b.attach()
		got, _ := drain(t, r)
		last := got[len(got)-1]
		was := positionOf(r, last)
		for name, change := range map[string]func(*Position){
			"another stream":       func(p *Position) { p.Origin.Life++ },
			"between two packets":  func(p *Position) { p.DTS++ },
			"the future":           func(p *Position) { p.DTS += time.Hour },
			"no media":             func(p *Position) { p.Track = packetbuf.Data },
			"a sequence to come":   func(p *Position) { p.Seq = 1 << 40 },
			"one of configuration": func(p *Position) { p.Seq = got[0].Seq },
			"before the beginning": func(p *Position) { p.Origin.Seq, p.Seq = last.Seq, got[5].Seq },
		} {
			at := was
			change(&at)
			again, exact, err := b.Resume("httpflv", at)
			if err != nil || name != "before the beginning" && exact {
				t.Errorf("%s: %v, %v", name, exact, err)
				continue
			}
			if packets, _ := drain(t, again); !exact && (len(packets) < 4 || packets[3].Kind != packetbuf.Key || again.Origin().Seq != packets[3].Seq) {
				t.Errorf("%s: begins with %v", name, packets[:4])
			}
			again.Close()
		}
		b.Close(ingest.Kick, "over")
		if again, _, err := b.Resume("httpflv", was); err == nil {
			again.Close()
			t.Error("resumed on a stream that is over")
		}
	})
}

// BenchmarkResume resumes at the oldest frame of a buffer of 20 seconds.
func BenchmarkResume(b *testing.B) {
	o := &bench{}
	o.Stream = New("live/cam", Options{
		Config: Config{Buffer: packetbuf.Limits{Duration: 20 * time.Second}, Gather: GatherAuto}, Observer: o, Counters: &o.counters, Load: &o.load,
		Log: slog.New(slog.DiscardHandler),
	})
	defer o.Close(ingest.Kick, "over")
	sink, err := o.Publish(b.Context(), ingest.Request{App: "live", Name: "cam", Protocol: ingest.RTMP, Session: &session{}})
	if err != nil {
		b.Fatal(err)
	}
	for _, p := range gen.New(gen.Options{}).Until(30 * time.Second) {
		if err := sink.Write(p); err != nil {
			b.Fatal(err)
		}
	}
	at := Position{Origin: Origin{Life: o.serial, Seq: 4}}
	for name, dts := range map[string]time.Duration{"oldest": 11 * time.Second, "newest": 29 * time.Second} {
		at.DTS = dts
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				r, exact, err := o.Resume("httpflv", at, flvAudio...)
				if err != nil || !exact {
					b.Fatal(exact, err)
				}
				r.Close()
			}
		})
	}
}
