package whip

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"testing"
	"time"

	"github.com/pion/rtp"

	"github.com/holdfast-live/holdfast/ingest/whip/jitter"
	"github.com/holdfast-live/holdfast/packetbuf"
	"github.com/holdfast-live/holdfast/packetbuf/codec"
)

// forEachPacketisation runs a test for every clip in every packetisation.
func forEachPacketisation(t *testing.T, test func(*testing.T, *clip, []*rtp.Packet)) {
	for name := range clipArgs {
		t.Run(name, func(t *testing.T) {
			c := clipOf(t, name)
			for way, payloader := range payloaders(c.codec) {
				for _, mtu := range []uint16{1200, 300} {
					t.Run(fmt.Sprintf("%s/%d", way, mtu), func(t *testing.T) { test(t, c, c.packets(payloader(), mtu)) })
				}
			}
		})
	}
}

// TestAssemble reassembles the output of real encoders, which must be identical bit by bit.
func TestAssemble(t *testing.T) {
	forEachPacketisation(t, func(t *testing.T, c *clip, packets []*rtp.Packet) {
		a := newAssembler(formats[c.codec])
		var got []accessUnit
		for _, p := range packets {
			units, err := a.push(p, false)
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, units...)
		}
		if len(got) != len(c.units) {
			t.Fatalf("got %d access units, want %d", len(got), len(c.units))
		}
		for i, u := range got {
			if !bytes.Equal(u.payload, c.units[i]) {
				t.Fatalf("access unit %d: got %d bytes, want %d:\n%.60x\n%.60x", i, len(u.payload), len(c.units[i]), u.payload, c.units[i])
			}
			if u.timestamp != uint32(i)*3000 || (u.kind == packetbuf.Key) != c.keys[i] || (u.config != nil) != c.keys[i] {
				t.Errorf("access unit %d: got %s at %d with %d bytes of configuration, want key %v", i, u.kind, u.timestamp, len(u.config), c.keys[i])
			}
			if c.keys[i] {
				c.checkConfig(t, u)
			}
		}
	})
}

// checkConfig compares the configuration with that of ffmpeg's muxer.
func (c *clip) checkConfig(t *testing.T, u accessUnit) {
	t.Helper()
	if got := pixels(c.codec, &u); got != 640*360 {
		t.Errorf("got %d pixels", got)
	}
	got, want := u.config, c.record
	switch c.codec {
	case packetbuf.H264:
	case packetbuf.HEVC:
		// Segmentation, parallelism and frame rate are said to be unknown; which sets are
		// complete is said differently.
		ours, err := codec.HEVCParameterSets(got)
		theirs, bad := codec.HEVCParameterSets(want)
		if err != nil || bad != nil || !bytes.HasPrefix(theirs, ours) {
			t.Fatalf("got parameter sets %x, %v, want %x, %v", ours, err, theirs, bad)
		}
		fixed := func(b []byte) []byte {
			return append(append([]byte(nil), b[:13]...), b[16]&3, b[17]&7, b[18]&7, b[21]&0x3f)
		}
		got, want = fixed(got), fixed(want)
	case packetbuf.AV1:
		got, want = got[:4], want[:4]
	case packetbuf.VP8:
		want = []byte{0, 0, 8<<4 | 1<<1, 2, 2, 2, 0, 0}
	case packetbuf.VP9:
		// Behind version and flags; level and colours are left open.
		got, want = []byte{got[0], got[2]}, []byte{want[4], want[6]}
	}
	if !bytes.Equal(got, want) {
		t.Errorf("got configuration %x, want %x", got, want)
	}
}

// TestStarts checks that a decoder can start at the first packet of each keyframe and nowhere else.
func TestStarts(t *testing.T) {
	forEachPacketisation(t, func(t *testing.T, c *clip, packets []*rtp.Packet) {
		starts := formats[c.codec].startAt
		began := map[uint32]int{}
		for _, p := range packets {
			if starts(p.Payload) != jitter.Never {
				began[p.Timestamp]++
			}
		}
		for i, key := range c.keys {
			if n := began[uint32(i)*3000]; (n > 0) != key || n > 3 {
				t.Errorf("access unit %d, key %v: got %d starts", i, key, n)
			}
		}
	})
}

// TestLoss loses packets: the result must be complete access units, with a keyframe after each gap.
func TestLoss(t *testing.T) {
	forEachPacketisation(t, func(t *testing.T, c *clip, packets []*rtp.Packet) {
		losses, whole := 0, 0
		for seed := range uint64(20) {
			chance := rand.New(rand.NewPCG(seed, 1))
			b, a := jitter.NewVideo[*rtp.Packet](), newAssembler(formats[c.codec])
			now, broken, count := time.Unix(0, 0), true, 0
			lost := map[uint32]bool{}
			next := func(p *rtp.Packet, gap bool) {
				units, err := a.push(p, gap)
				if err != nil {
					t.Fatal(err)
				}
				broken = broken || gap
				for _, u := range units {
					i := u.timestamp / 3000
					count++
					// A keyframe may have lost units before its parameter sets, but not these;
					// for the first packet to arrive that cannot be known.
					same := bytes.Equal(u.payload, c.units[i])
					cut := c.keys[i] && (u.config != nil || i == 0) && bytes.HasSuffix(c.units[i], u.payload)
					if !same && !cut {
						t.Fatalf("seed %d: access unit %d: got a damaged one", seed, i)
					}
					if broken && u.kind != packetbuf.Key {
						t.Fatalf("seed %d: access unit %d: got no keyframe after a gap", seed, i)
					}
					broken = false
				}
			}
			for _, p := range packets {
				now = now.Add(time.Millisecond)
				if chance.IntN(max(60, len(packets)/8)) == 0 {
					lost[p.Timestamp] = true
					continue
				}
				b.Push(now, p.SequenceNumber, p.Timestamp, formats[c.codec].startAt(p.Payload), p)
				for p, gap, ok := b.Pop(now, 2*time.Millisecond); ok; p, gap, ok = b.Pop(now, 2*time.Millisecond) {
					next(p, gap)
				}
			}
			losses, whole = losses+len(lost), whole+count
		}
		if losses == 0 || whole == 0 {
			t.Errorf("got %d lost, %d complete", losses, whole)
		}
	})
}

// TestUnreadable checks that an unreadable packet has the effect of a lost one.
func TestUnreadable(t *testing.T) {
	c := clipOf(t, "h264")
	a := newAssembler(formats[packetbuf.H264])
	damaged := false
	count := 0
	for _, p := range c.packets(payloaders(c.codec)["single"](), 1200) {
		if p.Timestamp == 15000 && !damaged {
			damaged = true
			p = &rtp.Packet{Header: p.Header, Payload: []byte{24, 0xff, 0xff, 1}}
			if _, err := a.push(p, false); err == nil {
				t.Fatal("unreadable packet: got no error")
			}
			continue
		}
		units, err := a.push(p, false)
		if err != nil {
			t.Fatal(err)
		}
		for _, u := range units {
			if count++; u.timestamp >= 15000 && u.timestamp < 30000 {
				t.Errorf("got an access unit at %d, want none", u.timestamp)
			}
		}
	}
	if count != len(c.units)-5 {
		t.Errorf("got %d access units, want %d", count, len(c.units))
	}
}

// TestUnmarked checks that an access unit without a marker ends where the next begins.
func TestUnmarked(t *testing.T) {
	c := clipOf(t, "h264")
	a := newAssembler(formats[packetbuf.H264])
	count := 0
	for _, p := range c.packets(payloaders(c.codec)["aggregated"](), 1200) {
		p.Marker = false
		units, err := a.push(p, false)
		if err != nil {
			t.Fatal(err)
		}
		for _, u := range units {
			if !bytes.Equal(u.payload, c.units[count]) {
				t.Fatalf("access unit %d: got a damaged one", count)
			}
			count++
		}
		if _, err := a.push(&rtp.Packet{Header: p.Header}, false); err != nil { // padding
			t.Fatal(err)
		}
	}
	if count != len(c.units)-1 {
		t.Errorf("got %d access units, want %d", count, len(c.units))
	}
}

// TestParameterSetsBeforeFrame sends parameter sets before their frame, marked or with a timestamp of their own.
func TestParameterSetsBeforeFrame(t *testing.T) {
	for _, name := range []string{"h264", "hevc"} {
		c := clipOf(t, name)
		a := newAssembler(formats[c.codec])
		count := 0
		for _, p := range c.packets(payloaders(c.codec)["single"](), 1200) {
			last := p.Marker
			hevc := c.codec == packetbuf.HEVC && p.Payload[0]>>1&0x3f >= 32 && p.Payload[0]>>1&0x3f <= 40
			if avc := c.codec == packetbuf.H264 && p.Payload[0]&0x1f >= 6 && p.Payload[0]&0x1f <= 8; avc || hevc {
				p.Marker = count%2 == 0
				p.Timestamp -= 10
			}
			units, err := a.push(p, false)
			if err != nil || len(units) > 1 || (len(units) == 1) != last {
				t.Fatalf("%s: got %d access units, %v", name, len(units), err)
			}
			if len(units) == 0 {
				continue
			}
			u := units[0]
			if !bytes.Equal(u.payload, c.units[count]) || (u.config != nil) != c.keys[count] || u.timestamp != uint32(count)*3000 {
				t.Fatalf("%s: access unit %d: got one at %d with %d bytes of configuration", name, count, u.timestamp, len(u.config))
			}
			count++
		}
		if count != len(c.units) {
			t.Errorf("%s: got %d access units, want %d", name, count, len(c.units))
		}
	}
}

// TestAssemblerIsBounded sends access units and fragments without end, marked and not.
func TestAssemblerIsBounded(t *testing.T) {
	parts := map[packetbuf.Codec][2][]byte{ // first, and all after
		packetbuf.H264: {{28, 0x85}, {28, 0x05}},
		packetbuf.HEVC: {{49 << 1, 1, 0x80 | 19, 0x80}, {49 << 1, 1, 19, 0}},
		packetbuf.VP8:  {{0x10, 0x50}, {0, 0}},
		packetbuf.VP9:  {{0x08}, {0}},
		packetbuf.AV1:  {{0x58, 0x30}, {0xd0, 0}},
	}
	for of, part := range parts {
		for _, marked := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, marked %v", of, marked), func(t *testing.T) {
				a := newAssembler(formats[of])
				filler := make([]byte, 60_000)
				tooLong := 0
				for i := range 400 {
					p := &rtp.Packet{Header: rtp.Header{Marker: marked}, Payload: append(append([]byte(nil), part[min(i, 1)]...), filler...)}
					_, err := a.push(p, false)
					if errors.Is(err, errTooLong) {
						tooLong++
					}
					if len(a.unit) > maxAccessUnit {
						t.Fatalf("got %d bytes held", len(a.unit))
					}
				}
				if tooLong == 0 && !marked {
					t.Error("got no error for an access unit without end")
				}
				var m runtime.MemStats
				runtime.GC()
				if runtime.ReadMemStats(&m); m.HeapAlloc > 48<<20 {
					t.Errorf("got %d MiB held", m.HeapAlloc>>20)
				}
				runtime.KeepAlive(a)
			})
		}
	}
}

// FuzzAssembler passes any packets to an assembler. The input is one byte for the codec, then packets of
// a byte of flags, a byte of length and a payload.
func FuzzAssembler(f *testing.F) {
	all := []packetbuf.Codec{packetbuf.H264, packetbuf.HEVC, packetbuf.VP8, packetbuf.VP9, packetbuf.AV1}
	for i := range all {
		f.Add([]byte{byte(i), 1, 3, 0x10, 0x50, 0})
		f.Add([]byte{byte(i), 0, 4, 28, 0x85, 0x80, 1, 3, 4, 28, 0x45, 1, 2})
		f.Add([]byte{byte(i), 1, 12, 24, 0, 3, 0x67, 0x42, 0, 0, 3, 0x65, 0x80, 1, 2})
		f.Add([]byte{byte(i), 1, 8, 98, 1, 0x93, 0x80, 1, 2, 3, 4})
		f.Add([]byte{byte(i), 1, 9, 0x18, 0x0a, 1, 2, 3, 4, 5, 6, 7})
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) == 0 {
			return
		}
		a := newAssembler(formats[all[int(b[0])%len(all)]])
		ts := uint32(0)
		for b = b[1:]; len(b) > 2; {
			flags, n := b[0], min(int(b[1]), len(b)-2)
			if flags&4 != 0 {
				ts += 3000
			}
			p := &rtp.Packet{Header: rtp.Header{Marker: flags&1 != 0, Timestamp: ts}, Payload: b[2 : 2+n]}
			b = b[2+n:]
			_ = a.format.startAt(p.Payload)
			units, _ := a.push(p, flags&2 != 0)
			for _, u := range units {
				if len(u.payload) == 0 || u.kind == packetbuf.Config || u.config != nil && u.kind != packetbuf.Key {
					t.Fatalf("got %+v", u)
				}
				_ = pixels(a.format.codec, &u)
			}
		}
	})
}
