package packetbuf

import (
	"testing"
	"time"

	"github.com/holdfast-live/holdfast/packetbuf/budget"
)

// appendGOPs appends n GOPs of a keyframe and nine other frames, each of size bytes.
func appendGOPs(r *Ring, n, size int) {
	head := r.Stats().Head
	for i := range n * 10 {
		kind := Delta
		if i%10 == 0 {
			kind = Key
		}
		r.Add(newPacket(Video, kind, time.Duration(head)*time.Second+time.Duration(i)*100*time.Millisecond, size))
	}
}

func TestChargedRingEvictsWholeGOPs(t *testing.T) {
	const size = 10_000
	b := budget.New(100*(size+Overhead), nil)
	greedy, modest := NewRing(Limits{}), NewRing(Limits{})
	for _, r := range []*Ring{greedy, modest} {
		r.Charge(b)
	}
	appendGOPs(modest, 2, size)
	appendGOPs(greedy, 20, size)
	b.Balance() // the modest ring appends no more
	if got := modest.Stats().GOPs; got != 2 {
		t.Errorf("modest ring: got %d GOPs, want 2", got)
	}
	if got := greedy.Stats(); got.GOPs != 7 || got.Packets != 70 { // 90 % of the budget minus the modest ring's 20 packets
		t.Errorf("greedy ring: got %d GOPs, %d packets, want 7 whole GOPs of 70", got.GOPs, got.Packets)
	}
	appendGOPs(greedy, 3, size)
	if got := greedy.Stats(); got.GOPs != 7 || got.Packets > 70 {
		t.Errorf("greedy ring after more GOPs: got %d GOPs, %d packets, want 7 and at most 70", got.GOPs, got.Packets)
	}
	greedy.Discharge()
	if got, want := b.Used(), int64(20*(size+Overhead)); got != want {
		t.Errorf("used without the greedy ring: got %d bytes, want %d", got, want)
	}
}

func TestWireFormsAreCharged(t *testing.T) {
	b := budget.New(1<<30, nil)
	r := NewRing(Limits{Bytes: 3 * (100 + Overhead)})
	r.Charge(b)
	build := func(*Packet) []byte { return make([]byte, 1000) }
	var sent []*Packet
	for i := range 5 {
		p := newPacket(Video, Key, time.Duration(i)*time.Second, 100)
		r.Add(p)
		p.Serialized(FLVTag, build)
		p.Serialized(FLVTag, build)
		p.Serialized(RTMPMessage, build)
		sent = append(sent, p)
	}
	if got := b.Use()["wires"]; got != 3*2000 {
		t.Errorf("wire forms: got %d bytes, want %d, of the 3 packets in the ring", got, 3*2000)
	}
	if got := len(sent[0].Serialized(FLVTag, build)); got != 1000 {
		t.Errorf("wire form of an evicted packet: got %d bytes, want 1000", got)
	}
	if got := b.Use()["wires"]; got != 3*2000 {
		t.Errorf("wire forms after one of an evicted packet: got %d bytes, want %d", got, 3*2000)
	}
}

func BenchmarkChargedRingAppend(b *testing.B) {
	r := NewRing(Limits{Duration: 20 * time.Second, Bytes: 64 << 20})
	r.Charge(budget.New(1<<30, func() {}))
	b.ReportAllocs()
	packets := make([]Packet, 4096)
	for i := 0; b.Loop(); i++ {
		p := &packets[i%len(packets)]
		*p = Packet{DTS: time.Duration(i) * 13 * time.Millisecond, Kind: Delta, Payload: p.Payload}
		if i%150 == 0 {
			p.Kind = Key
		}
		r.Add(p)
	}
}
