// Package pull reads a stream from another server over one connection and publishes it.
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
	// keyframeTimeout bounds the time from connecting to the first keyframe.
	keyframeTimeout = 10 * time.Second
	// A stream is assumed to have no video after audioOnlyTime, or after audioOnlyPackets packets, of
	// audio alone.
	audioOnlyTime    = 1500 * time.Millisecond
	audioOnlyPackets = 256
)

// Options configures a Pull.
type Options struct {
	Access  ingest.Access
	Request ingest.Request    // Session is set by the Pull
	Silence time.Duration     // without media after which the pull fails; 0: from the origin's packet interval
	Repairs *ingest.RepairLog // repairs of the origin's media; nil: not counted
	Log     *slog.Logger
}

// Pull is a connection whose media is published to a stream. It implements ingest.Session.
type Pull struct {
	id    string
	feed  *link.Feed
	o     Options
	first []*packetbuf.Packet // the packets read by Prepare
	work  sync.WaitGroup

	mu           sync.Mutex // guards the fields below
	watchdog     *watchdog.Watchdog
	cause        ingest.Cause // why the relay closed the session; empty: it did not
	received     uint64       // bytes received at the last check
	lastSample   time.Time    // time of the last qos.Sample
	lastReceived uint64       // bytes received at lastSample
}

// New returns a pull over a connection. id is the ID of its session.
func New(id string, feed *link.Feed, o Options) *Pull { return &Pull{id: id, feed: feed, o: o} }

// Prepare reads to the first keyframe, so that the stream continues without a gap when Begin is called. It
// returns a link.PhaseError if there is no keyframe within 10 s or before ctx is done.
func (p *Pull) Prepare(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, keyframeTimeout)
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

// Begin starts publishing, and ends from, the pull that has published until now, which may be nil.
// When the pull ends, it calls ended once with the reason.
func (p *Pull) Begin(from *Pull, ended func(error)) {
	now := time.Now()
	p.mu.Lock()
	p.watchdog = watchdog.New(watchdog.Config{Silence: p.o.Silence, FirstMedia: keyframeTimeout}, now)
	p.lastSample = now
	p.mu.Unlock()
	p.work.Go(func() {
		if from != nil {
			from.takeOver()
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

// copyTo writes the media of the connection to the stream until either fails.
func (p *Pull) copyTo(sink ingest.Sink) error {
	for {
		packet, err := p.feed.Read()
		if err != nil {
			return err
		}
		p.recordMedia(packet)
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
		return nil, fmt.Errorf("publish pull: %w", err)
	}
	return sink, nil
}

// readToKeyframe reads up to the first keyframe, or up to the first audio packet of a stream without
// video. It returns that packet and the configurations before it.
func (p *Pull) readToKeyframe() ([]*packetbuf.Packet, error) {
	var configs packetbuf.Configs
	var firstAudio time.Time
	for n := 0; ; n++ {
		packet, err := p.feed.Read()
		if err != nil {
			return nil, err
		}
		switch {
		case packet.Kind == packetbuf.Config:
			configs[packet.Track] = packet
			continue
		case packet.Track == packetbuf.Audio && firstAudio.IsZero():
			firstAudio = time.Now()
		}
		audioOnly := configs[packetbuf.Video] == nil && !firstAudio.IsZero() && (time.Since(firstAudio) >= audioOnlyTime || n > audioOnlyPackets)
		if packet.Track == packetbuf.Video && packet.Kind == packetbuf.Key || audioOnly {
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

func (p *Pull) recordMedia(packet *packetbuf.Packet) {
	if !packet.Media() {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.watchdog.Media(packet.Arrived, packet.Track)
}

// endCause returns the cause of the pull's end to report to the stream.
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

// takeOver ends the pull because another replaces it.
func (p *Pull) takeOver() { p.Abort(ingest.Takeover) }

// End ends the pull as an unpublish would, and waits for its goroutines.
func (p *Pull) End() { p.Abort(ingest.Unpublish) }

// Abort ends the pull with a cause and waits for its goroutines.
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

// ClosedBy returns the cause with which the relay closed the session, or "" if it did not.
func (p *Pull) ClosedBy() ingest.Cause {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.cause
}

// Check measures the connection and returns a policy.Reading of it.
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
	if span := now.Sub(p.lastSample); span >= time.Second {
		r.Sample = &qos.Sample{
			At: now, Span: span, RTT: progress.RTT, RTTVar: progress.RTTVar,
			Delivered: progress.Received - p.lastReceived, Stalled: progress.Received == p.lastReceived,
		}
		p.lastSample, p.lastReceived = now, progress.Received
	}
	return r
}
