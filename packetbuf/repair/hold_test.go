package repair_test

import (
	"testing"
	"time"

	"github.com/holdfast-live/holdfast/packetbuf"
	"github.com/holdfast-live/holdfast/packetbuf/codec"
	"github.com/holdfast-live/holdfast/packetbuf/flv"
)

// For a publisher of whole frames only the first keyframe is held, until the next frame.
func TestWholeFramesAreNotHeld(t *testing.T) {
	clip := encodeH264(t, "160x128", "45", "bframes=0:slices=1")
	var in flv.Intake
	now := time.Unix(1, 0)
	out := 0
	for i, p := range clip {
		out += len(takePacket(t, &in, now, p))
		if late := i + 1 - out; i != 1 && late != 0 || late > 1 {
			t.Fatalf("packet %d: got %d held", i, late)
		}
		now = now.Add(40 * time.Millisecond)
	}
}

// The first keyframe is held for 100 ms at most, and packets of other tracks that follow it are held
// with it, in order.
func TestFirstKeyframeIsHeldBriefly(t *testing.T) {
	clip := encodeH264(t, "160x128", "2", "bframes=0:slices=1")
	mp3 := &packetbuf.Packet{Track: packetbuf.Audio, Codec: packetbuf.MP3, Payload: []byte{0xff, 0xfb, 0x90, 0xc4}}
	var in flv.Intake
	now := time.Unix(1, 0)
	takePacket(t, &in, now, clip[0])
	if got := len(takePacket(t, &in, now, clip[1])) + len(takePacket(t, &in, now, mp3)); got != 0 || !in.Due().Equal(now.Add(100*time.Millisecond)) {
		t.Fatalf("got %d packets, the others due after %v, want none and 100ms", got, in.Due().Sub(now))
	}
	if early, _ := in.Flush(now.Add(99 * time.Millisecond)); len(early) != 0 {
		t.Errorf("before they are due: got %d packets, want none", len(early))
	}
	got, _ := in.Flush(in.Due())
	if len(got) != 2 || got[0].Kind != packetbuf.Key || got[1].Track != packetbuf.Audio {
		t.Errorf("got %v, want the keyframe and the audio behind it", got)
	}
	if got := takePacket(t, &in, now.Add(time.Second), clip[2]); len(got) != 1 || !in.Due().IsZero() {
		t.Errorf("second frame: got %d packets, want 1", len(got))
	}
}

// If frames keep arriving in the same number of parts, each is passed on with its last part.
func TestSteadyPartsAreNotHeld(t *testing.T) {
	clip := encodeH264(t, "320x256", "60", "bframes=0:slices=4")
	var in flv.Intake
	now := time.Unix(1, 0)
	takePacket(t, &in, now, clip[0])
	for n, p := range clip[1:] {
		all := nalUnits(t, p)
		got := 0
		for _, nal := range all {
			got += len(takePacket(t, &in, now, withPayload(p, codec.AppendNAL(nil, nal))))
		}
		if held := !in.Due().IsZero(); n > 35 && (held || got != 1) {
			t.Fatalf("frame %d: got %d packets with its last part, held: %t, want 1, false", n, got, held)
		}
		now = now.Add(40 * time.Millisecond)
	}
}

// A frame whose parts stop arriving is passed on after a while; a later part of it is dropped and
// counted.
func TestUnfinishedFrameIsFlushed(t *testing.T) {
	clip := encodeH264(t, "320x256", "3", "bframes=0:slices=4")
	var in flv.Intake
	now := time.Unix(1, 0)
	takePacket(t, &in, now, clip[0])
	all := nalUnits(t, clip[1])
	last := len(all) - 1
	for _, nal := range all[:last] {
		takePacket(t, &in, now, withPayload(clip[1], codec.AppendNAL(nil, nal)))
	}
	got, _ := in.Flush(in.Due())
	if len(got) != 1 || got[0].Kind != packetbuf.Key {
		t.Fatalf("got %v, want the keyframe", got)
	}
	if late := takePacket(t, &in, now.Add(time.Second), withPayload(clip[1], codec.AppendNAL(nil, all[last]))); len(late) != 0 {
		t.Errorf("late part: got %d packets, want none", len(late))
	}
	for _, r := range in.Repairs.Drain() {
		if r.Reason == packetbuf.LatePart && r.Count == 1 {
			return
		}
	}
	t.Error("late part: got no late_part repair, want 1")
}

func takePacket(t *testing.T, in *flv.Intake, now time.Time, p *packetbuf.Packet) []*packetbuf.Packet {
	t.Helper()
	body, err := flv.AppendBody(nil, p)
	if err != nil {
		t.Fatal(err)
	}
	got, err := in.Take(now, p.Track, p.Millis(), body)
	if err != nil {
		t.Fatal(err)
	}
	return append([]*packetbuf.Packet(nil), got...)
}
