package route

import (
	"context"
	"sync"
	"time"

	"github.com/holdfast-live/holdfast/qos"
	"github.com/holdfast-live/holdfast/qos/policy"
	"github.com/holdfast-live/holdfast/relay/route/link"
)

const (
	// lookEvery is how often a running route is looked at.
	lookEvery = 250 * time.Millisecond
	// patience is how long a push that has something to send may make no way at all. A line
	// that lost a segment and its first retransmissions needs less.
	patience = 2500 * time.Millisecond
	// speechless is after how many bytes a far side that has acknowledged none, where the
	// system does not tell of TCP either, is taken for one that never will.
	speechless = 512 << 10
	// looks is how many looks tell whether the line is what limits, and what it carries: a
	// second's.
	looks = int(time.Second / lookEvery)
)

// pushing is a push that is up: a link.Push and the sender that feeds it.
type pushing struct {
	push   *link.Push
	sender *sender
	late   context.Context //nolint:containedctx // ends when there is no time for a goodbye
	stop   context.CancelFunc
	work   sync.WaitGroup

	from uint64 // where it began, see begin

	seen [looks + 1]glance // the newest last
	n    int               // glances so far
	told glance            // at the last sample
}

// glance is what a look has seen.
type glance struct {
	at               time.Time
	sent, arrived    uint64
	segments, resent uint64
	lag              time.Duration
}

func newPushing(late context.Context, push *link.Push, s *sender) *pushing {
	return &pushing{late: late, push: push, sender: s}
}

// begin has the stream sent, from the packet of sequence from on; 0: from the newest
// keyframe. ended is told how it came to its end.
func (p *pushing) begin(from uint64, ended func(error)) {
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
			<-sent //nolint:errcheck // the push's own end was told
		}
	})
}

// partingTime is how long a push may take to say goodbye: one that stands still never does.
const partingTime = 3 * time.Second

// end ends the push in the protocol's words and waits until nothing of it is left.
func (p *pushing) end() {
	if p.stop != nil {
		p.stop()
	}
	late, cancel := context.WithTimeout(p.late, partingTime)
	defer cancel()
	over := context.AfterFunc(late, func() { _ = p.push.Close() })
	_ = p.push.Unpublish()
	over()
	p.work.Wait()
}

// kill ends a push that does not answer.
func (p *pushing) kill() {
	if p.stop != nil {
		p.stop()
	}
	_ = p.push.Close()
	p.work.Wait()
}

// missing is the first packet that the far side has not acknowledged, or that was not sent; of
// a far side that acknowledges nothing, the first that was not sent. 0: unknown, as while a
// rendition is sent.
func (p *pushing) missing(now time.Time) uint64 {
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

// look looks at the push, a few times a second.
func (p *pushing) look(now time.Time) view {
	progress := p.push.Progress(now)
	g := glance{
		at: now, sent: progress.Sent, arrived: progress.Arrived, segments: progress.Segments, resent: progress.Resent,
		lag: p.lag(now, progress),
	}
	// Acknowledgements of RTMP are few: where TCP's are not known and none is due, what the
	// socket has taken goes its way.
	unheard := !progress.Known && progress.Oldest.IsZero()
	copy(p.seen[:], p.seen[1:])
	p.seen[looks] = g
	p.n++
	v := view{
		line: policy.Line{Lag: g.lag, Rate: p.rate(), Limited: p.limited()}, rtt: progress.RTT,
		moved: p.n > 1 && (g.arrived > p.seen[looks-1].arrived || unheard && g.sent > p.seen[looks-1].sent),
		blind: !p.begun() || !progress.Known && progress.Acked == 0 && progress.Sent < speechless,
	}
	if p.push.Stalled(now, patience) {
		v.trouble = "stall"
	}
	if p.told.at.IsZero() {
		p.told = g
	} else if now.Sub(p.told.at) >= time.Second {
		v.sample = p.sample(now, progress, v.line)
		p.told = g
	}
	return v
}

// begun tells whether media has been written: how far behind the connection begins, nobody knows
// before.
func (p *pushing) begun() bool {
	select {
	case <-p.sender.started:
		return true
	default:
		return false
	}
}

// lag is how far the far side is behind the live edge, without what the way there takes.
func (p *pushing) lag(now time.Time, progress link.Progress) time.Duration {
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

// rate is what arrived over the last second, in bits per second.
func (p *pushing) rate() float64 {
	first, last := p.seen[max(0, looks+1-p.n)], p.seen[looks]
	span := last.at.Sub(first.at).Seconds()
	if span <= 0 {
		return 0
	}
	return float64(last.arrived-first.arrived) * 8 / span
}

// limited tells whether the line has decided over the last second what arrived: at each look
// something had waited, and something had arrived since the one before. A line that carries
// nothing is not slow but dead, and what it carried in its last second says nothing of it; one
// look without an arrival is chance.
func (p *pushing) limited() bool {
	if p.n <= looks {
		return false
	}
	still := 0
	for i, g := range p.seen {
		if g.lag <= busy {
			return false
		}
		if i > 0 && g.arrived == p.seen[i-1].arrived {
			still++
		}
	}
	return still <= 1
}

func (p *pushing) sample(now time.Time, progress link.Progress, line policy.Line) *qos.Sample {
	s := &qos.Sample{
		At: now, Span: now.Sub(p.told.at), RTT: progress.RTT, RTTVar: progress.RTTVar,
		Sent: progress.Sent - p.told.sent, Delivered: progress.Arrived - p.told.arrived,
		Segments: progress.Segments - p.told.segments, Resent: progress.Resent - p.told.resent,
		Unsent: int(progress.Unsent), Lag: line.Lag, Limited: line.Limited, //nolint:gosec // what a socket holds
	}
	s.Stalled = s.Delivered == 0 && !progress.Oldest.IsZero()
	return s
}

// view is what a look at a running connection shows.
type view struct {
	line    policy.Line
	rtt     time.Duration
	moved   bool        // something has arrived since the last look
	blind   bool        // nothing tells yet what has arrived: the line shows nothing
	sample  *qos.Sample // once a second
	trouble string      // not empty: it is of no use any more, and why
}
