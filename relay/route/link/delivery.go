package link

import (
	"sync"
	"time"
)

// Progress is the state of a push at one moment.
type Progress struct {
	Sent    uint64 // bytes below TLS, with those of a write in progress
	Arrived uint64 // of them, those that the peer's TCP has acknowledged; if unknown, as Acked
	Acked   uint64 // bytes that the peer has acknowledged in RTMP; 0 if it never does
	Unsent  uint64 // Sent less Arrived

	// Oldest is when the oldest packet that the peer's TCP has not completely acknowledged came to
	// this relay; zero if there is none. If TCP's acknowledgements are not known, it is the oldest
	// packet whose acknowledgement in RTMP is overdue, or that waits to be written.
	Oldest time.Time
	// Missing is the number of the first packet that RTMP's acknowledgements do not cover, with
	// which a replay begins; 0 if there is none, or the peer does not acknowledge.
	Missing uint64
	// LastProgress is when Arrived was last seen to rise, or, if that was later, when something
	// was written after all had arrived.
	LastProgress time.Time
	Blocked      time.Duration // how long the Write in progress has waited; 0: there is none

	RTT, RTTVar      time.Duration // 0 while unknown
	Segments, Resent uint64        // of TCP, since the connection was made
	Known            bool          // the system knows TCP's acknowledgements
}

// delivery follows which part of a push has arrived, at the peer's TCP and at the peer. It
// learns of TCP from update.
type delivery struct {
	mu     sync.Mutex // guards all; nothing waits while it is held
	flight flight

	writing time.Time // since when Write is in progress; zero: it is not
	piece   time.Time // since when its present piece is written
	offered uint64    // bytes that RTMP counts, handed to the socket
	written uint64    // of them, those that the socket has taken

	known      bool
	tcp        tcpInfo
	idle       bool      // all had arrived at the last update, and nothing was written since
	arrivedMax uint64    // how much had arrived at the last update
	progressed time.Time // see Progress.LastProgress

	acked    uint64
	acks     int
	interval uint64    // the most bytes between two acknowledgements
	ackSeen  time.Time // the update that found the newest one
	seenAck  uint64    // what that acknowledged
	overdue  time.Time // since when an acknowledgement is overdue; zero: none is
}

const (
	// handshakeSize is counted in the acknowledgements of some peers, and not of others.
	handshakeSize = 1 + 2*1536
	// unacknowledgedMost is after how many bytes a peer that has acknowledged none is taken
	// never to acknowledge.
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

// add adds a packet that is about to be written. It ends after n bytes of the next piece.
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

// endPiece is told where the piece ends below TLS, if err is nil.
func (d *delivery) endPiece(tcpEnd uint64, err error) {
	d.mu.Lock()
	d.piece = time.Time{}
	if err == nil {
		d.written = d.offered
		d.flight.written(tcpEnd, d.written)
	}
	d.mu.Unlock()
}

// acknowledged takes over what the peer has acknowledged.
func (d *delivery) acknowledged(p *peer) {
	d.mu.Lock()
	if p.acked > d.acked {
		d.overdue = time.Time{}
	}
	d.acked, d.acks, d.interval = p.acked, p.acks, p.interval
	d.mu.Unlock()
}

// update takes the state of the socket at now, as far as ok says that it is known, and
// returns the progress.
func (d *delivery) update(now time.Time, sent uint64, tcp tcpInfo, ok bool) Progress {
	d.mu.Lock()
	defer d.mu.Unlock()
	if ok {
		d.tcp, d.known = tcp, true // of a closed socket nothing is known: the last state holds
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

// updateOverdue notes since when an acknowledgement in RTMP is overdue: one is when twice the
// longest interval between two of them has arrived.
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

// covered returns how many bytes RTMP's acknowledgements cover for certain.
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

// stalled reports whether nothing has moved for as long as patience at now, right after an
// update. An acknowledgement in RTMP must have been overdue for half of patience, and the last
// one as old as patience: a peer may have much to read at once.
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

// Progress returns the present state of the push. It makes one system call, which may be done
// several times a second. It also answers after the push has ended.
func (p *Push) Progress(now time.Time) Progress {
	// In this order, so that what has arrived was sent before.
	tcp, ok := p.socket.info()
	return p.delivery.update(now, p.socket.sent.Load(), tcp, ok)
}

// Stalled reports whether something is outstanding and nothing has arrived for as long as
// patience: packets to the peer are lost, or the peer hangs. If the system does not know TCP's
// acknowledgements, a write that blocks and overdue acknowledgements of RTMP count. It must be
// called several times within patience.
func (p *Push) Stalled(now time.Time, patience time.Duration) bool {
	p.Progress(now)
	return p.delivery.stalled(now, patience)
}
