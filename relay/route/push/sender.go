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

// gathered is how many bytes a write takes at the most, but for a bigger packet: what has been
// handed to the socket cannot be left out any more.
const gathered = 32 << 10

// switchRetry is how often a sender looks whether another offer can be switched to.
const switchRetry = 100 * time.Millisecond

// writer is where a sender writes to: a link.Push.
type writer interface {
	Write(packets ...*packetbuf.Packet) error
	Done() <-chan struct{}
	Err() error
}

// sender writes a stream to one push: as much of it as it was ordered to, from the source it
// was ordered to. It has one goroutine; order and writing may be used from others.
type sender struct {
	to      writer
	streams Streams
	stream  string
	log     *slog.Logger

	order   atomic.Pointer[Order]
	writing atomic.Int64  // when the packet in hand came to the relay, ns since 1970; 0: none
	started chan struct{} // closed when media has been written
	first   atomic.Uint64 // the sequence of the first media packet written; 0: none
	written atomic.Uint64 // and of the last; 0 while it is one of a rendition

	thin    thinner
	skips   int // of order, done
	at      source
	next    *source // to be switched to
	tried   time.Time
	hold    holdback
	read    time.Duration // DTS of the last picture that was sent or left out
	shown   time.Duration // the latest PTS of those that were sent
	arrived time.Time     // and when one of the last reading came
	last    [packetbuf.NumTracks]time.Duration
	sent    [packetbuf.NumTracks]bool
	configs packetbuf.Configs // sent last
	restate bool              // the next keyframe is the first of another configuration
	refused bool              // a packet that the protocol cannot carry was told of
	out     []*packetbuf.Packet
}

func newSender(to writer, streams Streams, stream string, log *slog.Logger) *sender {
	s := &sender{to: to, streams: streams, stream: stream, log: log, started: make(chan struct{})}
	s.order.Store(&Order{Share: 1})
	return s
}

// run sends until ctx ends, the stream ends or the push does; from is where to begin, see
// Streams.Tap.
func (s *sender) run(ctx context.Context, from uint64) error {
	tap, err := s.streams.Tap(s.stream, from)
	if err != nil {
		return err
	}
	s.at.tap = tap
	defer func() {
		s.at.tap.Close()
		s.forgetNext()
	}()
	for {
		packets, err := s.take(ctx)
		if err != nil {
			return err
		}
		s.obey(ctx)
		if len(packets) == 0 && s.next != nil && time.Since(s.next.opened) >= overdue {
			s.change(*s.next)
			continue
		}
		if err := s.send(packets); err != nil {
			return err
		}
		select {
		case <-s.to.Done():
			return s.to.Err()
		default:
		}
	}
}

// take returns what comes next. A rendition that has ended is followed by the stream itself.
func (s *sender) take(ctx context.Context) ([]*packetbuf.Packet, error) {
	if packets := s.at.ready; packets != nil {
		s.at.ready = nil
		return packets, nil
	}
	packets, err := s.at.tap.Read(ctx)
	if err == nil {
		return packets, nil
	}
	if ctx.Err() != nil {
		return nil, err
	}
	ended := s.at.tap
	s.hold.end()
	if err := s.send(nil); err != nil { // what was held back
		return nil, err
	}
	switch {
	case s.at.tap != ended:
		return nil, nil
	case s.at.offer != "":
		return nil, s.home()
	}
	return nil, err
}

// obey takes the order in force.
func (s *sender) obey(ctx context.Context) {
	s.within()
	o := s.order.Load()
	if s.next != nil && s.next.offer != o.Offer && !s.next.begun() {
		s.forgetNext()
	}
	if o.Offer == s.at.offer || s.next != nil {
		s.hold.withdraw()
		return
	}
	if now := time.Now(); now.Sub(s.tried) >= switchRetry {
		s.tried = now
		if s.prepare(ctx, o.Offer) {
			s.hold.begin(now, o.Offer)
		} else {
			s.hold.end()
		}
	}
}

// within takes over of the order what may change between two writes of one reading.
func (s *sender) within() {
	o := s.order.Load()
	s.thin.rung, s.thin.share = o.Rung, o.Share
	if o.Rung == policy.Rendition {
		s.thin.rung = policy.Full
	}
	if o.Offer != s.at.offer && s.at.offer == "" {
		s.thin.rung = max(s.thin.rung, policy.DropDisposable) // until the lower one can go on
	}
	if o.Skips != s.skips {
		s.skips = o.Skips
		s.thin.skipTo = s.at.tap.NewestKey()
	}
}

func (s *sender) forgetNext() {
	if s.next != nil {
		s.next.tap.Close()
		s.next = nil
	}
}

// prepare opens the source to be switched to, if its newest keyframe is ahead of the pictures
// that have been sent. It tells whether that is to be waited for.
func (s *sender) prepare(ctx context.Context, name string) (wait bool) {
	for _, o := range s.streams.Offers(s.stream) {
		if o.Name != name || !o.Ready {
			continue
		}
		next := open(ctx, s.streams, o)
		if next == nil {
			return false
		}
		past := next.start <= s.last[packetbuf.Video] || next.shown <= s.shown
		if s.sent[packetbuf.Video] && past || next.start < s.read-behind {
			next.tap.Close()
			return true
		}
		s.next = next
		return false
	}
	return false
}

// home goes back to the stream itself when a rendition has ended: to one GOP before its newest
// keyframe, since a rendition is behind it and what was sent already is left out.
func (s *sender) home() error {
	s.forgetNext()
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
	s.change(source{tap: tap})
	return nil
}

// change reads from another source from now on. Its first picture is a keyframe. All that was
// gathered has been written.
func (s *sender) change(to source) {
	s.at.tap.Close()
	s.at, s.next = to, nil
	s.hold = holdback{}
	s.first.Store(0)
	s.written.Store(0)
	s.thin = thinner{dropping: true}
	s.within()
}

// send writes what the order leaves of packets, in writes of gathered bytes.
func (s *sender) send(packets []*packetbuf.Packet) error {
	packets = s.hold.pass(time.Now(), packets)
	s.stamp(packets)
	s.out = s.out[:0]
	size := 0
	for _, p := range packets {
		placed := s.at.place(p)
		if placed == nil {
			s.thin.miss(p)
			continue
		}
		if s.next != nil && s.next.takesOver(placed) {
			if !s.next.over() {
				continue
			}
			err := s.write()
			s.change(*s.next) // which has the rest of packets
			return err
		}
		if placed = s.admit(placed); placed == nil {
			continue
		}
		s.out = append(s.out, placed)
		if size += len(placed.Payload); size >= gathered {
			if err := s.write(); err != nil {
				return err
			}
			s.within()
			size = 0
		}
	}
	return s.write()
}

// stamp notes when the first of the media came that is to be sent. Configuration is as old as
// the publisher's session; where it goes out late nothing has waited as long.
func (s *sender) stamp(packets []*packetbuf.Packet) {
	for _, p := range packets {
		if p.Media() {
			s.arrived = p.Arrived
			return
		}
	}
}

// admit returns what goes out of p, or nil. It is to be asked once for each packet, in order.
func (s *sender) admit(p *packetbuf.Packet) *packetbuf.Packet {
	switch {
	case p.Kind == packetbuf.Config:
		return s.configure(p)
	case !p.Media():
		return s.ours(p)
	}
	if p.Track == packetbuf.Video {
		s.read = max(s.read, p.DTS)
	}
	if s.sent[p.Track] && p.DTS <= s.last[p.Track] { // two sources overlap
		s.thin.miss(p)
		return nil
	}
	if !s.thin.keep(p) {
		return nil
	}
	s.sent[p.Track], s.last[p.Track] = true, p.DTS
	if p.Track == packetbuf.Video {
		s.shown = max(s.shown, p.PTS())
	}
	if s.restate && p.Track == packetbuf.Video && p.Kind == packetbuf.Key {
		s.restate = false
		p = withParameterSets(p, s.configs[packetbuf.Video])
	}
	return s.ours(p)
}

// configure returns configuration that the far side does not have, at a time that is not past.
func (s *sender) configure(p *packetbuf.Packet) *packetbuf.Packet {
	had := s.configs[p.Track]
	if had.SameConfig(p) {
		return nil
	}
	s.configs[p.Track] = p
	if p.Track == packetbuf.Video {
		s.restate = had != nil
	}
	arrived := p.Arrived
	if arrived.Before(s.arrived) {
		arrived = s.arrived
	}
	return s.ours(moved(p, max(p.DTS, s.last[p.Track]), arrived))
}

// ours gives what is taken from a rendition, which is a copy, the lowest of sequences: its own
// means nothing to the stream.
func (s *sender) ours(p *packetbuf.Packet) *packetbuf.Packet {
	if s.at.offer != "" {
		p.Seq = 1
	}
	return p
}

// note notes how far the stream itself has been written.
func (s *sender) note(p *packetbuf.Packet) {
	if s.at.offer != "" {
		return
	}
	s.written.Store(p.Seq)
	s.first.CompareAndSwap(0, p.Seq)
}

// write writes what was gathered. Its error is the push's end.
func (s *sender) write() error {
	if len(s.out) == 0 {
		return nil
	}
	s.writing.Store(s.out[0].Arrived.UnixNano())
	err := s.to.Write(s.out...)
	s.writing.Store(0)
	media := false
	for _, p := range s.out {
		if p.Media() {
			media = true
			s.note(p)
		}
	}
	s.out = s.out[:0]
	var unsupported *flv.UnsupportedError
	switch {
	case errors.As(err, &unsupported), errors.Is(err, link.ErrTooLong):
		if !s.refused {
			s.refused = true
			s.log.Warn("what RTMP cannot carry is left out", "err", err)
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
