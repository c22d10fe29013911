package link

import (
	"sync"
	"time"
)

// Progress is what is known of a push at one moment.
type Progress struct {
	Sent    uint64 // bytes on the TCP level, also under TLS, those of a write in progress included
	Arrived uint64 // of them, what the far side's TCP has acknowledged; where unknown, as Acked
	Acked   uint64 // bytes that the far side has acknowledged in RTMP; 0 from one that never does
	Unsent  uint64 // Sent less Arrived

	// Oldest is when the oldest packet came here that the far side's TCP has not acknowledged
	// whole; zero if there is none. Where TCP's acknowledgements are not known, it is the
	// oldest for which one of RTMP is overdue, or that waits to be written.
	Oldest time.Time
	// Missing is the number of the first packet that RTMP's acknowledgements do not cover: a
	// replay begins there. 0 if there is none, or if the far side does not acknowledge.
	Missing uint64
	// LastProgress is when Arrived was last seen to rise, or, if that was later, when
	// something was written after all had arrived.
	LastProgress time.Time
	Blocked      time.Duration // how long the Write in progress has waited; 0: there is none

	RTT, RTTVar      time.Duration // 0 while unknown
	Segments, Resent uint64        // of TCP, since the connection was made
	Known            bool          // the system tells what TCP does
}

// track follows what of a push has arrived, at the far side's TCP and at the far side. It
// learns of TCP when it is asked.
type track struct {
	mu     sync.Mutex // guards all; nothing waits while it is held
	flight flight

	writing time.Time // since when Write writes; zero: it does not
	piece   time.Time // since when it writes the present piece
	said    uint64    // bytes that RTMP counts, offered to the socket
	done    uint64    // of them, those that the socket has taken

	known bool
	tcp   tcpInfo
	idle  bool      // all had arrived at the last look, and nothing was written since
	seen  uint64    // how much had arrived at the last look
	risen time.Time // see Progress.LastProgress

	acked    uint64
	acks     int
	interval uint64    // the most bytes between two acknowledgements
	heard    time.Time // the look that found the newest one
	found    uint64    // what that acknowledged
	overdue  time.Time // since when one should have come; zero: it need not
}

const (
	// handshakeSize is what some far sides count in their acknowledgements, and others do not.
	handshakeSize = 1 + 2*1536
	// silentAfter is after how many bytes a far side that has acknowledged none is taken for
	// one that never will.
	silentAfter = 4 * ackWindow
)

func newTrack(now time.Time, said uint64) *track {
	return &track{risen: now, said: said, done: said, idle: true}
}

// begins and ends stand around each Write.
func (t *track) begins(now time.Time) {
	t.mu.Lock()
	t.writing = now
	t.mu.Unlock()
}

func (t *track) ends() {
	t.mu.Lock()
	t.writing = time.Time{}
	t.mu.Unlock()
}

// note puts a packet on the list that is about to be written. It ends after bytes bytes of
// what is written next.
func (t *track) note(m mark, bytes int) {
	t.mu.Lock()
	m.said = t.said + uint64(bytes) //nolint:gosec // not negative
	t.flight.add(m)
	t.mu.Unlock()
}

// offers and offered stand around each piece that is written.
func (t *track) offers(now time.Time, bytes int) {
	t.mu.Lock()
	t.piece = now
	t.said += uint64(bytes) //nolint:gosec // not negative
	if t.idle {
		t.idle, t.risen = false, now
	}
	t.mu.Unlock()
}

// offered is told where below TLS the piece has ended, if the socket has taken it.
func (t *track) offered(wire uint64, err error) {
	t.mu.Lock()
	t.piece = time.Time{}
	if err == nil {
		t.done = t.said
		t.flight.written(wire, t.done)
	}
	t.mu.Unlock()
}

// acknowledged takes over what the far side has said.
func (t *track) acknowledged(f *far) {
	t.mu.Lock()
	if f.acked > t.acked {
		t.overdue = time.Time{}
	}
	t.acked, t.acks, t.interval = f.acked, f.acks, f.interval
	t.mu.Unlock()
}

// look takes the state of things at now.
func (t *track) look(now time.Time, sent uint64, tcp tcpInfo, ok bool) Progress {
	t.mu.Lock()
	defer t.mu.Unlock()
	if ok {
		t.tcp, t.known = tcp, true // a closed socket does not tell: what it said last holds
	}
	arrived := t.arrived(sent)
	if arrived > t.seen {
		t.seen, t.risen = arrived, now
	}
	if t.heard.IsZero() || t.acked > t.found {
		t.found, t.heard = t.acked, now
	}
	t.idle = arrived >= sent && t.piece.IsZero()
	t.due(now, sent)
	t.flight.forget(arrived, t.covered())
	p := Progress{
		Sent: sent, Arrived: arrived, Acked: t.acked, Unsent: sent - arrived,
		Oldest: t.oldest(arrived), Missing: t.missing(), LastProgress: t.risen,
		RTT: t.tcp.rtt, RTTVar: t.tcp.rttvar, Segments: t.tcp.segments, Resent: t.tcp.resent, Known: t.known,
	}
	if !t.writing.IsZero() {
		p.Blocked = max(now.Sub(t.writing), 0)
	}
	return p
}

// arrived is how many of the bytes sent are known to be there.
func (t *track) arrived(sent uint64) uint64 {
	if t.known {
		return min(t.tcp.acked, sent)
	}
	return min(t.acked, sent)
}

// due notes when the far side begins to owe an acknowledgement. One that has arrived twice
// as many bytes ago as it ever waited does.
func (t *track) due(now time.Time, sent uint64) {
	there := sent
	if t.known {
		there = t.arrived(sent)
	}
	switch {
	case t.acks < 2 || there <= t.acked+2*t.interval:
		t.overdue = time.Time{}
	case t.overdue.IsZero():
		t.overdue = now
	}
}

// covered is up to where RTMP's acknowledgements reach for certain.
func (t *track) covered() uint64 { return t.acked - min(t.acked, handshakeSize) }

func (t *track) oldest(arrived uint64) time.Time {
	if t.known {
		m, _ := t.flight.beyondWire(arrived)
		return m.arrived
	}
	m, ok := t.flight.beyondSaid(t.covered())
	owed := t.acks > 0 && t.said-min(t.said, m.said) >= 2*t.interval
	if ok && owed {
		return m.arrived
	}
	m, _ = t.flight.beyondSaid(t.done)
	return m.arrived
}

func (t *track) missing() uint64 {
	if t.acks == 0 && t.said > silentAfter {
		return 0
	}
	m, _ := t.flight.beyondSaid(t.covered())
	return m.seq
}

// stalled tells whether nothing moves at now, and has not for as long as patience. It is
// right after a look. Silence counts from the last acknowledgement on: how long one must have
// been owed besides, half of patience, is for a far side that has much to read at once.
func (t *track) stalled(now time.Time, patience time.Duration) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.overdue.IsZero() && now.Sub(t.overdue) >= patience/2 && now.Sub(t.heard) >= patience {
		return true
	}
	since := time.Time{}
	switch {
	case t.known && !t.idle:
		since = t.risen
	case !t.known:
		since = t.piece
	}
	return !since.IsZero() && now.Sub(since) >= patience
}

// Progress says how far the push has come. It asks the system once, which is cheap enough to
// do several times a second; it also answers after the push has ended.
func (p *Push) Progress(now time.Time) Progress {
	// In this order: what arrives in between was sent before.
	tcp, ok := p.socket.info()
	return p.track.look(now, p.socket.sent.Load(), tcp, ok)
}

// Stalled tells whether something is outstanding and nothing has arrived for as long as
// patience: the far side is behind a black hole, or hangs. Where the system does not tell of
// TCP, a write that stands still and overdue acknowledgements do. It has to be asked several
// times within patience.
func (p *Push) Stalled(now time.Time, patience time.Duration) bool {
	p.Progress(now)
	return p.track.stalled(now, patience)
}
