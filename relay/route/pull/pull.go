// Package pull publishes what one connection to another server brings.
package pull

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/holdfast-live/holdfast/ingest"
	"github.com/holdfast-live/holdfast/ingest/watchdog"
	"github.com/holdfast-live/holdfast/packetbuf"
	"github.com/holdfast-live/holdfast/packetbuf/panics"
	"github.com/holdfast-live/holdfast/qos"
	"github.com/holdfast-live/holdfast/qos/policy"
	"github.com/holdfast-live/holdfast/relay/route/link"
)

const (
	// keyTimeout is how long a pull may take to its first keyframe.
	keyTimeout = 10 * time.Second
	// audioAlone is how long there is only audio before a pull counts as one without video, and
	// audioPackets after how many packets at the latest.
	audioAlone   = 1500 * time.Millisecond
	audioPackets = 256
)

// Options are what a pull publishes with.
type Options struct {
	Access  ingest.Access
	Request ingest.Request    // without its session
	Silence time.Duration     // without media for this long the pull counts as broken; 0: by the origin's rhythm
	Repairs *ingest.RepairLog // of the origin's media; nil: they are not counted
	Log     *slog.Logger
}

// Pull is a connection whose media is published. It implements ingest.Session.
type Pull struct {
	id    string
	feed  *link.Feed
	o     Options
	first []*packetbuf.Packet // with which the stream begins
	work  sync.WaitGroup

	mu       sync.Mutex // guards all below
	watchdog *watchdog.Watchdog
	cause    ingest.Cause // for which the relay closed it; empty: it did not
	received uint64       // at the last check
	sampled  time.Time    // the last sample
	sampleAt uint64       // received then
}

// New returns a pull over a connection. id names its session.
func New(id string, feed *link.Feed, o Options) *Pull { return &Pull{id: id, feed: feed, o: o} }

// Prepare reads up to the first keyframe, so that the stream goes on at once when the pull begins.
func (p *Pull) Prepare(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, keyTimeout)
	defer cancel()
	defer context.AfterFunc(ctx, func() { _ = p.feed.Close() })()
	first, err := p.readToKeyframe()
	if err != nil && ctx.Err() != nil {
		err = &link.PhaseError{
			Op: "pull from", Phase: qos.PhaseMedia, Target: p.o.Request.Remote, Timing: p.feed.Timing(),
			Err: fmt.Errorf("no keyframe: %w", ctx.Err()),
		}
	}
	p.first = first
	return err
}

// Begin publishes. from is the pull that has published so far; it is ended. It may be nil. ended is called
// once, with the reason why the pull has ended.
func (p *Pull) Begin(from *Pull, ended func(error)) {
	now := time.Now()
	p.mu.Lock()
	p.watchdog = watchdog.New(watchdog.Config{Silence: p.o.Silence, FirstMedia: keyTimeout}, now)
	p.sampled = now
	p.mu.Unlock()
	p.work.Go(func() {
		if from != nil {
			from.yield()
		}
		ended(p.run())
	})
}

func (p *Pull) run() error {
	sink, err := p.publish()
	if err != nil {
		_ = p.feed.Close()
		return err
	}
	for _, packet := range p.first {
		if err = sink.Write(packet); err != nil {
			break
		}
	}
	p.first = nil
	if err == nil {
		err = panics.Run(func() error { return p.copyTo(sink) })
		panics.Report(p.o.Log, "pull session", err)
	}
	_ = p.feed.Close()
	sink.End(p.endCause(err), err.Error())
	return err
}

// copyTo writes what is pulled to the stream, until either fails.
func (p *Pull) copyTo(sink ingest.Sink) error {
	for {
		packet, err := p.feed.Read()
		if err != nil {
			return err
		}
		p.noteMedia(packet)
		if err := sink.Write(packet); err != nil {
			return err
		}
	}
}

func (p *Pull) publish() (ingest.Sink, error) {
	request := p.o.Request
	request.Session = p
	sink, err := p.o.Access.Publish(context.Background(), request)
	if err != nil {
		return nil, fmt.Errorf("the stream does not take the pull: %w", err)
	}
	return sink, nil
}

// readToKeyframe reads on to the first keyframe and returns it with the configuration before it.
func (p *Pull) readToKeyframe() ([]*packetbuf.Packet, error) {
	var configs packetbuf.Configs
	var audio time.Time
	for n := 0; ; n++ {
		packet, err := p.feed.Read()
		if err != nil {
			return nil, err
		}
		switch {
		case packet.Kind == packetbuf.Config:
			configs[packet.Track] = packet
			continue
		case packet.Track == packetbuf.Audio && audio.IsZero():
			audio = time.Now()
		}
		alone := configs[packetbuf.Video] == nil && !audio.IsZero() && (time.Since(audio) >= audioAlone || n > audioPackets)
		if packet.Track == packetbuf.Video && packet.Kind == packetbuf.Key || alone {
			var out []*packetbuf.Packet
			for _, tr := range []packetbuf.Track{packetbuf.Data, packetbuf.Video, packetbuf.Audio} {
				if configs[tr] != nil {
					out = append(out, configs[tr])
				}
			}
			return append(out, packet), nil
		}
	}
}

func (p *Pull) noteMedia(packet *packetbuf.Packet) {
	if !packet.Media() {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.watchdog.Media(packet.Arrived, packet.Track)
}

// endCause returns the cause of the end, for the stream.
func (p *Pull) endCause(err error) ingest.Cause {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.cause != "" {
		return p.cause
	}
	switch link.EndingOf(err) {
	case link.EndedUnpublish:
		return ingest.Unpublish
	case link.EndedEOF:
		return ingest.EOF
	case link.EndedTimeout:
		return ingest.Timeout
	case link.EndedProtocol:
		return ingest.Protocol
	case link.EndedReset, link.EndedRejected, link.EndedClosed:
	}
	return ingest.Reset
}

// yield ends a pull because another goes on in its place.
func (p *Pull) yield() { p.Abort(ingest.Takeover) }

// End ends the pull as an unpublish would, and waits for what it has started.
func (p *Pull) End() { p.Abort(ingest.Unpublish) }

// Abort ends the pull for a cause and waits for what it has started.
func (p *Pull) Abort(cause ingest.Cause) {
	p.Close(cause, "")
	p.work.Wait()
}

// ID implements ingest.Session.
func (p *Pull) ID() string { return p.id }

// Close implements ingest.Session.
func (p *Pull) Close(cause ingest.Cause, _ string) {
	p.mu.Lock()
	if p.cause == "" {
		p.cause = cause
	}
	p.mu.Unlock()
	_ = p.feed.Close()
}

// RTT implements ingest.Session.
func (p *Pull) RTT() (srtt, rttvar time.Duration) {
	progress := p.feed.Progress()
	return progress.RTT, progress.RTTVar
}

// Unread implements ingest.Backlogger.
func (p *Pull) Unread() bool { return p.feed.Unread() }

// Repairs implements ingest.RepairReporter.
func (p *Pull) Repairs() []packetbuf.Repair {
	if p.o.Repairs == nil {
		return nil
	}
	return p.o.Repairs.Repairs()
}

// ClosedBy returns the cause for which the relay closed the session; empty: it did not.
func (p *Pull) ClosedBy() ingest.Cause {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.cause
}

// Check checks the connection.
func (p *Pull) Check(now time.Time) policy.Reading {
	progress := p.feed.Progress()
	p.mu.Lock()
	defer p.mu.Unlock()
	r := policy.Reading{RTT: progress.RTT, Advanced: progress.Received > p.received}
	p.received = progress.Received
	p.watchdog.RoundTrip(progress.RTT, progress.RTTVar)
	switch p.watchdog.Check(now) {
	case watchdog.Silent:
		if !p.feed.Unread() {
			r.Failure = string(ingest.Silence)
		}
	case watchdog.Never:
		r.Failure = string(ingest.FirstMedia)
	case watchdog.Waiting, watchdog.Fine, watchdog.Late:
	}
	if span := now.Sub(p.sampled); span >= time.Second {
		r.Sample = &qos.Sample{
			At: now, Span: span, RTT: progress.RTT, RTTVar: progress.RTTVar,
			Delivered: progress.Received - p.sampleAt, Stalled: progress.Received == p.sampleAt,
		}
		p.sampled, p.sampleAt = now, progress.Received
	}
	return r
}
