package cmaf

import (
	"slices"
	"testing"
	"time"

	"github.com/holdfast-live/holdfast/packetbuf"
	"github.com/holdfast-live/holdfast/testmedia/gen"
)

// Repeated frames, for a viewer that joins a stream that has been held for long, keep their
// order and pass within less than one screen refresh.
func TestRepeatedFrames(t *testing.T) {
	var pictures, gop []*packetbuf.Packet
	for _, p := range gen.New(gen.Options{NoAudio: true, NoMetadata: true, BFrames: 2}).Until(2 * time.Second) {
		if pictures = append(pictures, p); p.Media() {
			gop = append(gop, p)
		}
	}
	still := func(at time.Duration) {
		pictures = append(pictures, &packetbuf.Packet{
			Track: packetbuf.Video, Codec: packetbuf.H264, Kind: packetbuf.Delta, Flags: packetbuf.Filler,
			DTS: at, CTO: 66 * time.Millisecond, Payload: []byte{0, 0, 0, 2, 0x41, 0xe0},
		})
	}
	at := 2 * time.Second
	for ; at < 12*time.Second; at += 200 * time.Millisecond {
		still(at)
	}
	shown := slices.SortedFunc(slices.Values(gop), func(a, b *packetbuf.Packet) int { return int(a.PTS() - b.PTS()) })
	for i, p := range gop {
		dts := at - 200*time.Millisecond + time.Duration(i+1)*time.Millisecond
		pts := at - 200*time.Millisecond + time.Duration(slices.Index(shown, p)+1)*time.Millisecond + 66*time.Millisecond
		flags := packetbuf.Filler | packetbuf.Repeat
		if p.Kind == packetbuf.Key {
			flags |= packetbuf.Segment
		}
		pictures = append(pictures, &packetbuf.Packet{
			Track: packetbuf.Video, Codec: packetbuf.H264, Kind: p.Kind, Flags: flags,
			DTS: dts, CTO: max(0, pts-dts), Payload: p.Payload,
		})
	}
	still(at)
	still(at + 200*time.Millisecond)
	for i, p := range pictures {
		p.Seq = uint64(i + 1)
	}
	frames := readAll(t, cutAll(t, pictures)).frames[0]
	from := slices.IndexFunc(frames, func(f frame) bool { return f.dts > 3*videoScale && f.key })
	if from < 0 || len(frames) < from+len(gop)+1 {
		t.Fatalf("got %d frames, the repeated keyframe is number %d", len(frames), from)
	}
	once, again := frames[:len(gop)], frames[from:from+len(gop)]
	for i := range again {
		if again[i].payload != once[i].payload {
			t.Fatalf("frame %d has another payload", i)
		}
		for j := range again[:i] {
			if before := once[j].dts+once[j].cto < once[i].dts+once[i].cto; before != (again[j].dts+again[j].cto < again[i].dts+again[i].cto) {
				t.Fatalf("frames %d and %d are presented in the wrong order", j, i)
			}
		}
	}
	if took := time.Duration(again[len(again)-1].dts-again[0].dts) * time.Second / videoScale; took > 10*time.Millisecond {
		t.Errorf("repeated frames last %v", took)
	}
}
