package stream

import (
	"testing"
	"time"

	"github.com/holdfast-live/holdfast/packetbuf"
	"github.com/holdfast-live/holdfast/testmedia/gen"
)

// After made frames the stream can go over to a standby at an IDR frame alone: other keyframes do not
// make one ready.
func TestStandbyOfAFrozenStream(t *testing.T) {
	story(t, nil, func(b *bench) {
		primary, backup := b.publish(gen.Options{}), b.pushAs(true, gen.Options{})
		done := backup.side(time.Second, 0)
		primary.run(time.Second)
		<-done
		b.mu.Lock()
		defer b.mu.Unlock()
		pub := b.publishers[b.machine.Spare()]
		now := time.Now()
		add := func(nal byte) {
			pub.retain(&packetbuf.Packet{Track: packetbuf.Video, Codec: packetbuf.H264, Kind: packetbuf.Key, Arrived: now, Payload: []byte{0, 0, 0, 2, nal, 0x80}})
		}
		const idr, recovery = 0x65, 0x61
		pub.gopWindow.Clear()
		b.frozen = true
		add(recovery)
		if (sessionProbe{b.Stream}).Ready(pub.id, now) {
			t.Error("ready without an IDR frame")
		}
		add(idr)
		add(recovery)
		if !(sessionProbe{b.Stream}).Ready(pub.id, now) {
			t.Error("not ready with an IDR frame")
		}
		b.frozen = false
	})
}
