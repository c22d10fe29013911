package standby

import (
	"testing"
	"time"

	"github.com/holdfast-live/holdfast/packetbuf"
	"github.com/holdfast-live/holdfast/testmedia/gen"
)

// TestWindowIsBounded: GOPs are given up from the oldest, and one without an end as a whole.
func TestWindowIsBounded(t *testing.T) {
	limits := packetbuf.Limits{Duration: 20 * time.Second, Bytes: 1 << 20}
	for name, gop := range map[string]int{"steady": 60, "endless": 1 << 20} {
		t.Run(name, func(t *testing.T) {
			var w Window
			begun := time.Now()
			for _, p := range gen.New(gen.Options{GOP: gop}).Until(time.Minute) {
				if !p.Media() {
					continue
				}
				p.Arrived = begun.Add(p.DTS)
				w.Add(p, p.Kind == packetbuf.Key, false, limits)
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

// TestWindowOfTinyPacketsIsBounded: packets of next to nothing take room of their own.
func TestWindowOfTinyPacketsIsBounded(t *testing.T) {
	limits := packetbuf.Limits{Duration: 20 * time.Second, Bytes: 1 << 20}
	var w Window
	most := 0
	for i := range 20_000 {
		kind := packetbuf.Delta
		if i == 0 {
			kind = packetbuf.Key
		}
		w.Add(&packetbuf.Packet{Track: packetbuf.Video, Kind: kind, Payload: []byte{0}}, kind == packetbuf.Key, false, limits)
		most = max(most, len(w.packets))
	}
	if most == 0 || most > limits.Bytes/packetbuf.Overhead {
		t.Errorf("%d packets were kept", most)
	}
}

// TestWindowOfKeyframesAloneCostsLittle: where each packet begins a GOP, one is given up for each
// that comes, and the others are left where they are.
func TestWindowOfKeyframesAloneCostsLittle(t *testing.T) {
	limits := packetbuf.Limits{Duration: 20 * time.Second, Bytes: 1 << 20}
	var w Window
	p := &packetbuf.Packet{Track: packetbuf.Audio, Kind: packetbuf.Key, Payload: []byte{0}}
	add := func() { w.Add(p, true, false, limits) }
	for w.bytes+packetbuf.Overhead < limits.Bytes {
		add()
	}
	kept := len(w.packets)
	if n := testing.AllocsPerRun(2*kept, add); n > 0.1 || len(w.packets) < kept-1 || len(w.packets) > kept {
		t.Errorf("%v allocations for each, %d packets of %d", n, len(w.packets), kept)
	}
}

// TestKeyframesOfAFrozenStream: after made frames a decoder can go on with an IDR frame alone.
// However many other keyframes are kept of a standby, it costs nothing to know where that is.
func TestKeyframesOfAFrozenStream(t *testing.T) {
	limits := packetbuf.Limits{Duration: 20 * time.Second, Bytes: 64 << 20}
	now := time.Now()
	var w Window
	add := func(idr bool, n int) {
		for range n {
			w.Add(&packetbuf.Packet{Track: packetbuf.Video, Codec: packetbuf.H264, Kind: packetbuf.Key, Arrived: now}, true, idr, limits)
		}
	}
	add(false, 4000)
	ready := false
	look := func() { ready = w.Ready(0, true) }
	if n := testing.AllocsPerRun(10, look); n > 0 || ready {
		t.Errorf("ready without an IDR frame: %v, %v allocations", ready, n)
	}
	add(true, 1)
	add(false, 9)
	if look(); !ready || w.Start(true) != 4000 || w.Start(false) != 4009 {
		t.Errorf("ready: %v, at %d and %d", ready, w.Start(true), w.Start(false))
	}
	if w.Ready(quietMost, true) {
		t.Error("ready although nothing comes any more")
	}
	now = now.Add(windowKeeps)
	add(false, 1)
	if w.Start(true) != -1 || w.Start(false) != len(w.packets)-1 {
		t.Errorf("what was given up is found: at %d and %d of %d", w.Start(true), w.Start(false), len(w.packets))
	}
}

// Packets that are missing while a session was quiet end what is kept of it.
func TestWindowIsCutAtAHole(t *testing.T) {
	limits := packetbuf.Limits{Duration: 20 * time.Second, Bytes: 1 << 20}
	for step, want := range map[time.Duration]int{time.Second: 1, 1001 * time.Millisecond: 0, -2 * time.Second: 0} {
		var w Window
		w.Add(&packetbuf.Packet{Kind: packetbuf.Key, DTS: time.Minute}, true, true, limits)
		w.CutAtHole(&packetbuf.Packet{DTS: time.Minute + step})
		if got := len(w.packets); got != want {
			t.Errorf("step of %v: got %d packets, want %d", step, got, want)
		}
	}
}
