package whep

import (
	"slices"
	"testing"
	"time"

	"github.com/pion/rtp"
	"github.com/pion/webrtc/v4"

	"github.com/holdfast-live/holdfast/packetbuf"
	"github.com/holdfast-live/holdfast/testmedia/gen"
	"github.com/holdfast-live/holdfast/testmedia/streamtest"
)

// void is an RTP writer that discards packets.
type void struct {
	recorder
	packets int
}

func (v *void) WriteRTP(*rtp.Header, []byte) (int, error) {
	v.packets++
	return 0, nil
}

func (v *void) WriteStream() webrtc.TrackLocalWriter { return v }

// sending is a viewer for which one second of 2.5 Mb/s video, and of audio, is ready to be sent.
func sending(tb testing.TB) (v *viewer, second []*packetbuf.Packet, out [2]*void) {
	tb.Helper()
	v = &viewer{server: New(Options{HTTP: streamtest.HTTP{}, Metrics: &streamtest.Metrics{}}), video: newTrack(webrtc.RTPCodecTypeVideo, h264Params), audio: newTrack(webrtc.RTPCodecTypeAudio, opusParams)}
	for i, t := range []*track{v.video, v.audio} {
		out[i] = &void{recorder: recorder{of: t.codec}}
		if _, err := t.Bind(out[i]); err != nil {
			tb.Fatal(err)
		}
	}
	second = slices.DeleteFunc(gen.New(gen.Options{AudioCodec: packetbuf.Opus, NoMetadata: true}).Until(time.Second),
		func(p *packetbuf.Packet) bool { return p.Kind == packetbuf.Config && p.Track == packetbuf.Data })
	now := time.Now()
	for _, p := range second {
		p.Arrived = now
		v.sendPacket(now, p) // serializes the payloads
	}
	return v, second, out
}

// Sending a serialized packet to a viewer allocates nothing, and neither does repeating one.
func TestSendDoesNotAllocate(t *testing.T) {
	v, second, out := sending(t)
	at := time.Second
	now := time.Now()
	second = slices.DeleteFunc(second, func(p *packetbuf.Packet) bool { return p.Kind == packetbuf.Config })
	before := out[0].packets
	allocs := testing.AllocsPerRun(20, func() {
		for _, p := range second {
			p.DTS, p.Arrived = at, now
			at += 10 * time.Millisecond
			v.sendPacket(now, p)
		}
		to := v.video.writer.Load()
		if p, ok := v.video.history.repeat(now, v.video.history.next-1); ok {
			to.write(&to.repeating, p.payload, p.ts, p.seq, p.marker)
		}
	})
	if allocs != 0 || out[0].packets == before || out[1].packets == 0 {
		t.Errorf("got %v allocations for %d packets, want 0", allocs, out[0].packets-before)
	}
}

// BenchmarkSend measures the cost of an RTP packet per viewer, before encryption.
func BenchmarkSend(b *testing.B) {
	v, second, out := sending(b)
	media := slices.DeleteFunc(second, func(p *packetbuf.Packet) bool { return p.Kind == packetbuf.Config })
	now, at, before := time.Now(), time.Second, out[0].packets+out[1].packets
	b.ReportAllocs()
	for b.Loop() {
		for _, p := range media {
			p.DTS = at
			at += 10 * time.Millisecond
			v.sendPacket(now, p)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(out[0].packets+out[1].packets-before), "ns/packet")
}

// BenchmarkPayloads measures packetizing a packet, which is done once for all viewers.
func BenchmarkPayloads(b *testing.B) {
	config, of := h264(b, 4)
	p := of(packetbuf.Delta, unit(slice, 10_000))
	pack := payloader(config)
	b.SetBytes(int64(len(p.Payload)))
	b.ReportAllocs()
	for b.Loop() {
		pack(p)
	}
}

// BenchmarkJoin measures the time from an offer to the first keyframe, on loopback.
func BenchmarkJoin(b *testing.B) {
	h, f, _ := playingViewer(b, nil)
	h.mu.Lock()
	h.template.packets = append([]*packetbuf.Packet{f.config}, f.key()...)
	h.mu.Unlock()
	var took []time.Duration
	for b.Loop() {
		b.StopTimer()
		w := newTestViewer(b, h)
		offer := w.offer(b, nil)
		b.StartTimer()
		begun := time.Now()
		w.answered(b, h.post(b, offer).body.String())
		w.frame(b)
		took = append(took, time.Since(begun))
		b.StopTimer()
		w.close()
		b.StartTimer()
	}
	slices.Sort(took)
	b.ReportMetric(float64(took[len(took)/2].Microseconds()), "µs-median")
}
