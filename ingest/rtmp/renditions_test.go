package rtmp

import (
	"errors"
	"slices"
	"testing"

	"github.com/holdfast-live/holdfast/ingest"
	"github.com/holdfast-live/holdfast/packetbuf"
	wire "github.com/holdfast-live/holdfast/packetbuf/rtmp"
)

// tracks2 is a multitrack body of VP8: packet type 1, each track with its share.
func tracks2(first byte, shares ...[]byte) []byte {
	b := append([]byte{first, 0x11}, "vp08"...)
	for id, share := range shares {
		b = append(b, byte(id), 0, 0, byte(len(share)))
		b = append(b, share...)
	}
	return b
}

var (
	ex0, ex1 = []byte{0x10, 1, 2, 3}, []byte{0x10, 4, 5, 6} // key frames
	ac3      = append([]byte("\x91ac-3"), 0x0b, 0x77, 9)
)

func payloads(t *testing.T, s *fakeSink, n int) (got [][]byte) {
	t.Helper()
	for range n {
		got = append(got, wait(t, "packet", s.packets).Payload)
	}
	return got
}

// TestMultitrack: track 0 feeds the stream, the others one of their own each, all with the sound.
func TestMultitrack(t *testing.T) {
	access := newAccess()
	p, main, _ := published(t, Options{Access: access})
	p.Media(wire.TypeAudio, 0, ac3...)
	p.Media(wire.TypeVideo, 0, tracks2(0x96, ex0, ex1)...)
	one := wait(t, "rendition", access.sinks)
	if r := one.request; r.App != "live" || r.Name != "cam~1" || r.Backup || r.Session.ID() != main.request.Session.ID()+"~1" {
		t.Errorf("%+v", r)
	}
	p.Media(wire.TypeAudio, 20, ac3...)
	// Behind modifiers the tracks are found too.
	p.Media(wire.TypeVideo, 40, append([]byte{0xa7, 2, 0, 0, 7, 0x06}, tracks2(0, []byte{0x11, 7}, []byte{0x11, 8}, []byte{0x11, 9})[1:]...)...)
	if got, want := payloads(t, main, 4), [][]byte{{0x0b, 0x77, 9}, ex0, {0x0b, 0x77, 9}, {0x11, 7}}; !slices.EqualFunc(got, want, slices.Equal) {
		t.Errorf("the stream got %x", got)
	}
	if got, want := payloads(t, one, 3), [][]byte{ex1, {0x0b, 0x77, 9}, {0x11, 8}}; !slices.EqualFunc(got, want, slices.Equal) {
		t.Errorf("the rendition got %x", got)
	}
	select {
	case s := <-access.sinks:
		t.Errorf("%s is published without a keyframe", s.request.Name)
	default:
	}
	one.request.Session.Close(ingest.Takeover, "another came") // the push goes on without it
	p.Media(wire.TypeVideo, 80, tracks2(0x96, ex0, ex1)...)
	if e := wait(t, "end of the rendition", one.ended); e.cause != ingest.Takeover {
		t.Error(e)
	}
	if got := payloads(t, main, 1); !slices.Equal(got[0], ex0) {
		t.Errorf("%x", got)
	}
	p.Call(0, "deleteStream", wire.Null{}, wire.Number(1))
	if e := wait(t, "end", main.ended); e.cause != ingest.Unpublish {
		t.Error(e)
	}
}

func TestRenditionsEndWithThePush(t *testing.T) {
	access := newAccess()
	access.write = func(s *fakeSink, p *packetbuf.Packet) error {
		if s.request.Name == "cam~2" && p.Payload[0] == 0x11 {
			return errors.New("stale")
		}
		return nil
	}
	p, main, _ := published(t, Options{Access: access})
	p.Media(wire.TypeVideo, 0, tracks2(0x96, ex0, ex1, ex1)...)
	one, two := wait(t, "rendition", access.sinks), wait(t, "rendition", access.sinks)
	p.Media(wire.TypeVideo, 40, tracks2(0xa6, []byte{0x11}, []byte{0x11}, []byte{0x11})...)
	p.Media(wire.TypeVideo, 80, tracks2(0xa6, []byte{0x11}, []byte{0x11}, []byte{0x11})...)
	if e := wait(t, "end", two.ended); e.cause != ingest.Kick || e.reason != "stale" {
		t.Error(e)
	}
	_ = p.Conn.Close()
	for _, s := range []*fakeSink{main, one} {
		if e := wait(t, "end", s.ended); e.cause != ingest.EOF {
			t.Error(e)
		}
	}
}

// TestTracksThatAreLeftOut: further sound, too many pictures and what is refused cost the push
// nothing.
func TestTracksThatAreLeftOut(t *testing.T) {
	access := newAccess()
	access.decide = func(r ingest.Request) error {
		if r.Name != "cam" {
			return &ingest.Refusal{Outcome: ingest.RefusedKey, Reason: "no"}
		}
		return nil
	}
	p, main, _ := published(t, Options{Access: access})
	wait(t, "request", access.asked)
	sound := slices.Concat([]byte{0x95, 0x11}, []byte("ac-3"), []byte{0, 0, 0, 2, 0x0b, 0x77, 1, 0, 0, 2, 0x0b, 0x78})
	many := make([][]byte, 40)
	for i := range many {
		many[i] = ex0
	}
	for at := range uint32(20) {
		p.Media(wire.TypeAudio, 20*at, sound...)
		p.Media(wire.TypeVideo, 20*at, tracks2(0x96, many...)...)
	}
	for _, b := range payloads(t, main, 40) {
		if !slices.Equal(b, []byte{0x0b, 0x77}) && !slices.Equal(b, ex0) {
			t.Fatalf("%x", b)
		}
	}
	for range maxRenditions {
		wait(t, "request", access.asked)
	}
	if n := len(access.asked); n != 0 {
		t.Errorf("%d requests more", n)
	}
}
