//go:build unix

package e2e

import (
	"testing"
	"time"

	"github.com/holdfast-live/holdfast/packetbuf"
	"github.com/holdfast-live/holdfast/testmedia/gen"
)

const (
	syncLimit  = 2 * time.Millisecond  // how far lip-sync may shift
	clockLimit = 80 * time.Millisecond // how far the stream's clock may deviate from the wall clock
	keyLimit   = 50 * time.Millisecond // how long the first keyframe of a new push may take
	// maxInFlight is how many frames written to the socket a reset may destroy.
	maxInFlight = 4
)

// streamCheck checks the consecutive pushes of a stream against what its viewers received.
type streamCheck struct {
	t         testing.TB
	relay     *relay
	pushes    []*publisher
	viewers   []*viewer
	takenOver map[uint32]bool // pushes that another took over while they were still sending
}

// checkComplete checks that all viewers are playing and have every frame of each push. For a push that was
// reset, the last frames that no viewer has may be missing, but at most maxInFlight. Each viewer checks by
// itself that DTS increase and that no frame is repeated or damaged.
func (w streamCheck) checkComplete(reset map[uint32]bool) {
	w.t.Helper()
	for _, v := range w.viewers {
		v.checkOpen()
	}
	for _, p := range w.pushes {
		for _, track := range []packetbuf.Track{packetbuf.Video, packetbuf.Audio} {
			w.checkTrack(p, track, reset[p.source])
		}
	}
}

func (w streamCheck) checkTrack(p *publisher, track packetbuf.Track, reset bool) {
	w.t.Helper()
	sent, last := 0, 0
	for _, f := range p.sent.all() {
		if f.id.Track == track {
			sent++
		}
	}
	counts := make([]int, len(w.viewers))
	for i, v := range w.viewers {
		if v.ignores[track] {
			continue
		}
		for _, f := range v.framesFrom(p.source) {
			if f.track != track {
				continue
			}
			if f.id.Number != uint64(counts[i]) {
				w.t.Errorf("%s viewer: got %s frame %d of push %d, want %d", v.name, track, f.id.Number, p.source, counts[i])
				return
			}
			counts[i]++
		}
		last = max(last, counts[i])
	}
	for i, v := range w.viewers {
		if counts[i] != last && !v.ignores[track] {
			w.t.Errorf("%s viewer: got %d %s frames of push %d, another viewer %d", v.name, counts[i], track, p.source, last)
		}
	}
	if missing := sent - last; w.takenOver[p.source] {
		return
	} else if missing > 0 && !reset || missing > maxInFlight {
		w.t.Errorf("%d of %d %s frames of push %d reached no viewer", missing, sent, track, p.source)
	}
}

// waitSettled waits until every viewer has the last frames of a push.
func (w streamCheck) waitSettled(p *publisher) {
	w.t.Helper()
	var last [packetbuf.NumTracks]*gen.ID
	for _, f := range p.sent.all() {
		last[f.id.Track] = &f.id
	}
	for _, v := range w.viewers {
		for track, id := range last {
			if id != nil && !v.ignores[track] {
				v.waitFrame(*id)
			}
		}
	}
}

// checkCounts checks that every viewer has every frame that the relay counts as received, even if other
// frames never arrived.
func (w streamCheck) checkCounts() {
	w.t.Helper()
	for _, track := range []packetbuf.Track{packetbuf.Video, packetbuf.Audio} {
		got := int(w.relay.metric(`holdfast_ingest_frames_total{track="` + track.String() + `"}`))
		for _, v := range w.viewers {
			n := 0
			if v.ignores[track] {
				continue
			}
			for _, p := range w.pushes {
				for _, f := range v.framesFrom(p.source) {
					if f.track == track {
						n++
					}
				}
			}
			if n != got {
				w.t.Errorf("%s viewer: got %d of the %d %s frames that the relay received", v.name, n, got, track)
			}
		}
	}
	if late := w.relay.metric("holdfast_publish_late_packets_total"); late != 0 {
		w.t.Errorf("got %v late packets, want 0", late)
	}
}

// checkSync checks that within each push audio and video have the same offset as when they were sent. It
// returns the largest shift.
func (w streamCheck) checkSync() time.Duration {
	w.t.Helper()
	var maximum time.Duration
	for _, p := range w.pushes {
		sent := map[gen.ID]time.Duration{}
		for _, f := range p.sent.all() {
			sent[f.id] = f.pts
		}
		for _, v := range w.viewers {
			seen := v.framesFrom(p.source)
			if len(seen) == 0 {
				w.t.Errorf("%s viewer: got no frames of push %d", v.name, p.source)
				continue
			}
			low, high := time.Hour, -time.Hour
			low += 1 << 32 * time.Millisecond
			high -= 1 << 32 * time.Millisecond
			for _, f := range seen {
				moved := f.pts - sent[f.id]
				low, high = min(low, moved), max(high, moved)
			}
			maximum = max(maximum, high-low)
			if high-low > syncLimit+v.audioShift {
				w.t.Errorf("%s viewer: audio and video of push %d shifted by %v", v.name, p.source, high-low)
			}
		}
	}
	return maximum
}

// checkClock checks that the stream's clock followed the wall clock over the outage between two pushes,
// and that the first keyframe of the second arrived soon. It returns the clock's deviation and the delay
// of the keyframe.
func (w streamCheck) checkClock(before, after *publisher) (clock, key time.Duration) {
	w.t.Helper()
	for _, v := range w.viewers {
		old, fresh := v.framesFrom(before.source), v.framesFrom(after.source)
		if len(old) == 0 || len(fresh) == 0 {
			w.t.Errorf("%s viewer: got %d frames before and %d after the break, want some", v.name, len(old), len(fresh))
			continue
		}
		last, first := old[len(old)-1], fresh[0]
		if !first.key || first.id.Number != 0 {
			w.t.Errorf("%s viewer: push %d begins with %+v, want its first keyframe", v.name, after.source, first)
		}
		off := first.dts - last.dts - after.sentAt(first.id).Sub(before.sentAt(last.id))
		if off.Abs() > clock.Abs() {
			clock = off
		}
		key = max(key, first.at.Sub(after.sentAt(first.id))-v.latency)
	}
	if clock.Abs() > slack(clockLimit) {
		w.t.Errorf("the stream's clock is %v off the wall clock after push %d", clock, before.source)
	}
	if key > slack(keyLimit) {
		w.t.Errorf("the first keyframe of push %d took %v", after.source, key)
	}
	return clock, key
}

// sentAt returns when a frame was written.
func (p *publisher) sentAt(id gen.ID) time.Time {
	for _, f := range p.sent.all() {
		if f.id == id {
			return f.at
		}
	}
	p.t.Fatalf("frame %+v was never sent", id)
	return time.Time{}
}
