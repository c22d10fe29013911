package whip

import (
	"encoding/binary"
	"errors"
	"log/slog"
	"slices"
	"testing"
	"time"

	"github.com/holdfast-live/holdfast/ingest"
	"github.com/holdfast-live/holdfast/packetbuf"
)

// ladder is a session with layers of VP8, and the time.
type ladder struct {
	s   *session
	h   *house
	all []*track
	now time.Time
	ts  uint32
}

var sides = []int{320, 640, 1280}

func newLadder(t *testing.T) *ladder {
	t.Helper()
	h := newHouse(t, nil)
	s := newSession(h.Server, request(""), &offered{video: packetbuf.VP8, audio: packetbuf.Opus, layers: len(sides)}, func() {})
	t.Cleanup(s.cancel)
	s.log = slog.New(slog.DiscardHandler)
	main, err := h.Publish(t.Context(), s.request)
	if err != nil {
		t.Fatal(err)
	}
	s.main = &publication{session: s, sink: main}
	l := &ladder{s: s, h: h, now: time.Unix(1000, 0)}
	for _, rid := range []string{"l", "m", "h"} {
		one := &track{s: s, kind: packetbuf.Video, units: newAssembler(formats[packetbuf.VP8])}
		one.clock, one.layer = s.clocks.track(90000), s.layers.add(one, rid, nil)
		l.all = append(l.all, one)
	}
	return l
}

// frame has pictures of these layers come, at 20 a second; keyframes of those that are asked.
func (l *ladder) frame(t *testing.T, layers ...int) {
	t.Helper()
	l.now, l.ts = l.now.Add(50*time.Millisecond), l.ts+4500
	due := l.s.layers.keysDue(l.now, 0)
	for _, one := range due { // as the session's loop does that has asked
		one.wanted.Store(false)
	}
	for _, i := range layers {
		u := accessUnit{timestamp: l.ts, kind: packetbuf.Delta, payload: []byte{1, byte(i), 0}}
		if slices.Contains(due, l.all[i].layer) {
			u = l.key(i)
		}
		if err := l.s.picture(l.now, l.all[i], u); err != nil {
			t.Fatal(err)
		}
	}
}

// key is a keyframe of a layer.
func (l *ladder) key(i int) accessUnit {
	b := []byte{0, byte(i), 0, 0x9d, 1, 0x2a}
	b = binary.LittleEndian.AppendUint16(b, uint16(sides[i]))
	b = binary.LittleEndian.AppendUint16(b, uint16(sides[i]*9/16))
	payload, kind, config := finishVP8(b)
	return accessUnit{l.ts, payload, kind, config}
}

// fed is which layer fed the stream last.
func (l *ladder) fed() int {
	p := l.h.sinks["a"].packets
	return int(p[len(p)-1].Payload[1])
}

func (l *ladder) frames(t *testing.T, n int, layers ...int) {
	t.Helper()
	for range n {
		l.frame(t, layers...)
	}
}

func TestLayers(t *testing.T) {
	l := newLadder(t)
	l.frames(t, 1, 0, 1, 2)
	if len(l.h.sinks["a"].packets) != 0 {
		t.Fatal("a stream began without a keyframe")
	}
	l.frames(t, 10, 0, 1, 2)
	if l.fed() != 0 {
		t.Fatalf("layer %d feeds, want the first that had a keyframe until another has proven itself", l.fed())
	}
	l.frames(t, 40, 0, 1, 2)
	if l.fed() != 2 {
		t.Errorf("layer %d feeds, want the best", l.fed())
	}
	l.frames(t, 20, 0, 1) // the best is quiet
	if l.fed() != 1 {
		t.Errorf("layer %d feeds, want the next", l.fed())
	}
	l.frames(t, 20, 0)
	if l.fed() != 0 {
		t.Errorf("layer %d feeds, want the last", l.fed())
	}
	l.frames(t, 10, 0, 1, 2) // half a second
	if l.fed() != 0 {
		t.Errorf("layer %d feeds half a second after the others came again", l.fed())
	}
	l.frames(t, 30, 0, 1, 2)
	if l.fed() != 2 {
		t.Errorf("layer %d feeds, want the best again", l.fed())
	}
	last := -1
	for _, p := range l.h.sinks["a"].packets {
		if p.Kind == packetbuf.Config {
			continue
		}
		if one := int(p.Payload[1]); one != last {
			if p.Kind != packetbuf.Key {
				t.Errorf("layer %d follows %d without a keyframe", one, last)
			}
			last = one
		}
	}
	for i, rid := range []string{"l", "m", "h"} {
		pub := l.h.sinks["a~"+rid]
		if pub == nil || pub.packets[0].Kind != packetbuf.Config || pub.packets[1].Kind != packetbuf.Key {
			t.Fatalf("rendition %s is not published from a keyframe on", rid)
		}
		for _, p := range pub.packets {
			if p.Kind != packetbuf.Config && int(p.Payload[1]) != i {
				t.Fatalf("a picture of layer %d in rendition %s", p.Payload[1], rid)
			}
		}
	}
}

// TestRenditionsWant has a wish for a keyframe reach the layer that it is of, however rarely
// pictures of it come, and end when one comes.
func TestRenditionsWant(t *testing.T) {
	l := newLadder(t)
	l.s.layers.want()
	l.frames(t, 1, 0, 1)
	l.frames(t, 30, 0, 1)
	if l.fed() != 1 {
		t.Fatalf("layer %d feeds", l.fed())
	}
	l.all[0].layer.wanted.Store(false)
	session, ok := l.h.sinks["a~l"].session.(ingest.KeyRequester)
	if !ok {
		t.Fatal("a rendition's session takes no wishes")
	}
	session.RequestKey()
	for _, after := range []time.Duration{0, time.Second} {
		if due := l.s.layers.keysDue(l.now.Add(after), 0); len(due) != 1 || due[0] != l.all[0].layer {
			t.Errorf("after %v %d layers are asked", after, len(due))
		}
	}
	if err := l.s.picture(l.now, l.all[0], l.key(0)); err != nil {
		t.Fatal(err)
	}
	if due := l.s.layers.keysDue(l.now, 0); len(due) != 0 {
		t.Errorf("%d layers are asked once a keyframe came", len(due))
	}
}

// TestKeyframeInterval asks those whose keyframe is old.
func TestKeyframeInterval(t *testing.T) {
	l := newLadder(t)
	l.s.layers.want()
	l.frames(t, 1, 0)
	if due := l.s.layers.keysDue(l.now.Add(400*time.Millisecond), 2*time.Second); len(due) != 0 {
		t.Errorf("%d layers are asked", len(due))
	}
	l.frames(t, 50, 0)
	if due := l.s.layers.keysDue(l.now, 2*time.Second); len(due) != 1 {
		t.Errorf("%d layers are asked", len(due))
	}
	if due := l.s.layers.keysDue(l.now.Add(quiet), 2*time.Second); len(due) != 0 {
		t.Errorf("%d layers that bring nothing are asked", len(due))
	}
}

// TestRenditionsEnd has renditions refused, closed and not taken: the stream goes on, and they
// are tried again in time.
func TestRenditionsEnd(t *testing.T) {
	l := newLadder(t)
	l.h.refusal = &ingest.Refusal{Outcome: ingest.RefusedLimit, Reason: "too many"}
	key := func(after time.Duration) {
		t.Helper()
		l.now = l.now.Add(after)
		for i := range l.all {
			if err := l.s.picture(l.now, l.all[i], l.key(i)); err != nil {
				t.Fatal(err)
			}
		}
		l.s.layers.leave()
	}
	key(0)
	l.h.refusal = nil
	key(refusedFor - time.Second)
	if len(l.h.sinks) != 1 {
		t.Fatalf("%d streams soon after a refusal", len(l.h.sinks))
	}
	key(time.Second)
	if len(l.h.sinks) != 4 {
		t.Fatalf("%d streams, want the renditions too", len(l.h.sinks))
	}
	closed, broken, good := l.h.sinks["a~l"], l.h.sinks["a~m"], l.h.sinks["a~h"]
	if closed.session.ID() == good.session.ID() || closed.session.ID() == l.s.ID() {
		t.Error("sessions share an ID")
	}
	closed.session.Close(ingest.Takeover, "another took it")
	closed.session.Close(ingest.Kick, "later")
	broken.failure = errors.New("over")
	count := len(closed.packets)
	key(time.Second)
	if closed.cause != ingest.Takeover || closed.detail != "another took it" || len(closed.packets) != count {
		t.Errorf("ended by %q, %s, after %d more packets", closed.cause, closed.detail, len(closed.packets)-count)
	}
	if broken.cause != ingest.Kick || broken.detail != "over" || good.cause != "" || l.h.sinks["a"].cause != "" {
		t.Errorf("ended by %q, %s; the others by %q, %q", broken.cause, broken.detail, good.cause, l.h.sinks["a"].cause)
	}
	key(refusedFor)
	if again := l.h.sinks["a~l"]; again == closed || len(again.packets) == 0 {
		t.Error("a rendition that was closed is not tried again")
	}
	l.s.layers.end(ingest.Unpublish, "done")
	if good.cause != ingest.Unpublish || l.h.sinks["a~l"].cause != ingest.Unpublish {
		t.Errorf("ended by %q and %q", good.cause, l.h.sinks["a~l"].cause)
	}
}
