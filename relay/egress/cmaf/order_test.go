package cmaf

import (
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/holdfast-live/holdfast/packetbuf"
	"github.com/holdfast-live/holdfast/testmedia/gen"
)

// With packets in any order and with any times, no frame is lost and times never decrease.
func TestAnyOrder(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		configs := media(gen.Options{}, 0)
		var at [2]time.Duration
		packets := configs
		for range rapid.IntRange(1, 200).Draw(rt, "packets") {
			tr := rapid.IntRange(0, 1).Draw(rt, "track")
			at[tr] += time.Duration(rapid.SampledFrom([]int{1, 20, 21, 33, 40, 130, 700, 2500, 12000}).Draw(rt, "step")) * time.Millisecond
			p := &packetbuf.Packet{Track: packetbuf.Track(tr), Codec: packetbuf.AAC, Kind: packetbuf.Delta, DTS: at[tr], Payload: []byte{1, byte(len(packets)), byte(len(packets) >> 8)}}
			if tr == 0 {
				p.Codec = packetbuf.H264
				p.Kind = rapid.SampledFrom([]packetbuf.Kind{packetbuf.Key, packetbuf.Delta, packetbuf.Disposable}).Draw(rt, "kind")
				p.CTO = time.Duration(rapid.IntRange(-50, 100).Draw(rt, "offset")) * time.Millisecond
			}
			p.Flags = packetbuf.Flags(rapid.IntRange(0, 3).Draw(rt, "flags"))
			packets = append(packets, p)
		}
		chunks := cutAll(t, packets)
		r := &reader{slack: true}
		for _, c := range chunks {
			if err := r.add(c); err != nil {
				rt.Fatal(err)
			}
		}
	})
}

func BenchmarkCut(b *testing.B) {
	in := media(gen.Options{}, 20*time.Second)
	for i, p := range in {
		p.Arrived = epoch.Add(p.DTS)
		p.Seq = uint64(i) + 1
	}
	chunks, size := 0, 0
	b.ReportAllocs()
	for b.Loop() {
		r := newRing(1, Limits{Duration: 5 * time.Second})
		c := &cutter{emit: func(ch *Chunk) { chunks++; size += len(ch.Data); r.append(ch) }, expects: [2]bool{true, true}, seq: 1}
		for _, p := range in {
			if err := c.write(p); err != nil {
				b.Fatal(err)
			}
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(chunks), "ns/chunk")
	b.ReportMetric(float64(chunks)/float64(b.N), "chunks/op")
	b.SetBytes(int64(size / b.N))
}
