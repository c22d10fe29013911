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

// layerTest is a session with layers of VP8, and a clock.
type layerTest struct {
	s   *session
	h   *testServer
	all []*track
	now time.Time
	ts  uint32
}

var sides = []int{320, 640, 1280}

func newLayerTest(t *testing.T) *layerTest {
	t.Helper()
	h := newTestServer(t, nil)
	s := newSession(h.Server, testRequest(""), &offeredMedia{video: packetbuf.VP8, audio: packetbuf.Opus, layers: len(sides)}, func() {})
	t.Cleanup(s.cancel)
	s.log = slog.New(slog.DiscardHandler)
	main, err := h.Publish(t.Context(), s.request)
	if err != nil {
		t.Fatal(err)
	}
	s.main = &publication{session: s, sink: main}
	l := &layerTest{s: s, h: h, now: time.Unix(1000, 0)}
	for _, rid := range []string{"l", "m", "h"} {
		one := &track{session: s, kind: packetbuf.Video, units: newAssembler(formats[packetbuf.VP8])}
		one.clock, one.layer = s.clocks.newTrack(90000), s.layers.add(one, rid, nil)
		l.all = append(l.all, one)
	}
	return l
}

// sendFrames delivers a frame of each of these layers, 20 a second, and keyframes where requested.
func (l *layerTest) sendFrames(t *testing.T, layers ...int) {
	t.Helper()
	l.now, l.ts = l.now.Add(50*time.Millisecond), l.ts+4500
	due := l.s.layers.keysDue(l.now, 0)
	for _, one := range due { // as the session's loop does that has asked
		one.keyWanted.Store(false)
	}
	for _, i := range layers {
		u := accessUnit{timestamp: l.ts, kind: packetbuf.Delta, payload: []byte{1, byte(i), 0}}
		if slices.Contains(due, l.all[i].layer) {
			u = l.keyframe(i)
		}
		if err := l.s.writeVideo(l.now, l.all[i], u); err != nil {
			t.Fatal(err)
		}
	}
}

// keyframe returns a keyframe of a layer.
func (l *layerTest) keyframe(i int) accessUnit {
	b := []byte{0, byte(i), 0, 0x9d, 1, 0x2a}
	b = binary.LittleEndian.AppendUint16(b, uint16(sides[i]))
	b = binary.LittleEndian.AppendUint16(b, uint16(sides[i]*9/16))
	payload, kind, config := finishVP8(b)
	return accessUnit{l.ts, payload, kind, config}
}

// currentLayer returns the layer of the stream's newest frame.
func (l *layerTest) currentLayer() int {
	p := l.h.sinks["a"].packets
	return int(p[len(p)-1].Payload[1])
}

func (l *layerTest) sendFramesN(t *testing.T, n int, layers ...int) {
	t.Helper()
	for range n {
		l.sendFrames(t, layers...)
	}
}

func TestLayers(t *testing.T) {
	l := newLayerTest(t)
	l.sendFramesN(t, 1, 0, 1, 2)
	if len(l.h.sinks["a"].packets) != 0 {
		t.Fatal("got a stream that begins without a keyframe")
	}
	l.sendFramesN(t, 10, 0, 1, 2)
	if l.currentLayer() != 0 {
		t.Fatalf("current layer: got %d, want the first with a keyframe until promoteAfter", l.currentLayer())
	}
	l.sendFramesN(t, 40, 0, 1, 2)
	if l.currentLayer() != 2 {
		t.Errorf("current layer: got %d, want the best", l.currentLayer())
	}
	l.sendFramesN(t, 20, 0, 1) // the best is quiet
	if l.currentLayer() != 1 {
		t.Errorf("current layer: got %d, want the next", l.currentLayer())
	}
	l.sendFramesN(t, 20, 0)
	if l.currentLayer() != 0 {
		t.Errorf("current layer: got %d, want the last", l.currentLayer())
	}
	l.sendFramesN(t, 10, 0, 1, 2) // half a second
	if l.currentLayer() != 0 {
		t.Errorf("current layer half a second after the others returned: got %d", l.currentLayer())
	}
	l.sendFramesN(t, 30, 0, 1, 2)
	if l.currentLayer() != 2 {
		t.Errorf("current layer: got %d, want the best again", l.currentLayer())
	}
	last := -1
	for _, p := range l.h.sinks["a"].packets {
		if p.Kind == packetbuf.Config {
			continue
		}
		if one := int(p.Payload[1]); one != last {
			if p.Kind != packetbuf.Key {
				t.Errorf("got layer %d after %d without a keyframe", one, last)
			}
			last = one
		}
	}
	for i, rid := range []string{"l", "m", "h"} {
		pub := l.h.sinks["a~"+rid]
		if pub == nil || pub.packets[0].Kind != packetbuf.Config || pub.packets[1].Kind != packetbuf.Key {
			t.Fatalf("rendition %s: got no keyframe first", rid)
		}
		for _, p := range pub.packets {
			if p.Kind != packetbuf.Config && int(p.Payload[1]) != i {
				t.Fatalf("got a frame of layer %d in rendition %s", p.Payload[1], rid)
			}
		}
	}
}

// TestRenditionKeyframeRequest checks that a rendition's request for a keyframe reaches its layer, however rarely
// the layer sends a frame, and ends with a keyframe.
func TestRenditionKeyframeRequest(t *testing.T) {
	l := newLayerTest(t)
	l.s.layers.requestKey()
	l.sendFramesN(t, 1, 0, 1)
	l.sendFramesN(t, 30, 0, 1)
	if l.currentLayer() != 1 {
		t.Fatalf("current layer: got %d", l.currentLayer())
	}
	l.all[0].layer.keyWanted.Store(false)
	session, ok := l.h.sinks["a~l"].session.(ingest.KeyRequester)
	if !ok {
		t.Fatal("rendition's session: got no KeyRequester")
	}
	session.RequestKey()
	for _, after := range []time.Duration{0, time.Second} {
		if due := l.s.layers.keysDue(l.now.Add(after), 0); len(due) != 1 || due[0] != l.all[0].layer {
			t.Errorf("after %v: got %d layers to ask", after, len(due))
		}
	}
	if err := l.s.writeVideo(l.now, l.all[0], l.keyframe(0)); err != nil {
		t.Fatal(err)
	}
	if due := l.s.layers.keysDue(l.now, 0); len(due) != 0 {
		t.Errorf("after a keyframe: got %d layers to ask", len(due))
	}
}

// TestKeyframeInterval checks that layers with an old keyframe are asked for one.
func TestKeyframeInterval(t *testing.T) {
	l := newLayerTest(t)
	l.s.layers.requestKey()
	l.sendFramesN(t, 1, 0)
	if due := l.s.layers.keysDue(l.now.Add(400*time.Millisecond), 2*time.Second); len(due) != 0 {
		t.Errorf("got %d layers to ask", len(due))
	}
	l.sendFramesN(t, 50, 0)
	if due := l.s.layers.keysDue(l.now, 2*time.Second); len(due) != 1 {
		t.Errorf("got %d layers to ask", len(due))
	}
	if due := l.s.layers.keysDue(l.now.Add(layerTimeout), 2*time.Second); len(due) != 0 {
		t.Errorf("got %d silent layers to ask", len(due))
	}
}

// TestRenditionsEnd refuses, closes and breaks renditions: the stream continues, and they are published
// again after a while.
func TestRenditionsEnd(t *testing.T) {
	l := newLayerTest(t)
	l.h.refusal = &ingest.Refusal{Outcome: ingest.RefusedLimit, Reason: "too many"}
	key := func(after time.Duration) {
		t.Helper()
		l.now = l.now.Add(after)
		for i := range l.all {
			if err := l.s.writeVideo(l.now, l.all[i], l.keyframe(i)); err != nil {
				t.Fatal(err)
			}
		}
		l.s.layers.endClosed()
	}
	key(0)
	l.h.refusal = nil
	key(republishAfter - time.Second)
	if len(l.h.sinks) != 1 {
		t.Fatalf("soon after a refusal: got %d streams", len(l.h.sinks))
	}
	key(time.Second)
	if len(l.h.sinks) != 4 {
		t.Fatalf("got %d streams, want the renditions too", len(l.h.sinks))
	}
	closed, broken, good := l.h.sinks["a~l"], l.h.sinks["a~m"], l.h.sinks["a~h"]
	if closed.session.ID() == good.session.ID() || closed.session.ID() == l.s.ID() {
		t.Error("got one ID for two sessions")
	}
	closed.session.Close(ingest.Takeover, "another took it")
	closed.session.Close(ingest.Kick, "later")
	broken.failure = errors.New("over")
	count := len(closed.packets)
	key(time.Second)
	if closed.cause != ingest.Takeover || closed.detail != "another took it" || len(closed.packets) != count {
		t.Errorf("got end %q, %s, after %d more packets", closed.cause, closed.detail, len(closed.packets)-count)
	}
	if broken.cause != ingest.Kick || broken.detail != "over" || good.cause != "" || l.h.sinks["a"].cause != "" {
		t.Errorf("got end %q, %s; of the others %q, %q", broken.cause, broken.detail, good.cause, l.h.sinks["a"].cause)
	}
	key(republishAfter)
	if again := l.h.sinks["a~l"]; again == closed || len(again.packets) == 0 {
		t.Error("closed rendition: got not published again")
	}
	l.s.layers.endAll(ingest.Unpublish, "done")
	if good.cause != ingest.Unpublish || l.h.sinks["a~l"].cause != ingest.Unpublish {
		t.Errorf("got ends %q and %q", good.cause, l.h.sinks["a~l"].cause)
	}
}
