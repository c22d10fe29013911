package push

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/holdfast-live/holdfast/qos"
	"github.com/holdfast-live/holdfast/qos/policy"
	"github.com/holdfast-live/holdfast/relay/route/link"
)

// CheckInterval is how often Check is to be called.
const CheckInterval = 250 * time.Millisecond

const (
	// stallTimeout is how long a push with something to send may make no progress. A line that lost a
	// segment and its first retransmissions needs less.
	stallTimeout = 2500 * time.Millisecond
	// unacknowledged is after how many bytes a destination that has acknowledged none, on a system that
	// does not report TCP's acknowledgements either, is taken for one that never acknowledges.
	unacknowledged = 512 << 10
	// window is how many samples show whether the line is the limit, and what it carries: a second's.
	window = int(time.Second / CheckInterval)
	// minLag is the least lag that shows that something waits: a line in good health takes less to
	// carry a frame.
	minLag = 150 * time.Millisecond
)

// Push is a connection over which a stream is pushed. Begin begins to send; End, Abort and Check may be
// called from any goroutine that calls no other of them at the time.
type Push struct {
	push   *link.Push
	sender *sender
	late   context.Context //nolint:containedctx // done when there is no time for an unpublish
	stop   context.CancelFunc
	work   sync.WaitGroup

	from uint64 // see Begin

	samples [window + 1]sample // the newest last
	n       int                // samples so far
	last    sample             // of the last qos.Sample
}

// sample is what one check has found.
type sample struct {
	at               time.Time
	sent, arrived    uint64
	segments, resent uint64
	lag              time.Duration
}

// New returns a push of a stream over a connection. When late is done, End waits for nothing.
func New(late context.Context, conn *link.Push, streams Streams, stream string, log *slog.Logger) *Push {
	return &Push{late: late, push: conn, sender: newSender(conn, streams, stream, log)}
}

// Order sets what of the stream is sent from now on.
func (p *Push) Order(o Order) { p.sender.order.Store(&o) }

// Started returns a channel that is closed when media has been written.
func (p *Push) Started() <-chan struct{} { return p.sender.started }

// Done returns a channel that is closed when the connection has ended.
func (p *Push) Done() <-chan struct{} { return p.push.Done() }

// Begin sends the stream from the packet with the sequence number from on; 0: from the newest keyframe.
// ended is called once, with the reason why the push has ended.
func (p *Push) Begin(from uint64, ended func(error)) {
	ctx, cancel := context.WithCancel(context.Background())
	p.stop, p.from = cancel, from
	p.work.Go(func() {
		sent := make(chan error, 1)
		p.work.Go(func() { sent <- p.sender.run(ctx, from) })
		select {
		case err := <-sent:
			ended(err)
		case <-p.push.Done(): // while nothing is sent, too
			ended(p.push.Err())
			cancel()
			<-sent //nolint:errcheck // ended has the connection's own error
		}
	})
}

// unpublishTimeout bounds an unpublish: over a line that is down it never ends.
const unpublishTimeout = 3 * time.Second

// End unpublishes and waits for what the push has started.
func (p *Push) End() {
	if p.stop != nil {
		p.stop()
	}
	late, cancel := context.WithTimeout(p.late, unpublishTimeout)
	defer cancel()
	over := context.AfterFunc(late, func() { _ = p.push.Close() })
	_ = p.push.Unpublish()
	over()
	p.work.Wait()
}

// Abort closes the connection without an unpublish and waits for what the push has started.
func (p *Push) Abort() {
	if p.stop != nil {
		p.stop()
	}
	_ = p.push.Close()
	p.work.Wait()
}

// Missing returns the sequence number of the first packet that the destination has not acknowledged or that
// was not sent; with a destination that acknowledges nothing, the first that was not sent. 0: unknown, as
// while a rendition is sent.
func (p *Push) Missing(now time.Time) uint64 {
	select {
	case <-p.sender.started:
	default:
		return p.from
	}
	written := p.sender.written.Load()
	if written == 0 {
		return 0
	}
	if first := p.push.Progress(now).Missing; first != 0 {
		return max(first, p.sender.first.Load()) // configuration may be older than all media
	}
	return written + 1
}

// Check checks the connection.
func (p *Push) Check(now time.Time) policy.Reading {
	progress := p.push.Progress(now)
	current := sample{
		at: now, sent: progress.Sent, arrived: progress.Arrived, segments: progress.Segments, resent: progress.Resent,
		lag: p.lag(now, progress),
	}
	// Acknowledgements of RTMP are rare: where those of TCP are not known and none is due, what the
	// socket has taken counts as delivered.
	unheard := !progress.Known && progress.Oldest.IsZero()
	copy(p.samples[:], p.samples[1:])
	p.samples[window] = current
	p.n++
	before := p.samples[window-1]
	r := policy.Reading{
		Line: policy.Line{Lag: current.lag, Rate: p.rate(), Limited: p.limited()}, RTT: progress.RTT,
		Advanced: p.n > 1 && (current.arrived > before.arrived || unheard && current.sent > before.sent),
		Blind:    !p.hasStarted() || !progress.Known && progress.Acked == 0 && progress.Sent < unacknowledged,
	}
	if p.push.Stalled(now, stallTimeout) {
		r.Failure = "stall"
	}
	if p.last.at.IsZero() {
		p.last = current
	} else if now.Sub(p.last.at) >= time.Second {
		r.Sample = p.qosSample(now, progress, r.Line)
		p.last = current
	}
	return r
}

// hasStarted reports whether media has been written. Before that the connection's lag is not known.
func (p *Push) hasStarted() bool {
	select {
	case <-p.sender.started:
		return true
	default:
		return false
	}
}

// lag returns how far the destination is behind the live edge, less the round trip.
func (p *Push) lag(now time.Time, progress link.Progress) time.Duration {
	oldest := progress.Oldest
	if ns := p.sender.writing.Load(); ns != 0 {
		if at := time.Unix(0, ns); oldest.IsZero() || at.Before(oldest) {
			oldest = at
		}
	}
	if oldest.IsZero() {
		return 0
	}
	return max(now.Sub(oldest)-progress.RTT, 0)
}

// rate returns what arrived over the last second, in bits per second.
func (p *Push) rate() float64 {
	first, last := p.samples[max(0, window+1-p.n)], p.samples[window]
	span := last.at.Sub(first.at).Seconds()
	if span <= 0 {
		return 0
	}
	return float64(last.arrived-first.arrived) * 8 / span
}

// limited reports whether the line was the limit over the last second: in each sample something was
// waiting, and something had arrived since the one before. One sample without an arrival is allowed: it is
// chance. A line that carries nothing at all is down rather than slow, and its last second does not show
// its capacity.
func (p *Push) limited() bool {
	if p.n <= window {
		return false
	}
	still := 0
	for i, g := range p.samples {
		if g.lag <= minLag {
			return false
		}
		if i > 0 && g.arrived == p.samples[i-1].arrived {
			still++
		}
	}
	return still <= 1
}

func (p *Push) qosSample(now time.Time, progress link.Progress, line policy.Line) *qos.Sample {
	s := &qos.Sample{
		At: now, Span: now.Sub(p.last.at), RTT: progress.RTT, RTTVar: progress.RTTVar,
		Sent: progress.Sent - p.last.sent, Delivered: progress.Arrived - p.last.arrived,
		Segments: progress.Segments - p.last.segments, Resent: progress.Resent - p.last.resent,
		Unsent: int(progress.Unsent), Lag: line.Lag, Limited: line.Limited, //nolint:gosec // what a socket holds
	}
	s.Stalled = s.Delivered == 0 && !progress.Oldest.IsZero()
	return s
}
