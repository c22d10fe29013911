package cmaf

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/holdfast-live/holdfast/packetbuf"
	"github.com/holdfast-live/holdfast/testmedia/gen"
)

// A reader that returns continues after any chunk that the feed still has, also before the
// oldest keyframe and further back than the lag. Once it has caught up, the lag applies again.
func TestResumeFarBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSource()
		feed := acquire(t, newFeeds(t, s, Limits{Duration: 8 * time.Second, Lag: 2 * time.Second}))
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
		if first := feed.ring.oldestIndependent(); first < oldest+10 {
			t.Fatalf("oldest keyframe is chunk %d, want it after the oldest chunk %d", first, oldest)
		}
		cursor, exact := feed.After(oldest)
		rest := drain(t, cursor)
		if !exact || len(rest) < 80 || rest[0].Seq != oldest+1 || cursor.Skipped() {
			t.Fatalf("got exact %v and %d chunks", exact, len(rest))
		}
		for i, c := range rest {
			if c.Seq != oldest+1+uint64(i) {
				t.Fatalf("got chunk %d after %d", c.Seq, oldest+uint64(i))
			}
		}
		s.give(upTo(22 * time.Second)...)
		synctest.Wait()
		got, err := cursor.Next(t.Context())
		if err != nil || !cursor.Skipped() || got[0].Seq == rest[len(rest)-1].Seq+1 {
			t.Errorf("got error %v and %d chunks, want the lag to apply after catching up", err, len(got))
		}
	})
}
