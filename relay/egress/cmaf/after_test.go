package cmaf

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/holdfast-live/holdfast/packetbuf"
	"github.com/holdfast-live/holdfast/testmedia/gen"
)

// Who comes back goes on behind any chunk that is still there, also one before the oldest
// keyframe and further back than a reader may lag; once it has caught up it is held to the lag.
func TestResumeFarBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSource()
		feed := use(t, newFeeds(t, s, Limits{Duration: 8 * time.Second, Lag: 2 * time.Second}))
		defer feed.Release()
		all := numbered(gen.Options{GOP: 150}, 34*time.Second, 1)
		upTo := func(d time.Duration) (now []*packetbuf.Packet) {
			for len(all) > 0 && all[0].DTS < d {
				now, all = append(now, all[0]), all[1:]
			}
			return now
		}
		s.give(upTo(14 * time.Second)...)
		synctest.Wait()
		oldest := feed.ring.tail
		if first := feed.ring.first(); first < oldest+10 {
			t.Fatalf("the oldest keyframe is %d, the oldest chunk %d", first, oldest)
		}
		cursor, exact := feed.After(oldest)
		rest := drain(t, cursor)
		if !exact || len(rest) < 80 || rest[0].Seq != oldest+1 || cursor.Skipped() {
			t.Fatalf("exact %v, %d chunks", exact, len(rest))
		}
		for i, c := range rest {
			if c.Seq != oldest+1+uint64(i) {
				t.Fatalf("%d behind %d", c.Seq, oldest+uint64(i))
			}
		}
		s.give(upTo(22 * time.Second)...)
		synctest.Wait()
		got, err := cursor.Next(t.Context())
		if err != nil || !cursor.Skipped() || got[0].Seq == rest[len(rest)-1].Seq+1 {
			t.Errorf("it may lag for ever: %v, %d chunks", err, len(got))
		}
	})
}
