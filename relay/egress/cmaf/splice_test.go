package cmaf

import (
	"testing"
	"time"

	"github.com/holdfast-live/holdfast/packetbuf"
	"github.com/holdfast-live/holdfast/testmedia/gen"
)

// However often sessions meet, with a hold between them or without, the audio of each is within half a
// frame of its timestamps: what one splice leaves does not add up with that of the next.
func TestAudioStaysWithItsTimestampsOverSplices(t *testing.T) {
	const frame = time.Second * 1024 / 48000
	var packets []*packetbuf.Packet
	at := time.Duration(0)
	key := firstKey(media(gen.Options{}, time.Second))
	for n := range 20 {
		if n%2 == 1 { // a hold, whose silence begins where the audio ended
			end := at + 1300*time.Millisecond + time.Duration(n)*3*time.Millisecond
			for _, p := range filler(key, at, end) {
				if p.Track == packetbuf.Video || p.DTS+frame <= end { // as the stream makes it
					packets = append(packets, p)
				}
			}
			at = end
		}
		packets = append(packets, later(media(gen.Options{Source: uint32(n + 1), GOP: 30}, 2*time.Second), at)...) //nolint:gosec // small
		at += 2006*time.Millisecond + time.Duration(n%7)*3*time.Millisecond                                        // behind the last audio
	}
	byDTS := map[time.Duration]bool{}
	c := &cutter{emit: func(*Chunk) {}}
	worst := time.Duration(0)
	for _, p := range packets {
		if err := c.write(p); err != nil {
			t.Fatal(err)
		}
		for _, s := range append(c.current.samples[audio], c.audioQueue...) {
			if s.p.Flags&packetbuf.Filler == 0 && !byDTS[s.p.DTS] {
				byDTS[s.p.DTS] = true
				worst = max(worst, (c.inForce[audio].time(s.at) - s.p.DTS).Abs())
			}
		}
	}
	if len(byDTS) < 1000 {
		t.Fatalf("got %d audio frames, want at least 1000", len(byDTS))
	}
	if worst > frame/2+4*time.Millisecond { // timestamps are whole milliseconds
		t.Errorf("audio is up to %v off its timestamps, want half a frame, %v", worst, frame/2)
	}
}
