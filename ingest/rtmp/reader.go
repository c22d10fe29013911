package rtmp

import (
	"fmt"
	"net"
	"sync/atomic"
	"time"

	"github.com/holdfast-live/holdfast/packetbuf/budget"
	wire "github.com/holdfast-live/holdfast/packetbuf/rtmp"
)

// Read buffers: a stranger's, a publisher's, which takes a frame at a time, and a
// player's, which says next to nothing.
const (
	strangerBuffer  = 2 << 10
	publisherBuffer = 16 << 10
	playerBuffer    = 256
)

// defaultWindow is after how many bytes a peer wants an acknowledgement that did not say.
const defaultWindow = 2_500_000

// reader takes messages from the socket. It belongs to the goroutine that reads.
type reader struct {
	nc    net.Conn
	buf   []byte
	in    []byte // what of buf has not been consumed
	demux *wire.Demuxer
	// reassembly counts what demux holds, for all connections; counted is this one's part.
	reassembly *budget.Account
	counted    int

	received uint32 // bytes so far; wraps
	acked    uint32 // what the peer was told of them
	window   uint32
	readAt   time.Time // when the last byte came
	// handling is when the bytes were read that are being handled, in nanoseconds of the Unix
	// epoch; 0 while the reader waits for more. Any goroutine may load it.
	handling atomic.Int64

	slow    *slow // how the publisher is slowed; nil: not at all
	most    int   // how much of buf to read at once; 0: all
	clamped bool  // the window that the peer sees is kept small
}

func newReader(nc net.Conn, reassembly *budget.Account) *reader {
	r := &reader{
		nc: nc, buf: make([]byte, strangerBuffer),
		demux: wire.NewDemuxer(strangerLimits()), reassembly: reassembly, window: defaultWindow,
	}
	if reassembly != nil {
		r.demux.SetReserve(r.reserve)
	}
	return r
}

// resize gives the reader another buffer as soon as nothing stands in the old one.
func (r *reader) resize(size int) {
	if cap(r.buf) == size {
		return
	}
	b := make([]byte, max(size, len(r.in)))
	n := copy(b, r.in)
	r.buf, r.in = b, b[:n]
}

// fill waits for bytes.
func (r *reader) fill() error {
	buf := r.buf
	if r.most > 0 {
		buf = buf[:min(r.most, len(buf))]
	}
	r.handling.Store(0)
	n, err := r.nc.Read(buf)
	r.in = r.buf[:n]
	r.received += uint32(n) //nolint:gosec // wraps by design
	r.readAt = time.Now()
	r.handling.Store(r.readAt.UnixNano())
	if r.slow != nil {
		r.slow.read(r.readAt, n)
	}
	if n > 0 {
		return nil // an error comes again at the next read
	}
	return err
}

// handlingMost is how long bytes that were read may take to handle: beyond it the reader
// waits for something else, such as a peer that takes no answer.
const handlingMost = 5 * time.Second

// unread reports whether received bytes wait in the socket, or are being handled.
func (r *reader) unread(now time.Time) bool {
	if at := r.handling.Load(); at != 0 && now.Sub(time.Unix(0, at)) < handlingMost {
		return true
	}
	return unreadBytes(tcpOf(r.nc)) > 0
}

// take consumes bytes that are not messages: the handshake.
func (r *reader) take(p []byte) int {
	n := copy(p, r.in)
	r.in = r.in[n:]
	return n
}

// message returns the next message that is whole, or nil when bytes are needed.
func (r *reader) message() (m *wire.Message, err error) {
	r.in, m, err = r.demux.Push(r.in)
	if held := r.demux.Buffered(); r.counted-held >= countedStep {
		r.count(held)
	}
	return m, err
}

// countedStep is how far what is held may be from what is counted: most frames of most publishers
// are smaller.
const countedStep = 64 << 10

// reserve counts what demux is about to hold. It returns an error where that is more than one connection
// may hold while the unfinished messages of all take more than their part of the memory.
func (r *reader) reserve(held int) error {
	if held-r.counted < countedStep {
		return nil
	}
	if !r.reassembly.Reserve(held-r.counted, held) {
		return fmt.Errorf("%w: %d on this connection, while those of all connections exceed their part of limits.memory", wire.ErrBuffered, held)
	}
	r.counted = held
	return nil
}

// count says how many bytes are held for messages that have not come whole.
func (r *reader) count(held int) {
	r.reassembly.Add(held - r.counted)
	r.counted = held
}

// due tells whether an acknowledgement should be sent. Half a window is soon enough for
// a peer that waits for one, and no window asks for more than one in a kilobyte.
func (r *reader) due() bool { return r.received-r.acked >= max(r.window/2, 1024) }
