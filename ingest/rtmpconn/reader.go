package rtmpconn

import (
	"fmt"
	"net"
	"time"

	"github.com/holdfast-live/holdfast/packetbuf/budget"
	wire "github.com/holdfast-live/holdfast/packetbuf/rtmp"
)

// Sizes of the read buffer in bytes: before publish or play; for a publisher, so that each read
// returns about a frame; and for a player, which sends very little.
const (
	initialBuffer   = 2 << 10
	publisherBuffer = 16 << 10
	playerBuffer    = 256
)

// defaultWindow is the acknowledgement window, in bytes, of a peer that sets none.
const defaultWindow = 2_500_000

// reader reads messages from a connection. Except where noted, it is used only by the goroutine
// that reads.
type reader struct {
	nc    net.Conn
	buf   []byte
	in    []byte // part of buf that has been read but not consumed
	demux *wire.Demuxer
	// reassembly counts the bytes that the demuxers of all connections hold. accounted is the part
	// that was counted for this connection.
	reassembly *budget.Account
	accounted  int

	received uint32    // bytes; wraps
	acked    uint32    // value of received at the last acknowledgement
	window   uint32    // bytes after which the peer expects an acknowledgement
	readAt   time.Time // when the last bytes arrived
	handling Handling

	throttle Throttle // nil for none
	most     int      // maximum number of bytes to read at once; 0 means all that fit
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

// resize replaces the buffer by one of size bytes, or by a larger one if that is needed for
// unconsumed bytes.
func (r *reader) resize(size int) {
	if cap(r.buf) == size {
		return
	}
	b := make([]byte, max(size, len(r.in)))
	n := copy(b, r.in)
	r.buf, r.in = b, b[:n]
}

// fill waits for bytes. All earlier bytes must have been consumed.
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
		return nil // the next read returns the error again
	}
	return err
}

// unread reports whether received bytes wait in the socket or are being handled. It may be
// called from any goroutine.
func (r *reader) unread(now time.Time) bool {
	return r.handling.Active(now) || UnreadBytes(rawOf(r.nc)) > 0
}

// Buffered returns the number of bytes that have been read but not consumed. It implements Source,
// for the handshake.
func (r *reader) Buffered() int { return len(r.in) }

// Read consumes bytes, and waits if there are none. It implements Source.
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

// accountingStep is the maximum difference, in bytes, between what is counted and what is held. It
// is so large that most frames of most publishers do not change the shared account.
const accountingStep = 64 << 10

// reserve counts the bytes that the demuxer is about to hold. It returns an error if the incomplete
// messages of all connections exceed their share of the memory and this connection itself holds
// much.
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

// account sets how many bytes are counted for incomplete messages of this connection.
func (r *reader) account(held int) {
	r.reassembly.Add(held - r.accounted)
	r.accounted = held
}

// ackDue reports whether an acknowledgement is due. One is due after half of the window, so that a
// peer that stops at the window does not have to wait, but at most once per kilobyte.
func (r *reader) ackDue() bool { return r.received-r.acked >= max(r.window/2, 1024) }
