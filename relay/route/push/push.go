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

// CheckInterval is the interval at which the caller has to call Check.
const CheckInterval = 250 * time.Millisecond

const (
	// stallTimeout is how long a push with data to send may make no progress. A line that lost a segment
	// and its first retransmissions recovers sooner.
	stallTimeout = 2500 * time.Millisecond
	// ackThreshold is the number of bytes after which a destination that has acknowledged none of them
	// is assumed never to acknowledge. It applies if the system does not report TCP acknowledgements.
	ackThreshold = 512 << 10
	// sampleWindow is the number of samples in one second. They show what the line carries and whether it
	// is the limit.
	sampleWindow = int(time.Second / CheckInterval)
	// minLag is the least lag that indicates queued data. A healthy line delivers a frame sooner.
	minLag = 150 * time.Millisecond
)

// Push sends a stream over one connection. Begin starts sending. End, Abort and Check may be called from
// any goroutine, but not concurrently.
type Push struct {
	conn     *link.Push
	sender   *sender
	shutdown context.Context //nolint:containedctx // done when the relay must exit at once
	cancel   context.CancelFunc
	work     sync.WaitGroup

	from uint64 // the argument of Begin

	samples     [sampleWindow + 1]sample // the newest sample is the last
	sampleCount int                      // samples taken so far
	reported    sample                   // the sample of the last qos.Sample
}

// sample is the result of one check.
type sample struct {
	time             time.Time
	sent, delivered  uint64
	segments, resent uint64
	lag              time.Duration
}

// New returns a push of a stream over a connection. Once the context late is done, End does not wait
// for the unpublish.
func New(late context.Context, conn *link.Push, streams Streams, stream string, log *slog.Logger) *Push {
	return &Push{shutdown: late, conn: conn, sender: newSender(conn, streams, stream, log)}
}

// Order sets which part of the stream is sent from now on.
func (p *Push) Order(o Order) { p.sender.order.Store(&o) }

// Started returns a channel that is closed once media has been written.
func (p *Push) Started() <-chan struct{} { return p.sender.started }

// Done returns a channel that is closed when the connection has ended.
func (p *Push) Done() <-chan struct{} { return p.conn.Done() }

// Begin sends the stream, starting at the packet with sequence number from. If from is 0, it starts
// at the newest keyframe. When the push ends, it calls ended once with the reason.
func (p *Push) Begin(from uint64, ended func(error)) {
	ctx, cancel := context.WithCancel(context.Background())
	p.cancel, p.from = cancel, from
	p.work.Go(func() {
		sent := make(chan error, 1)
		p.work.Go(func() { sent <- p.sender.run(ctx, from) })
		select {
		case err := <-sent:
			ended(err)
		case <-p.conn.Done(): // also while nothing is being sent
			ended(p.conn.Err())
			cancel()
			<-sent //nolint:errcheck // ended has the connection's own error
		}
	})
}

// unpublishTimeout bounds an unpublish. Over a line that is down it would never return.
const unpublishTimeout = 3 * time.Second

// End unpublishes, closes the connection and waits for the goroutines of the push.
func (p *Push) End() {
	if p.cancel != nil {
		p.cancel()
	}
	late, cancel := context.WithTimeout(p.shutdown, unpublishTimeout)
	defer cancel()
	stopTimer := context.AfterFunc(late, func() { _ = p.conn.Close() })
	_ = p.conn.Unpublish()
	stopTimer()
	p.work.Wait()
}

// Abort closes the connection without an unpublish and waits for the goroutines of the push.
func (p *Push) Abort() {
	if p.cancel != nil {
		p.cancel()
	}
	_ = p.conn.Close()
	p.work.Wait()
}

// Missing returns the sequence number of the first packet that the destination has not acknowledged or
// that was not sent. If the destination acknowledges nothing, it is the first that was not sent. Missing
// returns 0 if the number is unknown, as while a rendition is sent.
func (p *Push) Missing(now time.Time) uint64 {
	select {
	case <-p.sender.started:
	default:
		return p.from
	}
	written := p.sender.lastWritten.Load()
	if written == 0 {
		return 0
	}
	if first := p.conn.Progress(now).Missing; first != 0 {
		return max(first, p.sender.firstWritten.Load()) // configuration may be older than all media
	}
	return written + 1
}

// Check measures the connection and returns a policy.Reading of it.
func (p *Push) Check(now time.Time) policy.Reading {
	progress := p.conn.Progress(now)
	current := sample{
		time: now, sent: progress.Sent, delivered: progress.Arrived, segments: progress.Segments, resent: progress.Resent,
		lag: p.lag(now, progress),
	}
	// RTMP acknowledgements are rare. If TCP's are unknown and none of RTMP is due, count what the socket
	// has accepted as delivered.
	noAcks := !progress.Known && progress.Oldest.IsZero()
	copy(p.samples[:], p.samples[1:])
	p.samples[sampleWindow] = current
	p.sampleCount++
	before := p.samples[sampleWindow-1]
	r := policy.Reading{
		Line: policy.Line{Lag: current.lag, Rate: p.rate(), Limited: p.limited()}, RTT: progress.RTT,
		Advanced: p.sampleCount > 1 && (current.delivered > before.delivered || noAcks && current.sent > before.sent),
		Blind:    !p.hasStarted() || !progress.Known && progress.Acked == 0 && progress.Sent < ackThreshold,
	}
	if p.conn.Stalled(now, stallTimeout) {
		r.Failure = "stall"
	}
	if p.reported.time.IsZero() {
		p.reported = current
	} else if now.Sub(p.reported.time) >= time.Second {
		r.Sample = p.qosSample(now, progress, r.Line)
		p.reported = current
	}
	return r
}

// hasStarted reports whether media has been written. Before that the lag of the connection is unknown.
func (p *Push) hasStarted() bool {
	select {
	case <-p.sender.started:
		return true
	default:
		return false
	}
}

// lag returns how far the destination is behind the live edge, minus the round-trip time.
func (p *Push) lag(now time.Time, progress link.Progress) time.Duration {
	oldest := progress.Oldest
	if ns := p.sender.writingSince.Load(); ns != 0 {
		if at := time.Unix(0, ns); oldest.IsZero() || at.Before(oldest) {
			oldest = at
		}
	}
	if oldest.IsZero() {
		return 0
	}
	return max(now.Sub(oldest)-progress.RTT, 0)
}

// rate returns the rate of delivery over the last second, in bits per second.
func (p *Push) rate() float64 {
	first, last := p.samples[max(0, sampleWindow+1-p.sampleCount)], p.samples[sampleWindow]
	span := last.time.Sub(first.time).Seconds()
	if span <= 0 {
		return 0
	}
	return float64(last.delivered-first.delivered) * 8 / span
}

// limited reports whether the line was the bottleneck over the last second: data was queued at each
// sample, and data was delivered between consecutive samples. One interval without a delivery is
// allowed, since it may be chance. A line that delivers nothing is down rather than slow, and its
// last second does not show its capacity.
func (p *Push) limited() bool {
	if p.sampleCount <= sampleWindow {
		return false
	}
	idle := 0
	for i, s := range p.samples {
		if s.lag <= minLag {
			return false
		}
		if i > 0 && s.delivered == p.samples[i-1].delivered {
			idle++
		}
	}
	return idle <= 1
}

func (p *Push) qosSample(now time.Time, progress link.Progress, line policy.Line) *qos.Sample {
	s := &qos.Sample{
		At: now, Span: now.Sub(p.reported.time), RTT: progress.RTT, RTTVar: progress.RTTVar,
		Sent: progress.Sent - p.reported.sent, Delivered: progress.Arrived - p.reported.delivered,
		Segments: progress.Segments - p.reported.segments, Resent: progress.Resent - p.reported.resent,
		Unsent: int(progress.Unsent), Lag: line.Lag, Limited: line.Limited, //nolint:gosec // what a socket holds
	}
	s.Stalled = s.Delivered == 0 && !progress.Oldest.IsZero()
	return s
}
