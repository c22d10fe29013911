package route

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

// order is what a sender is to do.
type order struct {
	rung  policy.Rung
	share float64
	offer string
	skips int // counted up each time that the pictures which wait are to be left out
}

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

	order   atomic.Pointer[order]
	writing atomic.Int64  // when the packet in hand came to the relay, ns since 1970; 0: none
	started chan struct{} // closed when media has been written
	first   atomic.Uint64 // the sequence of the first media packet written; 0: none
	written atomic.Uint64 // and of the last; 0 while it is one of a rendition

	thin    thinner
	skips   int // of order, done
	at      source
	next    *source // to be switched to
	tried   time.Time
	last    [packetbuf.NumTracks]time.Duration
	sent    [packetbuf.NumTracks]bool
	refused bool // a packet that the protocol cannot carry was told of
	out     []*packetbuf.Packet
}

// source is the stream that a sender reads, or one of its renditions.
type source struct {
	tap    Tap
	offer  string
	offset time.Duration
	ready  []*packetbuf.Packet // read already
	start  time.Duration       // of a source to be switched to: the DTS of its first picture
}

func newSender(to writer, streams Streams, stream string, log *slog.Logger) *sender {
	s := &sender{to: to, streams: streams, stream: stream, log: log, started: make(chan struct{})}
	s.order.Store(&order{share: 1})
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
		packets := s.at.ready
		if s.at.ready = nil; packets == nil {
			if packets, err = s.at.tap.Read(ctx); err != nil {
				if s.at.offer == "" || ctx.Err() != nil {
					return err
				}
				if err = s.home(); err != nil {
					return err
				}
				continue
			}
		}
		s.obey(ctx)
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

// obey takes the order in force.
func (s *sender) obey(ctx context.Context) {
	o := s.order.Load()
	s.thin.rung, s.thin.share = o.rung, o.share
	if o.rung == policy.Rendition {
		s.thin.rung = policy.Full
	}
	if o.skips != s.skips {
		s.skips = o.skips
		s.thin.skipTo = s.at.tap.NewestKey()
	}
	if s.next != nil && s.next.offer != o.offer {
		s.forgetNext()
	}
	if o.offer == s.at.offer {
		return
	}
	if s.next == nil && time.Since(s.tried) >= switchRetry {
		s.tried = time.Now()
		s.prepare(ctx, o.offer)
	}
	if s.at.offer == "" {
		s.thin.rung = max(s.thin.rung, policy.DropDisposable) // until the lower one can go on
	}
}

func (s *sender) forgetNext() {
	if s.next != nil {
		s.next.tap.Close()
		s.next = nil
	}
}

// prepare opens the source to be switched to, if its newest keyframe is ahead of what has
// been sent.
func (s *sender) prepare(ctx context.Context, name string) {
	for _, o := range s.streams.Offers(s.stream) {
		if o.Name != name || !o.Ready {
			continue
		}
		tap, err := s.streams.Tap(o.Stream, 0)
		if err != nil {
			return
		}
		next := &source{tap: tap, offer: name, offset: o.Offset}
		packets, err := tap.Read(ctx)
		for _, p := range packets {
			next.ready = append(next.ready, p)
			if next.start == 0 && p.Track == packetbuf.Video && p.Kind == packetbuf.Key {
				next.start = p.DTS + o.Offset
			}
		}
		if err != nil || next.start <= s.last[packetbuf.Video] {
			tap.Close()
			return
		}
		s.next = next
		return
	}
}

// home goes back to the stream itself when a rendition has ended.
func (s *sender) home() error {
	s.forgetNext()
	tap, err := s.streams.Tap(s.stream, 0)
	if err != nil {
		return err
	}
	s.at.tap.Close()
	s.change(source{tap: tap})
	return nil
}

// change reads from another source from now on. Its first picture is a keyframe.
func (s *sender) change(to source) {
	s.at = to
	s.thin = thinner{rung: s.thin.rung, share: s.thin.share, dropping: true}
}

// send writes what the order leaves of packets, in writes of gathered bytes.
func (s *sender) send(packets []*packetbuf.Packet) error {
	s.out = s.out[:0]
	size := 0
	for _, p := range packets {
		p = s.place(p)
		if s.next != nil && p != nil && p.Media() && p.DTS >= s.next.start {
			next := *s.next
			s.next = nil
			s.at.tap.Close()
			s.change(next)
			break
		}
		if p == nil || !s.thin.keep(p) || !s.rises(p) {
			continue
		}
		s.out = append(s.out, p)
		if size += len(p.Payload); size >= gathered {
			if err := s.write(); err != nil {
				return err
			}
			s.obeyWithin()
			size = 0
		}
	}
	return s.write()
}

// obeyWithin takes over what may change between two writes of one reading.
func (s *sender) obeyWithin() {
	o := s.order.Load()
	if o.offer == s.at.offer && o.rung != policy.Rendition {
		s.thin.rung, s.thin.share = o.rung, o.share
	}
	if o.skips != s.skips {
		s.skips = o.skips
		s.thin.skipTo = s.at.tap.NewestKey()
	}
}

// place puts a packet of a rendition on the stream's clock.
func (s *sender) place(p *packetbuf.Packet) *packetbuf.Packet {
	if s.at.offset == 0 {
		return p
	}
	dts := p.DTS + s.at.offset
	if dts < 0 {
		if p.Media() {
			return nil
		}
		dts = 0
	}
	return &packetbuf.Packet{
		Track: p.Track, Codec: p.Codec, Kind: p.Kind, Flags: p.Flags, Epoch: p.Epoch, Seq: p.Seq,
		DTS: dts, CTO: p.CTO, Arrived: p.Arrived, Payload: p.Payload,
	}
}

// rises tells whether a packet stands behind what was sent of its track: two sources overlap.
func (s *sender) rises(p *packetbuf.Packet) bool {
	if !p.Media() {
		return true
	}
	if s.sent[p.Track] && p.DTS <= s.last[p.Track] {
		return false
	}
	s.sent[p.Track], s.last[p.Track] = true, p.DTS
	return true
}

// note notes how far the stream itself has been written.
func (s *sender) note(p *packetbuf.Packet) {
	if s.at.offer != "" {
		s.written.Store(0)
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
