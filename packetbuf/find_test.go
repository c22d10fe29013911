package packetbuf

import (
	"testing"
	"time"

	"pgregory.net/rapid"
)

// drawTracks appends packets as a stream does: DTS rises strictly within a track and within
// bridged audio, but not from one to another.
func drawTracks(t *rapid.T, r *Ring) (all []*Packet) {
	var dts [NumTracks + 1]time.Duration
	start := time.Duration(rapid.SampledFrom([]int64{0, 1<<32 - 900, 1 << 33}).Draw(t, "start")) * time.Millisecond
	only := rapid.SampledFrom([]int{-1, -1, -1, int(Video), int(Audio)}).Draw(t, "only")
	for range rapid.IntRange(1, 400).Draw(t, "n") {
		slot := rapid.IntRange(0, NumTracks).Draw(t, "slot")
		if only >= 0 {
			slot = only
		}
		kind := rapid.SampledFrom([]Kind{Config, Key, Delta, Delta, Delta, Delta, Disposable}).Draw(t, "kind")
		dts[slot] += time.Duration(rapid.IntRange(1, 40).Draw(t, "step")) * time.Millisecond
		p := newPacket(Track(min(slot, int(Audio))), kind, start+dts[slot], 10) //nolint:gosec // small
		switch slot {
		case int(Data):
			p.Track = Data
		case BridgedAudio:
			p.Flags = Bridged
		}
		if p.Epoch = 1; len(all) > 0 {
			p.Epoch = all[len(all)-1].Epoch
		}
		if rapid.IntRange(0, 40).Draw(t, "session") == 0 {
			p.Epoch++
		}
		r.Add(p)
		all = append(all, p)
	}
	return all
}

func TestFindAgainstLinearSearch(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := NewRing(Limits{Duration: time.Duration(rapid.IntRange(1, 4000).Draw(t, "ms")) * time.Millisecond})
		all := drawTracks(t, r)
		tail := r.Stats().Head - uint64(r.Stats().Packets) //nolint:gosec // not negative
		for _, p := range all {
			seq, ok := r.Find(p.Track, p.Bridged(), p.DTS)
			if want := p.Media() && p.Seq >= tail; ok != want || ok && seq != p.Seq {
				t.Fatalf("find %v %v at %v: got %d, %v, want %d, %v (tail %d)", p.Track, p.Kind, p.DTS, seq, ok, p.Seq, want, tail)
			}
			low := p.DTS % wrap
			if again, found := r.Find(p.Track, p.Bridged(), low); found != ok || again != seq {
				t.Fatalf("find by the low 32 bits: got %d, %v, want %d, %v", again, found, seq, ok)
			}
			if !p.Media() {
				continue
			}
			if _, ok := r.Find(p.Track, p.Bridged(), p.DTS+wrap/2); ok {
				t.Fatalf("found %v at a time 25 days off", p.DTS)
			}
		}
	})
}

// A replay starts far enough back, and knows the epoch of the viewer's last keyframe before it.
func TestTrail(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := NewRing(Limits{Duration: time.Duration(rapid.IntRange(1, 4000).Draw(t, "ms")) * time.Millisecond})
		all := drawTracks(t, r)
		tail := r.Stats().Head - uint64(r.Stats().Packets) //nolint:gosec // not negative
		seq := uint64(rapid.IntRange(1, len(all)+1).Draw(t, "seq"))
		since := uint64(rapid.IntRange(1, int(seq)).Draw(t, "since"))
		back := time.Duration(rapid.IntRange(0, 3000).Draw(t, "back")) * time.Millisecond
		trail, ok := r.Trail(seq, since, back)
		if want := seq >= tail && seq <= uint64(len(all)); ok != want {
			t.Fatalf("trail to %d of %d to %d: got %v, want %v", seq, tail, len(all), ok, want)
		}
		if !ok {
			return
		}
		first := all[trail.Cursor.Next()-1]
		epoch, start := uint32(0), tail
		for _, p := range all[:seq] {
			if p.Kind != Key || p.Bridged() || p.Seq < tail {
				continue
			}
			if at := all[start-1]; start == tail && (at.Kind != Key || at.Bridged()) || start < since || p.DTS <= all[seq-1].DTS-back && p.Seq >= since {
				start = p.Seq
			}
		}
		for _, p := range all[:first.Seq-1] {
			if p.Track == Video && p.Kind == Key && p.Seq >= since {
				epoch = p.Epoch
			}
		}
		if trail.Epoch != epoch || first.Seq != start && first.DTS > all[seq-1].DTS-back {
			t.Fatalf("got start %d, epoch %d, want %d, %d", first.Seq, trail.Epoch, start, epoch)
		}
		var config Configs
		for _, p := range all[:first.Seq] {
			if p.Kind == Config {
				config[p.slot()] = p
			}
		}
		if first.Kind == Config && first.Seq == tail {
			config[first.slot()] = trail.Configs[first.slot()] // the replay sends it itself
		}
		if trail.Configs != config {
			t.Fatalf("got configurations %v, want %v", trail.Configs, config)
		}
	})
}

// A forgotten configuration is not in force at the tail, whether or not its packet has left the
// ring.
func TestForgottenConfigIsNotInForceAtTail(t *testing.T) {
	r := NewRing(Limits{Duration: time.Second})
	config := newPacket(Audio, Config, 0, 2)
	r.Add(config)
	r.Add(newPacket(Video, Delta, 0, 1))
	r.Forget(int(Audio))
	for i := range 4 {
		r.Add(newPacket(Video, Delta, time.Duration(i+1)*600*time.Millisecond, 1))
	}
	if trail, ok := r.Trail(r.Stats().Head-1, 1, 0); !ok || trail.Configs != (Configs{}) {
		t.Errorf("after Forget: got %v, %v, want no configurations", trail.Configs, ok)
	}
	again := newPacket(Audio, Config, 2400*time.Millisecond, 2)
	r.Add(again)
	for i := range 4 {
		r.Add(newPacket(Video, Delta, time.Duration(i+5)*600*time.Millisecond, 1))
	}
	if trail, _ := r.Trail(r.Stats().Head-1, 1, 0); trail.Configs[Audio] != again {
		t.Errorf("after a new configuration: got %v, want %v", trail.Configs, again)
	}
}

func TestBehind(t *testing.T) {
	r, now := NewRing(Limits{}), time.Unix(1000, 0)
	for i := range 3 {
		p := newPacket(Video, Key, time.Duration(i)*time.Millisecond, 1)
		p.Arrived = now.Add(time.Duration(i) * time.Second)
		r.Add(p)
	}
	c, _, _ := r.Join()
	for seq, want := range map[uint64]time.Duration{0: 0, 1: 2 * time.Second, 3: 0, 4: 0} {
		if c.From(seq); c.Behind() != want {
			t.Errorf("behind at %d: got %v, want %v", seq, c.Behind(), want)
		}
	}
}

func BenchmarkFind(b *testing.B) {
	r := NewRing(Limits{Duration: 20 * time.Second})
	for i := range 600 {
		r.Add(newPacket(Video, Delta, time.Duration(i)*33*time.Millisecond, 1))
		r.Add(newPacket(Audio, Delta, time.Duration(i)*33*time.Millisecond, 1))
	}
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		if _, ok := r.Find(Track(i&1), false, time.Duration(i%600)*33*time.Millisecond); !ok { //nolint:gosec // 0 or 1
			b.Fatal("got no packet")
		}
	}
}
