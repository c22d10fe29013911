// Package egress has what all protocols that send a stream to viewers share: a viewer is a
// subscription, a loop, and one gathered write per wake-up. The bytes are serialised once for all
// viewers of a protocol.
package egress

import (
	"context"
	"net"
	"sync/atomic"
	"time"

	"github.com/holdfast-live/holdfast/packetbuf"
	"github.com/holdfast-live/holdfast/packetbuf/panics"
)

// Reader yields a stream.
type Reader interface {
	// Read returns the packets that follow, valid until the next Read; at times none, while
	// nothing comes. See stream.Reader.
	Read(ctx context.Context) ([]*packetbuf.Packet, error)
	// Skip goes on at the newest keyframe, if that is ahead.
	Skip()
	// Done is closed when the stream has ended.
	Done() <-chan struct{}
}

// Writer is one viewer's connection in the terms of its protocol.
type Writer interface {
	// Paused tells whether the viewer wants nothing for now.
	Paused() bool
	// Append adds the bytes of p, which all viewers share, or nothing.
	Append(bufs net.Buffers, p *packetbuf.Packet) net.Buffers
	// Write sends what was appended, in one system call where it can.
	Write(bufs *net.Buffers) error
	// Idle says something, so that nothing between here and the viewer forgets the connection.
	Idle() error
}

// IdleAfter is how long a viewer may go without a byte.
const IdleAfter = 15 * time.Second

// Meter counts what the viewers of one protocol get. Its fields may be nil.
type Meter struct {
	Bytes *atomic.Uint64
	// Started is told once per viewer, when the first media has been written.
	Started func()
	// Skipped logs that the viewer falls behind.
	Skipped SkipLog
}

// most is how many packets one write takes at the most; see stream.Reader.
const most = 64

// Run sends a stream to one viewer until ctx ends, the stream ends or the viewer fails. The
// error tells which; it is never nil.
//
// A panic becomes the viewer's error, a *panics.Error.
func Run(ctx context.Context, r Reader, w Writer, m Meter) (err error) {
	defer panics.Recover(&err)
	var store [most][]byte
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

// pausePoll is how often a paused viewer's mind is asked for.
const pausePoll = 100 * time.Millisecond

// pause waits until the viewer goes on or there is nothing to wait for any more: one that
// slept on would keep the buffer of a stream that has ended.
func pause(ctx context.Context, r Reader, w Writer) error {
	poll := time.NewTicker(pausePoll)
	defer poll.Stop()
	for w.Paused() {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-r.Done():
			return nil // Read tells how it ended
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
