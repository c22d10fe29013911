package push

import (
	"context"
	"errors"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/holdfast-live/holdfast/packetbuf"
	"github.com/holdfast-live/holdfast/packetbuf/flv"
	"github.com/holdfast-live/holdfast/qos/policy"
	"github.com/holdfast-live/holdfast/relay/route/link"
)

// maxWrite is the size in bytes at which a write is flushed. A single larger packet exceeds it. Data
// handed to the socket can no longer be dropped.
const maxWrite = 32 << 10

// switchInterval is how often a sender checks whether it can switch to another offer.
const switchInterval = 100 * time.Millisecond

// writer is the destination of a sender: a link.Push.
type writer interface {
	Write(packets ...*packetbuf.Packet) error
	Done() <-chan struct{}
	Err() error
}

// sender writes a stream to one push. Its order says which source and which rung of the quality
// ladder to send. It has one goroutine; the atomic fields may be used from others.
type sender struct {
	dst     writer
	streams Streams
	stream  string
	log     *slog.Logger

	order        atomic.Pointer[Order]
	writingSince atomic.Int64  // arrival of the packet being written, ns since 1970; 0: none
	started      chan struct{} // closed when media has been written
	firstWritten atomic.Uint64 // sequence number of the first media packet written; 0: none
	lastWritten  atomic.Uint64 // sequence number of the last media packet written; 0 while a rendition is sent

	thinner           thinner
	skipsDone         int // Order.Skips that have been carried out
	current           source
	next              *source // the source to switch to
	lastTry           time.Time
	holdback          holdback
	readDTS           time.Duration // DTS of the last frame sent or dropped
	sentPTS           time.Duration // latest PTS of the frames sent
	mediaArrived      time.Time     // arrival of the first media packet of the last read
	lastDTS           [packetbuf.NumTracks]time.Duration
	hasSent           [packetbuf.NumTracks]bool
	sentConfigs       packetbuf.Configs // the configuration sent last
	configChanged     bool              // the next keyframe is the first of another configuration
	unsupportedLogged bool              // a packet that RTMP cannot carry has been logged
	batch             []*packetbuf.Packet
}

func newSender(to writer, streams Streams, stream string, log *slog.Logger) *sender {
	s := &sender{dst: to, streams: streams, stream: stream, log: log, started: make(chan struct{})}
	s.order.Store(&Order{Share: 1})
	return s
}

// run sends until ctx is done, the stream ends or the push ends. It starts at the packet from, as
// for Streams.Tap.
func (s *sender) run(ctx context.Context, from uint64) error {
	tap, err := s.streams.Tap(s.stream, from)
	if err != nil {
		return err
	}
	s.current.tap = tap
	defer func() {
		s.current.tap.Close()
		s.closeNext()
	}()
	for {
		packets, err := s.nextPackets(ctx)
		if err != nil {
			return err
		}
		s.followOrder(ctx)
		if len(packets) == 0 && s.next != nil && time.Since(s.next.opened) >= sourceTimeout {
			s.switchTo(*s.next)
			continue
		}
		if err := s.send(packets); err != nil {
			return err
		}
		select {
		case <-s.dst.Done():
			return s.dst.Err()
		default:
		}
	}
}

// nextPackets returns the next packets to send. When a rendition ends, the sender returns to the
// stream itself.
func (s *sender) nextPackets(ctx context.Context) ([]*packetbuf.Packet, error) {
	if packets := s.current.ready; packets != nil {
		s.current.ready = nil
		return packets, nil
	}
	packets, err := s.current.tap.Read(ctx)
	if err == nil {
		return packets, nil
	}
	if ctx.Err() != nil {
		return nil, err
	}
	endedTap := s.current.tap
	s.holdback.release()
	if err := s.send(nil); err != nil { // packets held back
		return nil, err
	}
	switch {
	case s.current.tap != endedTap:
		return nil, nil
	case s.current.offer != "":
		return nil, s.returnToStream()
	}
	return nil, err
}

// followOrder applies the current order.
func (s *sender) followOrder(ctx context.Context) {
	s.updateThinner()
	o := s.order.Load()
	if s.next != nil && s.next.offer != o.Offer && !s.next.started() {
		s.closeNext()
	}
	if o.Offer == s.current.offer || s.next != nil {
		s.holdback.reset()
		return
	}
	if now := time.Now(); now.Sub(s.lastTry) >= switchInterval {
		s.lastTry = now
		if s.openNext(ctx, o.Offer) {
			s.holdback.hold(now, o.Offer)
		} else {
			s.holdback.release()
		}
	}
}

// updateThinner applies the parts of the order that may change between two writes of one read.
func (s *sender) updateThinner() {
	o := s.order.Load()
	s.thinner.rung, s.thinner.share = o.Rung, o.Share
	if o.Rung == policy.Rendition {
		s.thinner.rung = policy.Full
	}
	if o.Offer != s.current.offer && s.current.offer == "" {
		s.thinner.rung = max(s.thinner.rung, policy.DropDisposable) // until the sender can switch to the lower source
	}
	if o.Skips != s.skipsDone {
		s.skipsDone = o.Skips
		s.thinner.skipTo = s.current.tap.NewestKey()
	}
}

func (s *sender) closeNext() {
	if s.next != nil {
		s.next.tap.Close()
		s.next = nil
	}
}

// openNext opens the source to switch to, if its newest keyframe is later than the video already
// sent. Otherwise it reports whether to hold back video until such a keyframe arrives.
func (s *sender) openNext(ctx context.Context, name string) (wait bool) {
	for _, o := range s.streams.Offers(s.stream) {
		if o.Name != name || !o.Ready {
			continue
		}
		next := openSource(ctx, s.streams, o)
		if next == nil {
			return false
		}
		past := next.videoDTS <= s.lastDTS[packetbuf.Video] || next.videoPTS <= s.sentPTS
		if s.hasSent[packetbuf.Video] && past || next.videoDTS < s.readDTS-maxBehind {
			next.tap.Close()
			return true
		}
		s.next = next
		return false
	}
	return false
}

// returnToStream returns to the stream itself when a rendition has ended. It starts one GOP before the
// newest keyframe, since a rendition lags behind the stream; what has already been sent is dropped.
func (s *sender) returnToStream() error {
	s.closeNext()
	tap, err := s.streams.Tap(s.stream, 0)
	if err != nil {
		return err
	}
	if key := tap.NewestKey(); key > 1 {
		if before, err := s.streams.Tap(s.stream, key-1); err == nil {
			tap.Close()
			tap = before
		}
	}
	s.switchTo(source{tap: tap})
	return nil
}

// switchTo makes the sender read from another source from now on. The first video frame of that
// source must be a keyframe, and the batch must be empty.
func (s *sender) switchTo(to source) {
	s.current.tap.Close()
	s.current, s.next = to, nil
	s.holdback = holdback{}
	s.firstWritten.Store(0)
	s.lastWritten.Store(0)
	s.thinner = thinner{dropping: true}
	s.updateThinner()
}

// send writes the packets that the order selects, in batches of maxWrite bytes.
func (s *sender) send(packets []*packetbuf.Packet) error {
	packets = s.holdback.filter(time.Now(), packets)
	s.recordArrival(packets)
	s.batch = s.batch[:0]
	size := 0
	for _, p := range packets {
		out := s.current.rebase(p)
		if out == nil {
			s.thinner.recordLoss(p)
			continue
		}
		if s.next != nil && s.next.takesOver(out) {
			if !s.next.complete() {
				continue
			}
			err := s.flush()
			s.switchTo(*s.next) // next holds the rest of packets
			return err
		}
		if out = s.filter(out); out == nil {
			continue
		}
		s.batch = append(s.batch, out)
		if size += len(out.Payload); size >= maxWrite {
			if err := s.flush(); err != nil {
				return err
			}
			s.updateThinner()
			size = 0
		}
	}
	return s.flush()
}

// recordArrival records the arrival time of the first media packet of a read. Configuration is as old as
// the publisher's session, so its own arrival time would show a false lag.
func (s *sender) recordArrival(packets []*packetbuf.Packet) {
	for _, p := range packets {
		if p.Media() {
			s.mediaArrived = p.Arrived
			return
		}
	}
}

// filter returns the packet to send in place of p, or nil. It must be called once for each packet,
// in order.
func (s *sender) filter(p *packetbuf.Packet) *packetbuf.Packet {
	switch {
	case p.Kind == packetbuf.Config:
		return s.filterConfig(p)
	case !p.Media():
		return s.hideSequence(p)
	}
	if p.Track == packetbuf.Video {
		s.readDTS = max(s.readDTS, p.DTS)
	}
	if s.hasSent[p.Track] && p.DTS <= s.lastDTS[p.Track] { // two sources overlap
		s.thinner.recordLoss(p)
		return nil
	}
	if !s.thinner.keep(p) {
		return nil
	}
	s.hasSent[p.Track], s.lastDTS[p.Track] = true, p.DTS
	if p.Track == packetbuf.Video {
		s.sentPTS = max(s.sentPTS, p.PTS())
	}
	if s.configChanged && p.Track == packetbuf.Video && p.Kind == packetbuf.Key {
		s.configChanged = false
		p = withParameterSets(p, s.sentConfigs[packetbuf.Video])
	}
	return s.hideSequence(p)
}

// filterConfig returns the configuration p if the destination does not have it, or nil. The DTS of
// the returned packet is not before that of the last packet sent.
func (s *sender) filterConfig(p *packetbuf.Packet) *packetbuf.Packet {
	previous := s.sentConfigs[p.Track]
	if previous.SameConfig(p) {
		return nil
	}
	s.sentConfigs[p.Track] = p
	if p.Track == packetbuf.Video {
		s.configChanged = previous != nil
	}
	arrived := p.Arrived
	if arrived.Before(s.mediaArrived) {
		arrived = s.mediaArrived
	}
	return s.hideSequence(retimed(p, max(p.DTS, s.lastDTS[p.Track]), arrived))
}

// hideSequence sets the sequence number of a rendition's packet to 1. The rendition's own number means
// nothing to the stream. The packet is a copy.
func (s *sender) hideSequence(p *packetbuf.Packet) *packetbuf.Packet {
	if s.current.offer != "" {
		p.Seq = 1
	}
	return p
}

// recordWritten records the sequence number of a packet that has been written. Packets of a
// rendition are ignored.
func (s *sender) recordWritten(p *packetbuf.Packet) {
	if s.current.offer != "" {
		return
	}
	s.lastWritten.Store(p.Seq)
	s.firstWritten.CompareAndSwap(0, p.Seq)
}

// flush writes the batch. An error ends the push.
func (s *sender) flush() error {
	if len(s.batch) == 0 {
		return nil
	}
	s.writingSince.Store(s.batch[0].Arrived.UnixNano())
	err := s.dst.Write(s.batch...)
	s.writingSince.Store(0)
	media := false
	for _, p := range s.batch {
		if p.Media() {
			media = true
			s.recordWritten(p)
		}
	}
	s.batch = s.batch[:0]
	var unsupported *flv.UnsupportedError
	switch {
	case errors.As(err, &unsupported), errors.Is(err, link.ErrTooLong):
		if !s.unsupportedLogged {
			s.unsupportedLogged = true
			s.log.Warn("dropped packets that RTMP cannot carry", "err", err)
		}
	case err != nil:
		return err
	}
	if media {
		select {
		case <-s.started:
		default:
			close(s.started)
		}
	}
	return nil
}
