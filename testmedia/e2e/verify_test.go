//go:build unix

package e2e

import (
	"testing"
	"time"

	"github.com/holdfast-live/holdfast/packetbuf"
	"github.com/holdfast-live/holdfast/testmedia/gen"
)

const (
	syncLimit  = 2 * time.Millisecond  // how far lip-sync may move
	clockLimit = 80 * time.Millisecond // how far the stream's clock may leave the wall clock
	keyLimit   = 50 * time.Millisecond // how long the first keyframe of a new push may take
	// underWay is how many frames a reset may destroy that were written to the socket.
	underWay = 4
)

// watched are the pushes of a stream, one after another, and who watches them.
type watched struct {
	t       testing.TB
	relay   *relay
	pushes  []*publisher
	viewers []*viewer
	taken   map[uint32]bool // pushes that another took over from while they went on
}

// whole asserts that everyone is there and has all of each push: up to its last frame, or,
// where that was reset, up to the last frame that anybody has, which must be one of the last
// that were sent. That decode times rise and that nothing comes twice or harmed, each viewer
// sees to by itself.
func (w watched) whole(reset map[uint32]bool) {
	w.t.Helper()
	for _, v := range w.viewers {
		v.watching()
	}
	for _, p := range w.pushes {
		for _, track := range []packetbuf.Track{packetbuf.Video, packetbuf.Audio} {
			w.tracked(p, track, reset[p.source])
		}
	}
}

func (w watched) tracked(p *publisher, track packetbuf.Track, reset bool) {
	w.t.Helper()
	sent, last := 0, 0
	for _, f := range p.sent.all() {
		if f.id.Track == track {
			sent++
		}
	}
	counts := make([]int, len(w.viewers))
	for i, v := range w.viewers {
		if v.deaf[track] {
			continue
		}
		for _, f := range v.seen(p.source) {
			if f.track != track {
				continue
			}
			if f.id.Number != uint64(counts[i]) {
				w.t.Errorf("%s viewer: %s frame %d of push %d where %d should be", v.name, track, f.id.Number, p.source, counts[i])
				return
			}
			counts[i]++
		}
		last = max(last, counts[i])
	}
	for i, v := range w.viewers {
		if counts[i] != last && !v.deaf[track] {
			w.t.Errorf("%s viewer has %d %s frames of push %d, another has %d", v.name, counts[i], track, p.source, last)
		}
	}
	if missing := sent - last; w.taken[p.source] {
		return
	} else if missing > 0 && !reset || missing > underWay {
		w.t.Errorf("%d of %d %s frames of push %d reached nobody", missing, sent, track, p.source)
	}
}

// settled waits until every viewer has the last frames of a push.
func (w watched) settled(p *publisher) {
	w.t.Helper()
	var last [packetbuf.NumTracks]*gen.ID
	for _, f := range p.sent.all() {
		last[f.id.Track] = &f.id
	}
	for _, v := range w.viewers {
		for track, id := range last {
			if id != nil && !v.deaf[track] {
				v.saw(*id)
			}
		}
	}
}

// counted asserts that every frame that the relay says it has received is at every viewer:
// none was lost, whatever became of the frames that never arrived.
func (w watched) counted() {
	w.t.Helper()
	for _, track := range []packetbuf.Track{packetbuf.Video, packetbuf.Audio} {
		got := int(w.relay.metric(`holdfast_ingest_frames_total{track="` + track.String() + `"}`))
		for _, v := range w.viewers {
			n := 0
			if v.deaf[track] {
				continue
			}
			for _, p := range w.pushes {
				for _, f := range v.seen(p.source) {
					if f.track == track {
						n++
					}
				}
			}
			if n != got {
				w.t.Errorf("%s viewer has %d of the %d %s frames that reached the relay", v.name, n, got, track)
			}
		}
	}
	if late := w.relay.metric("holdfast_publish_late_packets_total"); late != 0 {
		w.t.Errorf("%v packets came too late", late)
	}
}

// inSync asserts that within each push sound and picture stand to each other as they were
// sent, and returns by how much they moved at the most.
func (w watched) inSync() time.Duration {
	w.t.Helper()
	var most time.Duration
	for _, p := range w.pushes {
		sent := map[gen.ID]time.Duration{}
		for _, f := range p.sent.all() {
			sent[f.id] = f.pts
		}
		for _, v := range w.viewers {
			seen := v.seen(p.source)
			if len(seen) == 0 {
				w.t.Errorf("%s viewer has nothing of push %d", v.name, p.source)
				continue
			}
			low, high := time.Hour, -time.Hour
			low += 1 << 32 * time.Millisecond
			high -= 1 << 32 * time.Millisecond
			for _, f := range seen {
				moved := f.pts - sent[f.id]
				low, high = min(low, moved), max(high, moved)
			}
			most = max(most, high-low)
			if high-low > syncLimit+v.grid {
				w.t.Errorf("%s viewer: sound and picture of push %d moved by %v", v.name, p.source, high-low)
			}
		}
	}
	return most
}

// bridged asserts that over the outage between two pushes the stream's clock went on with
// the wall clock, and that the first keyframe of the second came soon. It returns both.
func (w watched) bridged(before, after *publisher) (clock, key time.Duration) {
	w.t.Helper()
	for _, v := range w.viewers {
		old, fresh := v.seen(before.source), v.seen(after.source)
		if len(old) == 0 || len(fresh) == 0 {
			w.t.Errorf("%s viewer: %d and %d frames", v.name, len(old), len(fresh))
			continue
		}
		last, first := old[len(old)-1], fresh[0]
		if !first.key || first.id.Number != 0 {
			w.t.Errorf("%s viewer: push %d begins with %+v", v.name, after.source, first)
		}
		off := first.dts - last.dts - after.sentAt(first.id).Sub(before.sentAt(last.id))
		if off.Abs() > clock.Abs() {
			clock = off
		}
		key = max(key, first.at.Sub(after.sentAt(first.id))-v.behind)
	}
	if clock.Abs() > slack(clockLimit) {
		w.t.Errorf("the stream's clock is %v off the wall clock after push %d", clock, before.source)
	}
	if key > slack(keyLimit) {
		w.t.Errorf("the first keyframe of push %d took %v", after.source, key)
	}
	return clock, key
}

// sentAt is when a frame was written.
func (p *publisher) sentAt(id gen.ID) time.Time {
	for _, f := range p.sent.all() {
		if f.id == id {
			return f.at
		}
	}
	p.t.Fatalf("frame %+v was never sent", id)
	return time.Time{}
}
