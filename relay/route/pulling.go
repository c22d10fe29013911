package route

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
	"github.com/holdfast-live/holdfast/relay/route/link"
)

const (
	// firstKey is how long a pull may take to its first keyframe.
	firstKey = 10 * time.Second
	// soundAlone is how long sound comes without pictures before a pull counts as sound only.
	soundAlone = 1500 * time.Millisecond
	// heldBack bounds the packets that wait for a keyframe: configuration, and at most this
	// many of a stream without pictures.
	heldBack = 256
)

// puller is what a pull publishes through.
type puller struct {
	access  ingest.Access
	request ingest.Request // without its session
	silence time.Duration  // no media for as long is a break; 0: by the origin's rhythm
	log     *slog.Logger
}

// pulling is a pull that is up: a link.Feed whose packets go to the stream. It is the
// publisher's session.
type pulling struct {
	id    string
	feed  *link.Feed
	via   puller
	first []*packetbuf.Packet // what the stream begins with
	// repairs counts repairs of the origin's media; nil: they are not counted.
	repairs *ingest.RepairLog
	work    sync.WaitGroup

	mu       sync.Mutex // guards all below
	dog      *watchdog.Watchdog
	cause    ingest.Cause // why this side closed it; empty: it did not
	received uint64       // at the last look
	told     time.Time    // the last sample
	toldAt   uint64       // received then
}

func newPulling(id string, feed *link.Feed, via puller) *pulling {
	return &pulling{id: id, feed: feed, via: via}
}

// prepare reads up to the first keyframe, so that the stream goes on at once when the pull is
// put to use.
func (p *pulling) prepare(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, firstKey)
	defer cancel()
	defer context.AfterFunc(ctx, func() { _ = p.feed.Close() })()
	first, err := p.ready()
	if err != nil && ctx.Err() != nil {
		err = &link.PhaseError{
			Op: "pull from", Phase: qos.PhaseMedia, Target: p.via.request.Remote, Timing: p.feed.Timing(),
			Err: fmt.Errorf("no keyframe: %w", ctx.Err()),
		}
	}
	p.first = first
	return err
}

// begin has the stream fed. from is the pull that feeds it so far, if that lives; it is ended.
// ended is told how this one came to its end.
func (p *pulling) begin(from *pulling, ended func(error)) {
	now := time.Now()
	p.mu.Lock()
	p.dog = watchdog.New(watchdog.Config{Silence: p.via.silence, FirstMedia: firstKey}, now)
	p.told = now
	p.mu.Unlock()
	p.work.Go(func() {
		if from != nil {
			from.yield()
		}
		ended(p.run())
	})
}

func (p *pulling) run() error {
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
		err = panics.Run(func() error { return p.pass(sink) })
		panics.Report(p.via.log, "pull session", err)
	}
	_ = p.feed.Close()
	sink.End(p.ending(err), err.Error())
	return err
}

// pass gives the stream what is pulled, until one of them fails.
func (p *pulling) pass(sink ingest.Sink) error {
	for {
		packet, err := p.feed.Read()
		if err != nil {
			return err
		}
		p.note(packet)
		if err := sink.Write(packet); err != nil {
			return err
		}
	}
}

func (p *pulling) publish() (ingest.Sink, error) {
	request := p.via.request
	request.Session = p
	sink, err := p.via.access.Publish(context.Background(), request)
	if err != nil {
		return nil, fmt.Errorf("the stream does not take the pull: %w", err)
	}
	return sink, nil
}

// ready reads on to the first keyframe and returns it with the configuration before it.
func (p *pulling) ready() ([]*packetbuf.Packet, error) {
	var configs packetbuf.Configs
	var sound time.Time
	for n := 0; ; n++ {
		packet, err := p.feed.Read()
		if err != nil {
			return nil, err
		}
		switch {
		case packet.Kind == packetbuf.Config:
			configs[packet.Track] = packet
			continue
		case packet.Track == packetbuf.Audio && sound.IsZero():
			sound = time.Now()
		}
		alone := configs[packetbuf.Video] == nil && !sound.IsZero() && (time.Since(sound) >= soundAlone || n > heldBack)
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

func (p *pulling) note(packet *packetbuf.Packet) {
	if !packet.Media() {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.dog.Media(packet.Arrived, packet.Track)
}

// ending is what the stream is told.
func (p *pulling) ending(err error) ingest.Cause {
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
func (p *pulling) yield() {
	p.Close(ingest.Takeover, "")
	p.work.Wait()
}

// end ends the pull for good and waits until nothing of it is left.
func (p *pulling) end() {
	p.Close(ingest.Unpublish, "")
	p.work.Wait()
}

// kill ends a pull that does not deliver any more.
func (p *pulling) kill(cause ingest.Cause) {
	p.Close(cause, "")
	p.work.Wait()
}

// ID implements ingest.Session.
func (p *pulling) ID() string { return p.id }

// Close implements ingest.Session.
func (p *pulling) Close(cause ingest.Cause, _ string) {
	p.mu.Lock()
	if p.cause == "" {
		p.cause = cause
	}
	p.mu.Unlock()
	_ = p.feed.Close()
}

// RTT implements ingest.Session.
func (p *pulling) RTT() (srtt, rttvar time.Duration) {
	progress := p.feed.Progress()
	return progress.RTT, progress.RTTVar
}

// Unread implements ingest.Backlogger.
func (p *pulling) Unread() bool { return p.feed.Unread() }

// Repairs implements ingest.RepairReporter.
func (p *pulling) Repairs() []packetbuf.Repair {
	if p.repairs == nil {
		return nil
	}
	return p.repairs.Repairs()
}

// closedBy tells what the relay closed the session for; empty: it did not.
func (p *pulling) closedBy() ingest.Cause {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.cause
}

// look looks at the pull, a few times a second.
func (p *pulling) look(now time.Time) view {
	progress := p.feed.Progress()
	p.mu.Lock()
	defer p.mu.Unlock()
	v := view{rtt: progress.RTT, moved: progress.Received > p.received}
	p.received = progress.Received
	p.dog.RoundTrip(progress.RTT, progress.RTTVar)
	switch p.dog.Check(now) {
	case watchdog.Silent:
		if !p.feed.Unread() {
			v.trouble = string(ingest.Silence)
		}
	case watchdog.Never:
		v.trouble = string(ingest.FirstMedia)
	case watchdog.Waiting, watchdog.Fine, watchdog.Late:
	}
	if span := now.Sub(p.told); span >= time.Second {
		v.sample = &qos.Sample{
			At: now, Span: span, RTT: progress.RTT, RTTVar: progress.RTTVar,
			Delivered: progress.Received - p.toldAt, Stalled: progress.Received == p.toldAt,
		}
		p.told, p.toldAt = now, progress.Received
	}
	return v
}
