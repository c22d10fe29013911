package rtmp

import (
	"bytes"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/holdfast-live/holdfast/ingest"
	"github.com/holdfast-live/holdfast/packetbuf"
	wire "github.com/holdfast-live/holdfast/packetbuf/rtmp"
	"github.com/holdfast-live/holdfast/testmedia/rtmptest"
)

// The slices of a keyframe, of macroblock 0 and of another.
var (
	firstSlice = []byte{0x17, 1, 0, 0, 0, 0, 0, 0, 3, 0x65, 0x88, 0x80}
	otherSlice = []byte{0x17, 1, 0, 0, 0, 0, 0, 0, 3, 0x65, 0x4b, 0x80}
)

// A keyframe that nothing follows is passed on after a tenth of a second, with the audio that came
// behind it.
func TestFirstKeyframeGoesOnByItself(t *testing.T) {
	bubble(t, Options{}, func(t *testing.T, w *world) {
		p := rtmptest.Handshake(t, w.l.Dial())
		p.Publish("live", "cam")
		sink := <-w.access.sinks
		began := time.Now()
		p.Media(wire.TypeVideo, 0, avcConfig...)
		p.Media(wire.TypeAudio, 0, aacConfig...)
		p.Media(wire.TypeVideo, 0, firstSlice...)
		p.Media(wire.TypeAudio, 10, aacFrame...)
		for i, want := range []packetbuf.Kind{packetbuf.Config, packetbuf.Config, packetbuf.Key, packetbuf.Delta} {
			if got := <-sink.packets; got.Kind != want {
				t.Fatalf("packet %d: got %v, want a %s", i, got, want)
			}
		}
		if took := time.Since(began); took != 100*time.Millisecond {
			t.Errorf("got the keyframe after %v, want 100ms", took)
		}
		// What follows waits for nothing, nor does the connection end.
		time.Sleep(time.Hour)
		p.Media(wire.TypeVideo, 40, avcDelta...)
		synctest.Wait()
		if len(sink.packets) != 1 {
			t.Errorf("got %d packets of the next picture at once, want 1", len(sink.packets))
		}
		_ = p.Conn.Close()
		<-sink.ended
	})
}

// A picture in parts comes out as one, also where nothing follows it; that is counted, and logged
// once.
func TestPicturesInParts(t *testing.T) {
	var lines logs
	var total ingest.Repairs
	bubble(t, Options{Log: lines.logger(), Repairs: &total}, func(t *testing.T, w *world) {
		p := rtmptest.Handshake(t, w.l.Dial())
		p.Publish("live", "cam")
		sink := <-w.access.sinks
		p.Media(wire.TypeVideo, 0, avcConfig...)
		for i := range uint32(3) {
			p.Media(wire.TypeVideo, 40*i, firstSlice...)
			p.Media(wire.TypeVideo, 40*i, otherSlice...)
		}
		<-sink.packets
		want := append(bytes.Clone(firstSlice[5:]), otherSlice[5:]...)
		for i := range 3 {
			if got := <-sink.packets; !bytes.Equal(got.Payload, want) || got.DTS != time.Duration(i)*40*time.Millisecond {
				t.Errorf("picture %d: got %x at %v, want %x", i, got.Payload, got.DTS, want)
			}
		}
		reporter, ok := sink.request.Session.(ingest.RepairReporter)
		if !ok {
			t.Fatal("the session does not report repairs")
		}
		if got := reporter.Repairs(); len(got) != 1 || got[0] != (packetbuf.Repair{Track: packetbuf.Video, Reason: packetbuf.SplitFrame, Count: 3}) {
			t.Errorf("got repairs %v", got)
		}
		// The last picture, cut off by the end of the push, is not lost.
		p.Media(wire.TypeVideo, 120, firstSlice...)
		p.Call(0, "deleteStream", wire.Null{}, wire.Number(1))
		<-sink.ended
		if len(sink.packets) != 1 {
			t.Errorf("got %d packets at the end, want 1", len(sink.packets))
		}
		_ = p.Conn.Close()
	})
	if n := strings.Count(lines.String(), "publisher's media repaired"); n != 1 {
		t.Errorf("got %d warnings, want 1:\n%s", n, &lines)
	}
	for _, one := range total.Counts() {
		if one.Track == packetbuf.Video && one.Reason == packetbuf.SplitFrame && one.Count != 3 {
			t.Errorf("got %d repairs in all, want 3", one.Count)
		}
	}
}
