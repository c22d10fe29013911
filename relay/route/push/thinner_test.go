package push

import (
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/holdfast-live/holdfast/packetbuf"
	"github.com/holdfast-live/holdfast/qos/policy"
)

// decoder is a naive decoder. It can decode a frame if it received all frames before it in its GOP that
// others refer to.
type decoder struct{ intact bool }

// received records a frame and reports whether it can be decoded.
func (d *decoder) received(p *packetbuf.Packet) bool {
	d.intact = d.intact || p.Kind == packetbuf.Key
	return d.intact
}

// lost records a frame that was not received.
func (d *decoder) lost(p *packetbuf.Packet) {
	if p.Kind != packetbuf.Disposable {
		d.intact = false
	}
}

// generator draws a stream packet by packet: ten video frames a second with audio between them.
type generator struct {
	t          *rapid.T
	seq        uint64
	frames     int
	framesLeft int // frames left in this GOP
	keys       []uint64
}

func (m *generator) next() *packetbuf.Packet {
	m.seq++
	p := &packetbuf.Packet{Seq: m.seq, DTS: time.Duration(m.frames) * 100 * time.Millisecond}
	switch what := rapid.IntRange(0, 9).Draw(m.t, "what"); {
	case m.seq > 1 && what == 0:
		p.Track, p.Kind = packetbuf.Track(rapid.IntRange(0, 2).Draw(m.t, "track")), packetbuf.Config //nolint:gosec // small
		return p
	case m.seq > 1 && what < 4:
		p.Track, p.Kind, p.Payload = packetbuf.Audio, packetbuf.Delta, make([]byte, 40)
		return p
	}
	m.frames++
	m.framesLeft--
	p.Kind = packetbuf.Delta
	switch {
	case m.framesLeft < 0:
		p.Kind, m.framesLeft = packetbuf.Key, rapid.IntRange(0, 250).Draw(m.t, "frames to the next keyframe")
		m.keys = append(m.keys, p.Seq)
	case rapid.Bool().Draw(m.t, "disposable"):
		p.Kind = packetbuf.Disposable
	}
	p.Payload = make([]byte, rapid.IntRange(1, 5000).Draw(m.t, "bytes"))
	return p
}

func TestThinnerKeepsStreamDecodable(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var thin thinner
		var server decoder
		m := generator{t: t}
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
				thin.recordLoss(p)
				if p.Track == packetbuf.Video && p.Media() {
					server.lost(p)
				}
			}
			p := m.next()
			kept := thin.keep(p)
			switch {
			case p.Track != packetbuf.Video || !p.Media():
				if !kept {
					t.Fatalf("got %v %v dropped, want it kept", p.Track, p.Kind)
				}
			case !kept:
				server.lost(p)
			case !server.received(p):
				t.Fatalf("got %v %d kept, which cannot be decoded", p.Kind, p.Seq)
			case thin.rung >= policy.DropDisposable && p.Kind == packetbuf.Disposable,
				thin.rung >= policy.Keyframes && p.Kind == packetbuf.Delta, thin.rung == policy.Audio, p.Seq < thin.skipTo:
				t.Fatalf("got %v %d kept at %v, want it dropped", p.Kind, p.Seq, thin.rung)
			}
		}
		thin.rung, thin.skipTo = policy.Full, 0
		whole := false
		for range 300 {
			p := m.next()
			whole = whole || p.Kind == packetbuf.Key
			if kept := thin.keep(p); whole && !kept {
				t.Fatalf("got %v %d dropped at full after a keyframe, want it kept", p.Kind, p.Seq)
			}
		}
	})
}

func TestThinnerTrimsToShare(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		thin := thinner{rung: policy.Trim, share: rapid.Float64Range(0, 1).Draw(t, "share")}
		m := generator{t: t}
		before, gop, out := 0, 0, 0 // in bytes
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
				t.Fatalf("got %d bytes kept of a GOP, want at most %.2f of %d", out, thin.share, before)
			}
		}
	})
}

// TestThinnerWithoutKeyframes drops frames of a stream that begins with a keyframe and uses intra refresh
// afterwards.
func TestThinnerWithoutKeyframes(t *testing.T) {
	at := func(n int) time.Duration { return time.Duration(n) * 40 * time.Millisecond }
	for _, tt := range []struct {
		name     string
		from, to int // first and last frame of the span at the rung Keyframes
		back     time.Duration
	}{
		{"late in the stream", 2500, 2501, at(2500) + recoveryTime},
		{"for longer than recoveryTime", 2500, 3000, at(3000)},
		{"before endlessGOP", 100, 101, endlessGOP},
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
					t.Fatalf("frame %d: got kept %v", n, kept)
				}
			}
			if back < tt.back || back > tt.back+at(1) {
				t.Errorf("got frames again at %v, want %v", back, tt.back)
			}
		})
	}
}
