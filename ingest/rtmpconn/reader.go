package rtmpconn

import (
	"fmt"
	"net"
	"time"

	"github.com/holdfast-live/holdfast/packetbuf/budget"
	wire "github.com/holdfast-live/holdfast/packetbuf/rtmp"
)

// Sizes of the read buffer in bytes: before publish or play, of a publisher, whose reads
// bring a frame each, and of a player, which sends next to nothing.
const (
	initialBuffer   = 2 << 10
	publisherBuffer = 16 << 10
	playerBuffer    = 256
)

// defaultWindow is after how many bytes a peer is sent an acknowledgement that sets no
// window.
const defaultWindow = 2_500_000

// reader reads messages from a connection. Except where noted it belongs to the goroutine
// that reads.
type reader struct {
	nc    net.Conn
	buf   []byte
	in    []byte // the part of buf that has been read and not consumed
	demux *wire.Demuxer
	// reassembly accounts for what the demuxers of all connections hold; accounted is the part
	// of this one.
	reassembly *budget.Account
	accounted  int

	received uint32    // bytes; wraps
	acked    uint32    // received at the last acknowledgement
	window   uint32    // bytes after which the peer expects one
	readAt   time.Time // when the last bytes came
	handling Handling

	throttle Throttle // nil: none
	most     int      // how many bytes to read at once; 0: all that fit
	clamped  bool     // the TCP window is kept small
}

func newReader(nc net.Conn, reassembly *budget.Account) *reader {
	r := &reader{
		nc: nc, buf: make([]byte, initialBuffer),
		demux: wire.NewDemuxer(initialLimits()), reassembly: reassembly, window: defaultWindow,
	}
	if reassembly != nil {
		r.demux.SetReserve(r.reserve)
	}
	return r
}

// resize replaces the buffer by one of size bytes, or of as many as are not consumed.
func (r *reader) resize(size int) {
	if cap(r.buf) == size {
		return
	}
	b := make([]byte, max(size, len(r.in)))
	n := copy(b, r.in)
	r.buf, r.in = b, b[:n]
}

// fill waits for bytes. All that were there before must have been consumed.
func (r *reader) fill() error {
	buf := r.buf
	if r.most > 0 {
		buf = buf[:min(r.most, len(buf))]
	}
	r.handling.Wait()
	n, err := r.nc.Read(buf)
	r.in = r.buf[:n]
	r.received += uint32(n) //nolint:gosec // wraps by design
	r.readAt = time.Now()
	r.handling.Begin(r.readAt)
	if r.throttle != nil {
		r.throttle.Read(r.readAt, n)
	}
	if n > 0 {
		return nil // an error comes again at the next read
	}
	return err
}

// unread reports whether received bytes wait in the socket or are being handled. It may be
// called from any goroutine.
func (r *reader) unread(now time.Time) bool {
	return r.handling.Active(now) || UnreadBytes(rawOf(r.nc)) > 0
}

// Buffered returns the number of bytes that have been read and not consumed. It implements
// Source, for the handshake.
func (r *reader) Buffered() int { return len(r.in) }

// Read consumes bytes and waits for some if there are none. It implements Source.
func (r *reader) Read(p []byte) (int, error) {
	if len(r.in) == 0 {
		if err := r.fill(); err != nil {
			return 0, err
		}
	}
	n := copy(p, r.in)
	r.in = r.in[n:]
	return n, nil
}

// message returns the next complete message, or nil if more bytes are needed.
func (r *reader) message() (m *wire.Message, err error) {
	r.in, m, err = r.demux.Push(r.in)
	if held := r.demux.Buffered(); r.accounted-held >= accountingStep {
		r.account(held)
	}
	return m, err
}

// accountingStep is how many bytes the account may differ from what is held, so that most
// frames of most publishers do not touch it.
const accountingStep = 64 << 10

// reserve accounts for what the demuxer is about to hold. It returns an error if a large
// connection asks for more while incomplete messages take more than their part of the memory.
func (r *reader) reserve(held int) error {
	if held-r.accounted < accountingStep {
		return nil
	}
	if !r.reassembly.Reserve(held-r.accounted, held) {
		return fmt.Errorf("%w: %d on this connection, while those of all connections exceed their part of limits.memory", wire.ErrBuffered, held)
	}
	r.accounted = held
	return nil
}

// account sets how many bytes are held for incomplete messages.
func (r *reader) account(held int) {
	r.reassembly.Add(held - r.accounted)
	r.accounted = held
}

// ackDue reports whether an acknowledgement is due: after half a window, so that a peer that
// stops at the window does not wait, but not more often than every kilobyte.
func (r *reader) ackDue() bool { return r.received-r.acked >= max(r.window/2, 1024) }
