package link

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/holdfast-live/holdfast/packetbuf"
	"github.com/holdfast-live/holdfast/qos"
)

// Feed is a stream that is played from an origin. One goroutine calls Read; the other methods may be
// called from any. A feed has no goroutine of its own.
type Feed struct {
	dial    *dialing
	source  source
	packets *packetQueue
	err     error // what Read returns once the queue is empty
	closing atomic.Bool
}

// source is the connection that a feed reads from.
type source interface {
	// fill waits for the next bytes and adds their packets to the feed's queue. write is the timeout of
	// writes that fill has to do; 0 means no separate timeout.
	fill(write time.Duration) error
}

// feedBuffer is the size of the read buffer for media, in bytes.
const feedBuffer = 16 << 10

// Pull connects, plays, and waits for the first media. The error is a *PhaseError, which wraps a
// *Rejection if the origin has rejected the request, or wraps ErrURL. The feed outlives ctx.
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
			if err := d.connect(player, feedBuffer); err != nil {
				return err
			}
			f.packets, f.source = &d.packets, (*rtmpSource)(d)
			return f.waitForMedia()
		})
	}
	if err != nil {
		return nil, err
	}
	d.opts.Log.Debug("pull begins", "target", d.target.String())
	return f, nil
}

// waitForMedia waits for the first media.
func (f *Feed) waitForMedia() error {
	if f.dial.opts.Answered != nil {
		f.dial.opts.Answered()
	}
	return f.dial.run(qos.PhaseMedia, f.dial.opts.Timeouts.Media, func(context.Context) error {
		for !f.packets.media {
			if err := f.packets.checkBound(); err != nil {
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

// Read waits for the next packet, which has the origin's timestamps. After the last packet it
// returns why the feed ended: ErrClosed if this side ended it, otherwise a *PhaseError; see
// EndingOf. Little is buffered between calls, so the origin has to wait for a slow reader.
func (f *Feed) Read() (*packetbuf.Packet, error) {
	for {
		if p := f.packets.pop(); p != nil {
			return p, nil
		}
		if f.err != nil {
			return nil, f.err
		}
		err := f.source.fill(f.dial.opts.Timeouts.Write)
		f.dial.opts.Repairs(f.packets.intake.Repairs.Drain())
		if err != nil {
			f.packets.flush(time.Time{})
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

// Close ends the feed and any Read in progress. It does not wait.
func (f *Feed) Close() error {
	f.closing.Store(true)
	return ignoreClosed(f.dial.socket.Close())
}

// Timing returns how long the phases of the dial took.
func (f *Feed) Timing() Timing { return f.dial.timing.clone() }

// FeedProgress is the state of a feed at one time.
type FeedProgress struct {
	Received    uint64        // bytes received over TCP since the connection was established
	RTT, RTTVar time.Duration // of TCP; 0 while unknown
}

// Unread reports whether bytes from the origin wait in the socket or are being handled.
func (f *Feed) Unread() bool { return f.dial.socket.unread() }

// Progress returns the current state of the feed.
func (f *Feed) Progress() FeedProgress {
	info, _ := f.dial.socket.info()
	return FeedProgress{Received: f.dial.socket.received.Load(), RTT: info.rtt, RTTVar: info.rttvar}
}
