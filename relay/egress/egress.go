// Package egress is what all protocols that send a stream to viewers have in common: one
// viewer is a place on the stream, a loop, and one gathered write per wake-up. The bytes are
// serialised once for all viewers of a protocol.
package egress

import (
	"context"
	"net"
	"sync/atomic"
	"time"

	"github.com/holdfast-live/holdfast/packetbuf"
)

// Request is a viewer's wish to play.
type Request struct {
	App, Name string
	Token     string // a secret
	Protocol  string // as the metrics name it
	Remote    string
	Agent     string
}

// Streams gives viewers their place. A refusal is an *ingest.Refusal, wherever it comes from;
// see Status.
type Streams interface {
	Play(ctx context.Context, r Request) (Reader, error)
}

// Reader is a viewer's place on a stream.
type Reader interface {
	// Read returns the packets that follow, valid until the next Read; at times none, while
	// nothing comes. See stream.Reader.
	Read(ctx context.Context) ([]*packetbuf.Packet, error)
	// Has tells whether the stream had a track when the viewer joined.
	Has(packetbuf.Track) bool
	// Skip goes on at the newest keyframe, if that is ahead.
	Skip()
	Close()
}

// Writer is one viewer's connection in the terms of its protocol.
type Writer interface {
	// Ready waits while the viewer does not want anything. skip tells that it had paused.
	Ready(ctx context.Context) (skip bool, err error)
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
}

// most is how many packets one write takes at the most; see stream.Reader.
const most = 64

// Run sends a stream to one viewer until ctx ends, the stream ends or the viewer fails. The
// error tells which; it is never nil.
func Run(ctx context.Context, r Reader, w Writer, m Meter) error {
	var store [most][]byte
	var bufs net.Buffers // one for all writes: it escapes through the interface
	last := time.Now()
	for {
		skip, err := w.Ready(ctx)
		if err != nil {
			return err
		}
		if skip {
			r.Skip()
		}
		packets, err := r.Read(ctx)
		if err != nil {
			return err
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

func size(bufs net.Buffers) uint64 {
	n := uint64(0)
	for _, b := range bufs {
		n += uint64(len(b))
	}
	return n
}
