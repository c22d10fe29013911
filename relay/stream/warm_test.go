package stream

import (
	"testing"
	"time"

	"github.com/holdfast-live/holdfast/packetbuf"
	"github.com/holdfast-live/holdfast/testmedia/gen"
)

// TestSpareIsBounded: GOPs are given up from the oldest, and one without an end as a whole.
func TestSpareIsBounded(t *testing.T) {
	limits := packetbuf.Limits{Duration: 20 * time.Second, Bytes: 1 << 20}
	for name, gop := range map[string]int{"steady": 60, "endless": 1 << 20} {
		t.Run(name, func(t *testing.T) {
			var w warm
			begun := time.Now()
			for _, p := range gen.New(gen.Options{GOP: gop}).Until(time.Minute) {
				if !p.Media() {
					continue
				}
				p.Arrived = begun.Add(p.DTS)
				w.add(p, p.Kind == packetbuf.Key, limits)
				bytes := 0
				for _, p := range w.packets {
					bytes += len(p.Payload) + packetbuf.Overhead
				}
				if bytes != w.bytes || bytes > limits.Bytes {
					t.Fatalf("%d bytes, counted %d", bytes, w.bytes)
				}
				if len(w.packets) > 0 && w.packets[0].Kind != packetbuf.Key {
					t.Fatal("it does not begin with a keyframe")
				}
			}
			if (len(w.packets) == 0) != (name == "endless") {
				t.Errorf("%d packets are kept", len(w.packets))
			}
		})
	}
}

// TestSpareOfTinyPacketsIsBounded: packets of next to nothing take room of their own.
func TestSpareOfTinyPacketsIsBounded(t *testing.T) {
	limits := packetbuf.Limits{Duration: 20 * time.Second, Bytes: 1 << 20}
	var w warm
	most := 0
	for i := range 20_000 {
		kind := packetbuf.Delta
		if i == 0 {
			kind = packetbuf.Key
		}
		w.add(&packetbuf.Packet{Track: packetbuf.Video, Kind: kind, Payload: []byte{0}}, kind == packetbuf.Key, limits)
		most = max(most, len(w.packets))
	}
	if most == 0 || most > limits.Bytes/packetbuf.Overhead {
		t.Errorf("%d packets were kept", most)
	}
}

// TestSpareOfKeyframesAloneCostsLittle: where each packet begins a GOP, one is given up for each
// that comes, and the others are left where they are.
func TestSpareOfKeyframesAloneCostsLittle(t *testing.T) {
	limits := packetbuf.Limits{Duration: 20 * time.Second, Bytes: 1 << 20}
	var w warm
	p := &packetbuf.Packet{Track: packetbuf.Audio, Kind: packetbuf.Key, Payload: []byte{0}}
	add := func() { w.add(p, true, limits) }
	for w.bytes+packetbuf.Overhead < limits.Bytes {
		add()
	}
	kept := len(w.packets)
	if n := testing.AllocsPerRun(2*kept, add); n > 0.1 || len(w.packets) < kept-1 || len(w.packets) > kept {
		t.Errorf("%v allocations for each, %d packets of %d", n, len(w.packets), kept)
	}
}

// TestKeyframesOfAFrozenStream: after made pictures a decoder can go on with an IDR picture alone.
// However many other keyframes are kept of a spare, it costs nothing to know where that is.
func TestKeyframesOfAFrozenStream(t *testing.T) {
	story(t, nil, func(b *bench) {
		primary, spare := b.publish(gen.Options{}), b.pushAs(true, gen.Options{})
		done := spare.side(time.Second, 0)
		primary.run(time.Second)
		<-done
		b.mu.Lock()
		defer b.mu.Unlock()
		f := b.publishers[b.life.Spare()]
		now := time.Now()
		add := func(nal byte, n int) {
			for range n {
				f.retain(&packetbuf.Packet{Track: packetbuf.Video, Codec: packetbuf.H264, Kind: packetbuf.Key, Arrived: now, Payload: []byte{0, 0, 0, 2, nal, 0x80}})
			}
		}
		const idr, recovery = 0x65, 0x61
		f.kept.clear()
		add(recovery, 4000)
		b.frozen = true
		ready := false
		look := func() { ready = quiet{b.Stream}.Ready(f.id, now) }
		if n := testing.AllocsPerRun(10, look); n > 0 || ready {
			t.Errorf("ready without an IDR picture: %v, %v allocations", ready, n)
		}
		add(idr, 1)
		add(recovery, 9)
		if look(); !ready || f.kept.newest(true) != 4000 || f.kept.newest(false) != 4009 {
			t.Errorf("ready: %v, at %d and %d", ready, f.kept.newest(true), f.kept.newest(false))
		}
		now = now.Add(spareKeeps)
		add(recovery, 1)
		if f.kept.newest(true) != -1 || f.kept.newest(false) != len(f.kept.packets)-1 {
			t.Errorf("what was given up is found: at %d and %d of %d", f.kept.newest(true), f.kept.newest(false), len(f.kept.packets))
		}
		b.frozen = false
	})
}
