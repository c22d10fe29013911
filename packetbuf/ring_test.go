package packetbuf

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

func newPacket(track Track, kind Kind, dts time.Duration, size int) *Packet {
	return &Packet{Track: track, Kind: kind, DTS: dts, Payload: make([]byte, size)}
}

// twin is a naive ring of the same behaviour.
type twin struct {
	limits  Limits
	packets []*Packet
	config  Configs
	configs map[uint64]Configs // by the sequence number of a key packet
}

func (w *twin) append(p *Packet, seq uint64) {
	p.Seq = seq
	w.packets = append(w.packets, p)
	bridged := p.Flags&Bridged != 0
	if p.Kind == Config && bridged {
		w.config[BridgedAudio] = p
	} else if p.Kind == Config {
		w.config[p.Track] = p
	}
	if p.Kind == Key && !bridged {
		w.configs[seq] = w.config
	}
	for w.over() && len(w.packets) > 1 {
		keys := w.keys()
		if len(keys) > 1 {
			w.cut(keys[1])
		} else {
			w.cut(w.packets[1].Seq)
		}
	}
}

func (w *twin) cut(seq uint64) {
	w.packets = slices.DeleteFunc(w.packets, func(p *Packet) bool { return p.Seq < seq })
}

func (w *twin) keys() (seqs []uint64) {
	for _, p := range w.packets {
		if p.Kind == Key && p.Flags&Bridged == 0 {
			seqs = append(seqs, p.Seq)
		}
	}
	return seqs
}

func (w *twin) over() bool {
	bytes, newest := 0, time.Duration(0)
	for _, p := range w.packets {
		bytes += len(p.Payload) + len(p.Beside) + Overhead
		if p.Media() {
			newest = max(newest, p.DTS)
		}
	}
	return bytes > w.limits.Bytes || newest-w.packets[0].DTS > w.limits.Duration
}

func TestRingAgainstSlice(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		limits := Limits{
			Duration: time.Duration(rapid.IntRange(1, 2000).Draw(t, "ms")) * time.Millisecond,
			Bytes:    rapid.IntRange(1, 60000).Draw(t, "bytes"),
		}
		ring, w := NewRing(limits), &twin{limits: limits, configs: map[uint64]Configs{}}
		dts := time.Duration(0)
		for seq := range uint64(rapid.IntRange(1, 600).Draw(t, "n")) {
			dts += time.Duration(rapid.IntRange(0, 40).Draw(t, "step")) * time.Millisecond
			kind := rapid.SampledFrom([]Kind{Config, Key, Delta, Delta, Delta, Delta, Disposable}).Draw(t, "kind")
			p := newPacket(rapid.SampledFrom([]Track{Video, Audio}).Draw(t, "track"), kind, dts, rapid.IntRange(0, 900).Draw(t, "size"))
			if kind == Config {
				p.Beside = make([]byte, rapid.IntRange(0, 900).Draw(t, "beside"))
			}
			if p.Track == Audio && rapid.Bool().Draw(t, "bridged") {
				p.Flags = Bridged
			}
			if rapid.IntRange(0, 30).Draw(t, "forget") == 0 {
				slot := rapid.IntRange(0, BridgedAudio).Draw(t, "slot")
				ring.Forget(slot)
				w.config[slot] = nil
			}
			ring.Add(p)
			w.append(p, seq+1)
			checkAgainstTwin(t, ring, w)
		}
	})
}

func checkAgainstTwin(t *rapid.T, ring *Ring, w *twin) {
	c := Cursor{ring: ring, next: w.packets[0].Seq}
	got := make([]*Packet, len(w.packets)+1)
	n, err := c.Read(got)
	if err != nil || !slices.Equal(got[:n], w.packets) {
		t.Fatalf("ring: got %d packets (%v), want %d as the twin", n, err, len(w.packets))
	}
	if w.packets[0].Seq > 1 {
		c.next = w.packets[0].Seq - 1
		if _, err := c.Read(got); !errors.Is(err, ErrOverrun) {
			t.Fatalf("read before the tail: got %v, want %v", err, ErrOverrun)
		}
	}
	keys := w.keys()
	join, configs, err := ring.Join()
	if len(keys) == 0 {
		if !errors.Is(err, ErrNoKeyframe) {
			t.Fatalf("join without a key: got %v, want %v", err, ErrNoKeyframe)
		}
		return
	}
	last := keys[len(keys)-1]
	if err != nil || join.Next() != last || configs != w.configs[last] {
		t.Fatalf("join: got %d (%v), want %d as the twin", join.Next(), err, last)
	}
}

func TestEndlessGOPLosesItsHead(t *testing.T) {
	r := NewRing(Limits{Duration: time.Second})
	r.Add(newPacket(Video, Key, 0, 10))
	for i := range 40 {
		r.Add(newPacket(Video, Delta, time.Duration(i+1)*50*time.Millisecond, 10))
	}
	if _, _, err := r.Join(); !errors.Is(err, ErrNoKeyframe) {
		t.Fatalf("join into a GOP without its key: got %v, want %v", err, ErrNoKeyframe)
	}
	s := r.Stats()
	if got := s.Newest - s.Oldest; got > time.Second {
		t.Errorf("held duration: got %v, want at most 1s", got)
	}
	r.Add(newPacket(Video, Key, 2*time.Second+50*time.Millisecond, 10))
	c, _, err := r.Join()
	if err != nil {
		t.Fatalf("join at the next key: got %v, want no error", err)
	}
	if want := r.Stats().Head - 1; c.Next() != want {
		t.Errorf("join: got %d, want %d", c.Next(), want)
	}
}

// Messages of one byte that do not advance the clock are bounded by Overhead.
func TestTinyPacketsAreBounded(t *testing.T) {
	r := NewRing(Limits{Duration: 20 * time.Second, Bytes: 1 << 20})
	for range 100_000 {
		r.Add(newPacket(Data, Delta, 0, 1))
	}
	if n := r.Stats().Packets; n > 1<<20/Overhead {
		t.Errorf("packets in a ring of 1 MiB: got %d, want at most %d", n, 1<<20/Overhead)
	}
}

// If every packet is a random-access point, their queue costs no more than the packets,
// however full its memory is.
func TestGOPQueueIsSeldomMoved(t *testing.T) {
	for _, n := range []int{1, 2, 255, 256, 511, 512, 513} {
		var q gopQueue
		moves, at := 0, -1
		for i := range 20 * n {
			first := q.first
			q.push(gop{start: uint64(i)}) //nolint:gosec // small
			if q.first < first {
				moves++
			}
			if q.len() > n {
				q.pop()
			}
			at = max(at, cap(q.items))
		}
		if moves > 60 || at > 8*n+8 {
			t.Errorf("queue of %d: got %d moves in %d pushes and capacity %d, want at most 60 and %d", n, moves, 20*n, at, 8*n+8)
		}
	}
}

func TestCursorSkipsToTheNewestKey(t *testing.T) {
	r := NewRing(Limits{})
	old, fresh := newPacket(Video, Config, 0, 3), newPacket(Video, Config, 0, 4)
	r.Add(old)
	r.Add(newPacket(Video, Key, 0, 1))
	c, configs, err := r.Join()
	if err != nil || configs[Video] != old {
		t.Fatalf("join: got %v, %v, want the first configuration", configs, err)
	}
	if _, ok := c.Skip(); ok {
		t.Error("skip without a key ahead: got true, want false")
	}
	r.Add(newPacket(Video, Delta, 40*time.Millisecond, 1))
	r.Add(fresh)
	r.Add(newPacket(Video, Key, 80*time.Millisecond, 1))
	if got := c.Lag(); got != 80*time.Millisecond {
		t.Errorf("lag: got %v, want 80ms", got)
	}
	configs, ok := c.Skip()
	if !ok || configs[Video] != fresh {
		t.Errorf("skip: got %v, %v, want the second configuration", configs, ok)
	}
	var dst [8]*Packet
	n, err := c.Read(dst[:])
	if n != 1 || err != nil || dst[0].DTS != 80*time.Millisecond {
		t.Errorf("read after the skip: got %d packets, %v, want the one at 80ms", n, err)
	}
	if got := c.Lag(); got != 0 {
		t.Errorf("lag at the edge: got %v, want 0", got)
	}
}

func TestSerializedOnce(t *testing.T) {
	p, made := newPacket(Video, Key, 0, 3), 0
	build := func(*Packet) []byte { made++; return []byte("tag") }
	first := p.Serialized(FLVTag, build)
	second := p.Serialized(FLVTag, build)
	if diff := cmp.Diff(first, second); diff != "" || made != 1 || &first[0] != &second[0] {
		t.Errorf("built %d times, want once: %s", made, diff)
	}
	if got := string(p.Serialized(RTMPMessage, func(*Packet) []byte { return []byte("chunk") })); got != "chunk" {
		t.Errorf("another form: got %q, want chunk", got)
	}
}

func BenchmarkRingAppend(b *testing.B) {
	r := NewRing(Limits{Duration: 20 * time.Second, Bytes: 64 << 20})
	packets := make([]*Packet, 4096) // more than the ring holds, so that it holds none twice
	for i := range packets {
		packets[i] = newPacket(Video, Delta, 0, 4096)
	}
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		p := packets[i%len(packets)]
		p.DTS, p.Kind = time.Duration(i)*13*time.Millisecond, Delta
		if i%150 == 0 {
			p.Kind = Key
		}
		r.Add(p)
	}
}

func BenchmarkCursorRead(b *testing.B) {
	r := NewRing(Limits{})
	for i := range 1024 {
		r.Add(newPacket(Video, Key, time.Duration(i)*time.Millisecond, 0))
	}
	for _, batch := range []int{1, 4, 64} {
		b.Run(fmt.Sprintf("wake=%d", batch), func(b *testing.B) {
			dst := make([]*Packet, batch)
			c := Cursor{ring: r, next: 1}
			b.ReportAllocs()
			packets := 0
			for b.Loop() {
				n, err := c.Read(dst)
				if err != nil {
					b.Fatal(err)
				}
				if n == 0 {
					c.next = 1
				}
				packets += n
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(packets), "ns/packet")
		})
	}
}
