package link

import (
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/holdfast-live/holdfast/packetbuf"
	wire "github.com/holdfast-live/holdfast/packetbuf/rtmp"
	"github.com/holdfast-live/holdfast/testmedia/faultnet"
)

// An origin that sends pictures in parts: each is read as one, the newest without waiting for the
// next, and that is told.
func TestPullPicturesInParts(t *testing.T) {
	video := func(ms uint32, body ...byte) []byte {
		return wire.AppendMessage(nil, wire.Header{ChunkStream: 6, Stream: 1, Type: wire.TypeVideo, Timestamp: ms}, wire.DefaultChunkSize, body)
	}
	part := func(ms uint32, second byte) []byte {
		return video(ms, 0x17, 1, 0, 0, 0, 0, 0, 0, 3, 0x65, second, 0x80)
	}
	media := video(0, 0x17, 0, 0, 0, 0, 1, 0x42, 0xc0, 0x1e, 0xff, 0xe1, 0, 4, 0x67, 0x42, 0xc0, 0x1e, 1, 0, 2, 0x68, 0xce)
	for _, ms := range []uint32{0, 40} {
		media = slices.Concat(media, part(ms, 0x88), part(ms, 0x4b))
	}
	synctest.Test(t, func(t *testing.T) {
		n := faultnet.NewNetwork(nil)
		origin(t, n, true, created(1), slices.Concat(playing(), media))
		var repairs []packetbuf.Repair
		f, err := Pull(t.Context(), Options{
			URL: "rtmp://far/live/cam", Dialer: n.DialContext,
			Repairs: func(all []packetbuf.Repair) { repairs = append(repairs, all...) },
		})
		if err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		for i, want := range []int{22 - 5, 2 * 7, 2 * 7} {
			p, err := f.Read()
			if err != nil || len(p.Payload) != want {
				t.Fatalf("packet %d: got %v, %v, want %d bytes", i, p, err, want)
			}
		}
		if took := time.Since(began); took < 200*time.Millisecond || took > 300*time.Millisecond {
			t.Errorf("got the last picture after %v, want about 250ms", took)
		}
		_ = f.Close()
		if _, err := f.Read(); err == nil {
			t.Error("got a packet of a feed that is closed")
		}
		split := uint64(0)
		for _, r := range repairs {
			if r.Reason == packetbuf.SplitFrame {
				split += r.Count
			}
		}
		if split != 2 {
			t.Errorf("got repairs %v, want 2 of split pictures", repairs)
		}
	})
}
