package link

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/holdfast-live/holdfast/packetbuf"
	"github.com/holdfast-live/holdfast/qos"
)

// Feed is a stream being played from a far side. Read is one goroutine's; the other methods
// may be called from any. Nothing of a feed runs but within Read.
type Feed struct {
	dial    *dialing
	source  source
	taken   *taken
	err     error // what Read returns once the queue is empty
	closing atomic.Bool
}

// source is what a feed reads from.
type source interface {
	// fill takes what comes next, and adds the packets that it makes to the feed's. Writes
	// that it has to do have that much time; 0 is no bound of its own.
	fill(write time.Duration) error
}

// feedBuffer is what is read at once of media, in bytes.
const feedBuffer = 16 << 10

// Pull connects, plays, and waits for the first media. Its error is a *PhaseError, which
// holds a *Rejection where the far side said no, or wraps ErrURL. The feed outlives ctx.
func Pull(ctx context.Context, o Options) (*Feed, error) {
	d, err := newDialing(ctx, o, opPull)
	if err != nil {
		return nil, err
	}
	f := &Feed{dial: d}
	if d.target.http() {
		err = f.reachHTTP()
	} else {
		err = d.reach(d.target, func() error {
			if err := d.converse(player, feedBuffer); err != nil {
				return err
			}
			f.taken, f.source = &d.taken, (*rtmpSource)(d)
			return f.first()
		})
	}
	if err != nil {
		return nil, err
	}
	d.opts.Log.Debug("pull begins", "target", d.target.String())
	return f, nil
}

// first waits for the first media.
func (f *Feed) first() error {
	if f.dial.opts.Answered != nil {
		f.dial.opts.Answered()
	}
	return f.dial.run(qos.PhaseMedia, f.dial.opts.Timeouts.Media, func(context.Context) error {
		for !f.taken.media {
			if err := f.taken.bounded(); err != nil {
				return err
			}
			err := f.source.fill(0)
			if closed(err) && !f.dial.target.http() {
				return &Rejection{Early: true, Err: err}
			}
			if err != nil {
				return err
			}
		}
		return nil
	})
}

// Read waits for the next packet, whose timestamps are the origin's, and returns the feed's
// end after the last: ErrClosed if this side ended it, else a *PhaseError; see EndingOf. What
// it holds for a reader that does not come is bounded: the origin then waits.
func (f *Feed) Read() (*packetbuf.Packet, error) {
	for {
		if p := f.taken.next(); p != nil {
			return p, nil
		}
		if f.err != nil {
			return nil, f.err
		}
		err := f.source.fill(f.dial.opts.Timeouts.Write)
		f.dial.opts.Repairs(f.taken.intake.Repairs.Drain())
		if err != nil {
			f.taken.passHeld(time.Time{})
			f.err = f.reason(err)
			_ = f.dial.socket.Close()
			f.dial.opts.Log.Debug("pull ends", "target", f.dial.target.String(), "reason", f.err)
		}
	}
}

func (f *Feed) reason(err error) error {
	if f.closing.Load() {
		return ErrClosed
	}
	return f.dial.failure(qos.PhaseRunning, err)
}

// Close ends the feed. It does not wait; a Read that waits returns.
func (f *Feed) Close() error {
	f.closing.Store(true)
	return ignoreClosed(f.dial.socket.Close())
}

// Timing is how long the phases of the dial took.
func (f *Feed) Timing() Timing { return f.dial.timing.clone() }

// FeedProgress is what is known of a feed at one moment.
type FeedProgress struct {
	Received    uint64        // bytes on the TCP level, since the connection was made
	RTT, RTTVar time.Duration // of TCP; 0 while unknown
}

// Unread reports whether bytes of the origin wait in the socket, or are being handled.
func (f *Feed) Unread() bool { return f.dial.socket.unread() }

// Progress says how far the feed has come.
func (f *Feed) Progress() FeedProgress {
	info, _ := f.dial.socket.info()
	return FeedProgress{Received: f.dial.socket.received.Load(), RTT: info.rtt, RTTVar: info.rttvar}
}
