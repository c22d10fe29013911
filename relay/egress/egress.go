// Package egress holds what all protocols that send a stream to viewers share. Each viewer has a
// subscription and a loop that sends all available packets with one write. Packets are serialized
// once for all viewers of a protocol.
package egress

import (
	"context"
	"net"
	"sync/atomic"
	"time"

	"github.com/holdfast-live/holdfast/packetbuf"
	"github.com/holdfast-live/holdfast/packetbuf/panics"
)

// Reader reads a stream.
type Reader interface {
	// Read returns the next packets, which are valid until the next call of Read. It may return no
	// packets and no error while none arrive. See stream.Reader.
	Read(ctx context.Context) ([]*packetbuf.Packet, error)
	// Skip moves to the newest keyframe, unless the reader is already past it.
	Skip()
	// Done is closed when the stream has ended.
	Done() <-chan struct{}
}

// Writer writes a stream to one viewer's connection in the viewer's protocol.
type Writer interface {
	// Paused reports whether the viewer has paused.
	Paused() bool
	// Append appends the serialized bytes of p, which all viewers share, to bufs. It appends
	// nothing for packets that the protocol does not carry.
	Append(bufs net.Buffers, p *packetbuf.Packet) net.Buffers
	// Write sends the appended bytes, in one system call if possible.
	Write(bufs *net.Buffers) error
	// Idle sends a keepalive, so that no proxy or NAT between the relay and the viewer drops the
	// connection.
	Idle() error
}

// IdleAfter is the time without anything sent to a viewer after which Writer.Idle is called.
const IdleAfter = 15 * time.Second

// Meter counts the bytes and skips of a viewer. Its fields may be nil or zero.
type Meter struct {
	Bytes   *atomic.Uint64
	Started func() // called once, after the first media has been written
	// Skipped logs the viewer's skips.
	Skipped SkipLog
}

// maxBatch is the maximum number of packets in one write; see stream.Reader.
const maxBatch = 64

// Run sends a stream to one viewer until ctx is done, the stream ends or the viewer's connection
// fails. It returns the reason, never nil. A panic is returned as a *panics.Error.
func Run(ctx context.Context, r Reader, w Writer, m Meter) (err error) {
	defer panics.Recover(&err)
	var store [maxBatch][]byte
	var bufs net.Buffers // one for all writes: it escapes through the interface
	last := time.Now()
	skips, counted := Skips(r)
	for {
		if w.Paused() {
			if err := pause(ctx, r, w); err != nil {
				return err
			}
			r.Skip()
		}
		packets, err := r.Read(ctx)
		if err != nil {
			return err
		}
		if counted && skips() != m.Skipped.seen {
			m.Skipped.Total(time.Now(), skips())
		}
		bufs = store[:0]
		media := false
		for _, p := range packets {
			bufs = w.Append(bufs, p)
			media = media || p.Media()
		}
		if len(bufs) == 0 {
			if time.Since(last) >= IdleAfter {
				last = time.Now()
				if err := w.Idle(); err != nil {
					return err
				}
			}
			continue
		}
		if m.Bytes != nil {
			m.Bytes.Add(size(bufs))
		}
		if err := w.Write(&bufs); err != nil {
			return err
		}
		last = packets[len(packets)-1].Arrived
		if media && m.Started != nil {
			m.Started()
			m.Started = nil
		}
	}
}

// pausePoll is how often a paused viewer is polled.
const pausePoll = 100 * time.Millisecond

// pause waits until the viewer resumes, ctx is done or the stream ends. It must not wait after the
// end of the stream: a viewer that stays paused would keep the buffer of the ended stream in
// memory.
func pause(ctx context.Context, r Reader, w Writer) error {
	poll := time.NewTicker(pausePoll)
	defer poll.Stop()
	for w.Paused() {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-r.Done():
			return nil // Read returns the reason
		case <-poll.C:
		}
	}
	return nil
}

func size(bufs net.Buffers) uint64 {
	n := uint64(0)
	for _, b := range bufs {
		n += uint64(len(b))
	}
	return n
}
