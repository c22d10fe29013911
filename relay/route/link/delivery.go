package link

import (
	"sync"
	"time"
)

// Progress is the state of a push at one time.
type Progress struct {
	Sent    uint64 // bytes below TLS, including a write in progress
	Arrived uint64 // bytes of Sent that the peer's TCP has acknowledged; if unknown, the same as Acked
	Acked   uint64 // bytes that the peer has acknowledged in RTMP; 0 if it never does
	Unsent  uint64 // Sent minus Arrived

	// Oldest is when the oldest packet that the peer's TCP has not completely acknowledged arrived at
	// this relay; zero if there is none. If TCP's acknowledgements are unknown, it refers to the oldest
	// packet whose RTMP acknowledgement is overdue or that waits to be written.
	Oldest time.Time
	// Missing is the sequence number of the first packet that is not covered by RTMP acknowledgements,
	// from which to replay; 0 if there is none, or if the peer does not acknowledge.
	Missing uint64
	// LastProgress is when Arrived was last seen to increase, or, if later, when data was written after
	// all earlier data had arrived.
	LastProgress time.Time
	Blocked      time.Duration // how long the Write in progress has been waiting; 0: no Write in progress

	RTT, RTTVar      time.Duration // 0 while unknown
	Segments, Resent uint64        // of TCP, since the connection was made
	Known            bool          // whether the system reports TCP's acknowledgements
}

// delivery tracks which part of a push has arrived at the peer's TCP, and which part the peer has
// acknowledged in RTMP. update supplies the state of TCP.
type delivery struct {
	mu     sync.Mutex // guards all fields; it is never held while waiting
	flight flight

	writing time.Time // when the Write in progress started; zero: none
	piece   time.Time // when the write of its current piece started
	offered uint64    // bytes, as RTMP counts them, handed to the socket
	written uint64    // bytes of offered that the socket has accepted

	known      bool
	tcp        tcpInfo
	idle       bool      // at the last update all had arrived, and nothing was written since
	arrivedMax uint64    // bytes that had arrived at the last update
	progressed time.Time // see Progress.LastProgress

	acked    uint64
	acks     int
	interval uint64    // the most bytes between two acknowledgements
	ackSeen  time.Time // the update at which the newest acknowledgement was first seen
	seenAck  uint64    // bytes acknowledged by it
	overdue  time.Time // since when an acknowledgement is overdue; zero: none overdue
}

const (
	// handshakeSize is the size of the handshake. Only some peers count it in their acknowledgements.
	handshakeSize = 1 + 2*1536
	// unacknowledgedMost is the number of bytes after which a peer that has acknowledged nothing is
	// assumed never to acknowledge.
	unacknowledgedMost = 4 * ackWindow
)

func newDelivery(now time.Time, offered uint64) *delivery {
	return &delivery{progressed: now, offered: offered, written: offered, idle: true}
}

// beginWrite is called at the beginning of each Write, endWrite at its end.
func (d *delivery) beginWrite(now time.Time) {
	d.mu.Lock()
	d.writing = now
	d.mu.Unlock()
}

func (d *delivery) endWrite() {
	d.mu.Lock()
	d.writing = time.Time{}
	d.mu.Unlock()
}

// add adds a packet that is about to be written. The packet ends n bytes into the next piece.
func (d *delivery) add(m mark, n int) {
	d.mu.Lock()
	m.rtmpEnd = d.offered + uint64(n) //nolint:gosec // not negative
	d.flight.add(m)
	d.mu.Unlock()
}

// beginPiece is called before a piece of n bytes is written, endPiece after it.
func (d *delivery) beginPiece(now time.Time, n int) {
	d.mu.Lock()
	d.piece = now
	d.offered += uint64(n) //nolint:gosec // not negative
	if d.idle {
		d.idle, d.progressed = false, now
	}
	d.mu.Unlock()
}

// endPiece records where the piece ends below TLS, if err is nil.
func (d *delivery) endPiece(tcpEnd uint64, err error) {
	d.mu.Lock()
	d.piece = time.Time{}
	if err == nil {
		d.written = d.offered
		d.flight.written(tcpEnd, d.written)
	}
	d.mu.Unlock()
}

// acknowledged copies the peer's acknowledgement counts.
func (d *delivery) acknowledged(p *peer) {
	d.mu.Lock()
	if p.acked > d.acked {
		d.overdue = time.Time{}
	}
	d.acked, d.acks, d.interval = p.acked, p.acks, p.interval
	d.mu.Unlock()
}

// update records the state of the socket at time now and returns the progress. tcp is valid if ok is
// true.
func (d *delivery) update(now time.Time, sent uint64, tcp tcpInfo, ok bool) Progress {
	d.mu.Lock()
	defer d.mu.Unlock()
	if ok {
		d.tcp, d.known = tcp, true // a closed socket reports nothing: keep the last state
	}
	arrived := d.arrived(sent)
	if arrived > d.arrivedMax {
		d.arrivedMax, d.progressed = arrived, now
	}
	if d.ackSeen.IsZero() || d.acked > d.seenAck {
		d.seenAck, d.ackSeen = d.acked, now
	}
	d.idle = arrived >= sent && d.piece.IsZero()
	d.updateOverdue(now, sent)
	d.flight.forget(arrived, d.covered())
	p := Progress{
		Sent: sent, Arrived: arrived, Acked: d.acked, Unsent: sent - arrived,
		Oldest: d.oldest(arrived), Missing: d.missing(), LastProgress: d.progressed,
		RTT: d.tcp.rtt, RTTVar: d.tcp.rttvar, Segments: d.tcp.segments, Resent: d.tcp.resent, Known: d.known,
	}
	if !d.writing.IsZero() {
		p.Blocked = max(now.Sub(d.writing), 0)
	}
	return p
}

// arrived returns how many of the bytes sent are known to have arrived.
func (d *delivery) arrived(sent uint64) uint64 {
	if d.known {
		return min(d.tcp.acked, sent)
	}
	return min(d.acked, sent)
}

// updateOverdue records since when an RTMP acknowledgement is overdue. It is overdue once twice the
// longest interval between two acknowledgements has arrived without one.
func (d *delivery) updateOverdue(now time.Time, sent uint64) {
	there := sent
	if d.known {
		there = d.arrived(sent)
	}
	switch {
	case d.acks < 2 || there <= d.acked+2*d.interval:
		d.overdue = time.Time{}
	case d.overdue.IsZero():
		d.overdue = now
	}
}

// covered returns how many bytes are certainly covered by RTMP acknowledgements.
func (d *delivery) covered() uint64 { return d.acked - min(d.acked, handshakeSize) }

func (d *delivery) oldest(arrived uint64) time.Time {
	if d.known {
		m, _ := d.flight.firstBeyondTCP(arrived)
		return m.arrived
	}
	m, ok := d.flight.firstBeyondRTMP(d.covered())
	overdue := d.acks > 0 && d.offered-min(d.offered, m.rtmpEnd) >= 2*d.interval
	if ok && overdue {
		return m.arrived
	}
	m, _ = d.flight.firstBeyondRTMP(d.written)
	return m.arrived
}

func (d *delivery) missing() uint64 {
	if d.acks == 0 && d.offered > unacknowledgedMost {
		return 0
	}
	m, _ := d.flight.firstBeyondRTMP(d.covered())
	return m.seq
}

// stalled reports whether nothing has progressed for the duration patience before time now. It must
// be called right after update. A late RTMP acknowledgement counts only if it has been overdue for
// half of patience and the last one is as old as patience, because a peer may have much to read at
// once.
func (d *delivery) stalled(now time.Time, patience time.Duration) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.overdue.IsZero() && now.Sub(d.overdue) >= patience/2 && now.Sub(d.ackSeen) >= patience {
		return true
	}
	since := time.Time{}
	switch {
	case d.known && !d.idle:
		since = d.progressed
	case !d.known:
		since = d.piece
	}
	return !since.IsZero() && now.Sub(since) >= patience
}

// Progress returns the current state of the push. It makes one system call, and may be called
// several times a second. It also works after the push has ended.
func (p *Push) Progress(now time.Time) Progress {
	// In this order, so that Arrived does not exceed Sent.
	tcp, ok := p.socket.info()
	return p.delivery.update(now, p.socket.sent.Load(), tcp, ok)
}

// Stalled reports whether data is outstanding and none has arrived for the duration patience:
// packets to the peer are lost, or the peer hangs. If the system does not report TCP's
// acknowledgements, a blocked write or an overdue RTMP acknowledgement counts instead. Stalled must
// be called several times within patience.
func (p *Push) Stalled(now time.Time, patience time.Duration) bool {
	p.Progress(now)
	return p.delivery.stalled(now, patience)
}
