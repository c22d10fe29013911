package link

import (
	"testing"
	"time"
)

// at is a moment some seconds after an arbitrary one.
func at(seconds float64) time.Time {
	return time.Unix(1_000_000, 0).Add(time.Duration(seconds * float64(time.Second)))
}

// TestFlightIsBounded writes a day of packets that nobody acknowledges: what is kept stays
// bounded, in order, exact for the newest, and never says less than is missing.
func TestFlightIsBounded(t *testing.T) {
	var f flight
	const packets = 1_000_000
	for i := range uint64(packets) {
		f.add(mark{tcpEnd: 10 * (i + 1), rtmpEnd: 10 * (i + 1), seq: i + 1, arrived: at(float64(i))})
	}
	if len(f.marks) > maxFlight || cap(f.marks) > 2*maxFlight {
		t.Fatalf("%d marks, room for %d", len(f.marks), cap(f.marks))
	}
	for _, arrived := range []uint64{0, 5, 10, 12_345, 9_000_000, 10*packets - 4000, 10*packets - 1} {
		m, ok := f.firstBeyondRTMP(arrived)
		first := arrived/10 + 1 // the packet that is not covered whole
		if !ok || m.seq > first {
			t.Errorf("%d bytes have arrived, packet %d of them is missing: %+v", arrived, first, m)
		}
		if newest := arrived > 10*(packets-maxFlight/2); newest && m.seq != first {
			t.Errorf("of the newest, packet %d is missing: %+v", first, m)
		}
	}
	for i := range f.marks[1:] {
		if a, b := f.marks[i], f.marks[i+1]; b.seq <= a.seq || b.tcpEnd <= a.tcpEnd || !b.arrived.After(a.arrived) {
			t.Fatalf("%+v before %+v", a, b)
		}
	}
	if _, ok := f.firstBeyondTCP(10 * packets); ok {
		t.Error("all has arrived")
	}
	if f.forget(10*packets, 10*packets-5); len(f.marks) != 1 {
		t.Errorf("%d marks are left for the packet that is missing", len(f.marks))
	}
}

func TestFlightOverTLS(t *testing.T) {
	var f flight
	f.add(mark{tcpEnd: unknownEnd, rtmpEnd: 100, seq: 1})
	f.add(mark{tcpEnd: unknownEnd, rtmpEnd: 200, seq: 2})
	f.add(mark{tcpEnd: unknownEnd, rtmpEnd: 300, seq: 3})
	f.written(250, 200)
	if m, _ := f.firstBeyondTCP(249); m.seq != 1 {
		t.Errorf("%+v", m)
	}
	if m, _ := f.firstBeyondTCP(250); m.seq != 3 || m.tcpEnd != unknownEnd {
		t.Errorf("%+v", m)
	}
	f.written(400, 300)
	if m, ok := f.firstBeyondTCP(400); ok {
		t.Errorf("%+v", m)
	}
}

// tcpSays returns what a system says that knows of so many acknowledged bytes.
func tcpSays(acked uint64) (tcpInfo, bool) { return tcpInfo{acked: acked}, true }

func acked(bytes uint64, acks int, interval uint64) *peer {
	return &peer{acked: bytes, acks: acks, interval: interval}
}

// put writes packets of 1,000 bytes each.
func (d *delivery) put(now time.Time, from, packets uint64) {
	d.beginWrite(now)
	base := d.offered
	for i := range packets {
		d.add(mark{tcpEnd: base + 1000*(i+1), seq: from + i, arrived: now.Add(time.Duration(i) * time.Millisecond)}, int(1000*(i+1)))
	}
	d.beginPiece(now, int(1000*packets))
	d.endPiece(d.offered, nil)
	d.endWrite()
}

func TestDeliveryWithTCP(t *testing.T) {
	d := newDelivery(at(0), 0)
	look := func(now time.Time, arrived uint64) Progress {
		info, ok := tcpSays(arrived)
		return d.update(now, d.offered, info, ok)
	}
	if p := look(at(0), 0); p.Unsent != 0 || !p.Oldest.IsZero() || d.stalled(at(9), time.Second) {
		t.Errorf("nothing was written: %+v", p)
	}
	d.put(at(10), 1, 5)
	p := look(at(11), 2500)
	if p.Sent != 5000 || p.Arrived != 2500 || p.Unsent != 2500 || p.Oldest != at(10.002) || p.Missing != 1 || p.LastProgress != at(11) || !p.Known {
		t.Errorf("%+v", p)
	}
	if p = look(at(12), 2500); p.LastProgress != at(11) || d.stalled(at(12), 2*time.Second) {
		t.Errorf("%+v", p)
	}
	if look(at(13.5), 2500); !d.stalled(at(13.5), 2500*time.Millisecond) {
		t.Error("nothing has arrived for 2.5 s")
	}
	d.acknowledged(acked(handshakeSize+2000, 1, 5073)) // and says no more for a while
	if p = look(at(14), 5000); p.LastProgress != at(14) || p.Missing != 3 || !p.Oldest.IsZero() || d.stalled(at(60), time.Second) {
		t.Errorf("all has arrived: %+v", p)
	}
	// After a pause, what is written has its time from then on.
	d.put(at(100), 6, 1)
	if p = look(at(101), 5000); p.LastProgress != at(100) || d.stalled(at(101), 2*time.Second) {
		t.Errorf("%+v", p)
	}
	// A closed socket does not tell; what it told last holds.
	if p = d.update(at(102), d.offered, tcpInfo{}, false); p.Arrived != 5000 || !p.Known || p.Unsent != 1000 {
		t.Errorf("%+v", p)
	}
}

// TestDeliveryOverdue has a server whose TCP takes everything, and which acknowledges nothing
// any more: what is behind the system that we talk to is gone.
func TestDeliveryOverdue(t *testing.T) {
	d := newDelivery(at(0), 0)
	look := func(now time.Time) Progress {
		info, ok := tcpSays(d.offered)
		return d.update(now, d.offered, info, ok)
	}
	d.put(at(0), 1, 20)
	d.acknowledged(acked(20_000, 2, 10_000))
	for s := range 10 {
		d.put(at(float64(s)), uint64(21+5*s), 5) // 5,000 bytes a second
		look(at(float64(s)))
	}
	// 20,000 bytes beyond the acknowledged ones went out with the fourth second's; the last
	// acknowledgement is older.
	if d.stalled(at(5.2), 2500*time.Millisecond) || !d.stalled(at(5.3), 2500*time.Millisecond) {
		t.Error("overdue since", d.overdue)
	}
	d.acknowledged(acked(30_000, 3, 10_000))
	if look(at(10)); d.stalled(at(12), 2500*time.Millisecond) {
		t.Error("it has just acknowledged")
	}
	// One that never did owes nothing.
	d = newDelivery(at(0), 0)
	d.put(at(0), 1, 1000)
	if p := look(at(1)); d.stalled(at(100), time.Second) || p.Missing != 0 {
		t.Errorf("%+v", p)
	}
}

func TestDeliveryWithoutTCP(t *testing.T) {
	d := newDelivery(at(0), 0)
	look := func(now time.Time) Progress { return d.update(now, d.offered, tcpInfo{}, false) }
	d.put(at(0), 1, 10)
	if p := look(at(1)); p.Known || p.Arrived != 0 || p.Missing != 1 || !p.Oldest.IsZero() || d.stalled(at(60), time.Second) {
		t.Errorf("no acknowledgement is due yet: %+v", p)
	}
	d.acknowledged(acked(handshakeSize+5000, 2, 5000))
	if p := look(at(2)); p.Arrived != handshakeSize+5000 || p.Missing != 6 || p.LastProgress != at(2) || !p.Oldest.IsZero() {
		t.Errorf("%+v", p)
	}
	d.put(at(3), 11, 10)
	if p := look(at(3)); p.Oldest != at(0.005) {
		t.Errorf("the sixth packet ought to have been acknowledged: %+v", p)
	}
	// The last acknowledgement was found at 2, the next has been owed since 3.
	if look(at(4)); d.stalled(at(4.4), 2500*time.Millisecond) || !d.stalled(at(4.5), 2500*time.Millisecond) {
		t.Error("overdue since", d.overdue)
	}
	// A write that stands still.
	d = newDelivery(at(0), 0)
	d.beginWrite(at(1))
	d.add(mark{tcpEnd: 1000, seq: 1, arrived: at(0.5)}, 1000)
	d.beginPiece(at(1), 1000)
	if p := look(at(2)); p.Blocked != time.Second || p.Oldest != at(0.5) || d.stalled(at(2), 2*time.Second) || !d.stalled(at(3), 2*time.Second) {
		t.Errorf("%+v", p)
	}
}
