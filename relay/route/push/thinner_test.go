package push

import (
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/holdfast-live/holdfast/packetbuf"
	"github.com/holdfast-live/holdfast/qos/policy"
)

// decoder is a naive one: a picture that others need is decoded if all such before it in its
// GOP were, a disposable one if the latest of them was.
type decoder struct{ intact bool }

// decodes tells whether it can decode a picture that has come.
func (d *decoder) decodes(p *packetbuf.Packet) bool {
	d.intact = d.intact || p.Kind == packetbuf.Key
	return d.intact
}

// misses is told of a picture that has not come.
func (d *decoder) misses(p *packetbuf.Packet) {
	if p.Kind != packetbuf.Disposable {
		d.intact = false
	}
}

// made draws a stream packet by packet: pictures at ten a second with the sound between them.
type made struct {
	t     *rapid.T
	seq   uint64
	shown int
	left  int // pictures of this GOP still to come
	keys  []uint64
}

func (m *made) next() *packetbuf.Packet {
	m.seq++
	p := &packetbuf.Packet{Seq: m.seq, DTS: time.Duration(m.shown) * 100 * time.Millisecond}
	switch what := rapid.IntRange(0, 9).Draw(m.t, "what"); {
	case m.seq > 1 && what == 0:
		p.Track, p.Kind = packetbuf.Track(rapid.IntRange(0, 2).Draw(m.t, "track")), packetbuf.Config //nolint:gosec // small
		return p
	case m.seq > 1 && what < 4:
		p.Track, p.Kind, p.Payload = packetbuf.Audio, packetbuf.Delta, make([]byte, 40)
		return p
	}
	m.shown++
	m.left--
	p.Kind = packetbuf.Delta
	switch {
	case m.left < 0:
		p.Kind, m.left = packetbuf.Key, rapid.IntRange(0, 250).Draw(m.t, "pictures to the next keyframe")
		m.keys = append(m.keys, p.Seq)
	case rapid.Bool().Draw(m.t, "disposable"):
		p.Kind = packetbuf.Disposable
	}
	p.Payload = make([]byte, rapid.IntRange(1, 5000).Draw(m.t, "bytes"))
	return p
}

func TestThinnerLeavesNothingOutThatIsNeeded(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var thin thinner
		var far decoder
		m := made{t: t}
		calm := rapid.SampledFrom([]int{10, 50, 400}).Draw(t, "packets to an order")
		for range rapid.IntRange(1, 800).Draw(t, "packets") {
			switch rapid.IntRange(0, calm).Draw(t, "order") {
			case 0:
				thin.rung = policy.Rung(rapid.IntRange(0, int(policy.Audio)).Draw(t, "rung")) //nolint:gosec // small
			case 1:
				thin.share = rapid.Float64Range(0, 1).Draw(t, "share")
			case 2:
				if n := len(m.keys); n > 0 {
					thin.skipTo = m.keys[n-1] + uint64(rapid.IntRange(0, 300).Draw(t, "ahead")) //nolint:gosec // small
				}
			case 3:
				p := m.next()
				thin.miss(p)
				if p.Track == packetbuf.Video && p.Media() {
					far.misses(p)
				}
			}
			p := m.next()
			kept := thin.keep(p)
			switch {
			case p.Track != packetbuf.Video || !p.Media():
				if !kept {
					t.Fatalf("%v %v was left out", p.Track, p.Kind)
				}
			case !kept:
				far.misses(p)
			case !far.decodes(p):
				t.Fatalf("%v %d went out, which cannot be decoded", p.Kind, p.Seq)
			case thin.rung >= policy.DropDisposable && p.Kind == packetbuf.Disposable,
				thin.rung >= policy.Keyframes && p.Kind == packetbuf.Delta, thin.rung == policy.Audio, p.Seq < thin.skipTo:
				t.Fatalf("%v %d went out at %v", p.Kind, p.Seq, thin.rung)
			}
		}
		thin.rung, thin.skipTo = policy.Full, 0
		whole := false
		for range 300 {
			p := m.next()
			whole = whole || p.Kind == packetbuf.Key
			if kept := thin.keep(p); whole && !kept {
				t.Fatalf("%v %d was left out after a keyframe at full", p.Kind, p.Seq)
			}
		}
	})
}

func TestThinnerTrimsToItsShare(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		thin := thinner{rung: policy.Trim, share: rapid.Float64Range(0, 1).Draw(t, "share")}
		m := made{t: t}
		before, gop, out := 0, 0, 0 // bytes
		for range 2000 {
			p := m.next()
			kept := thin.keep(p)
			if p.Track != packetbuf.Video || !p.Media() {
				continue
			}
			switch p.Kind {
			case packetbuf.Key:
				if gop > 0 {
					before = gop
				}
				gop, out = 0, 0
			case packetbuf.Delta:
				gop += len(p.Payload)
				if kept {
					out += len(p.Payload)
				}
			}
			if before > 0 && float64(out) > thin.share*float64(before) {
				t.Fatalf("%d bytes went out of a GOP, %.2f of %d ones were to", out, thin.share, before)
			}
		}
	})
}

// TestThinnerWithoutKeyframes has pictures of a stream left out that begins with a keyframe
// and refreshes them bit by bit from there on.
func TestThinnerWithoutKeyframes(t *testing.T) {
	at := func(n int) time.Duration { return time.Duration(n) * 40 * time.Millisecond }
	for _, tt := range []struct {
		name     string
		from, to int // pictures between which only keyframes were to go out
		back     time.Duration
	}{
		{"late in the stream", 2500, 2501, at(2500) + healing},
		{"for longer than it takes to heal", 2500, 3000, at(3000)},
		{"while a keyframe might come yet", 100, 101, endless},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var thin thinner
			var back time.Duration
			for n := range 5000 {
				p := &packetbuf.Packet{Kind: packetbuf.Delta, Seq: uint64(n + 1), DTS: at(n), Payload: make([]byte, 1000)} //nolint:gosec // small
				if n == 0 {
					p.Kind = packetbuf.Key
				}
				thin.rung = policy.Full
				if n >= tt.from && n < tt.to {
					thin.rung = policy.Keyframes
				}
				if kept := thin.keep(p); kept && n >= tt.from && back == 0 {
					back = at(n)
				} else if kept != (n < tt.from || back != 0) {
					t.Fatalf("picture %d: %v", n, kept)
				}
			}
			if back < tt.back || back > tt.back+at(1) {
				t.Errorf("back at %v, want %v", back, tt.back)
			}
		})
	}
}
