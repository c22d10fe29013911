package stream

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/holdfast-live/holdfast/packetbuf"
	"github.com/holdfast-live/holdfast/relay/stream/audio"
)

// batch is how many packets a viewer reads at a time, bounded by what one writev accepts.
const batch = 64

// Reader is one viewer's position in the stream. It is used from one goroutine at a time.
type Reader struct {
	s             *Stream
	protocol      string
	cursor        packetbuf.Cursor
	has           [packetbuf.NumTracks]bool
	codecs        [packetbuf.NumTracks]packetbuf.Codec
	sent          packetbuf.Configs // the configurations that this viewer has
	audioSelector audio.Selector
	pending       []*packetbuf.Packet
	waitKey       bool   // deliver only configurations until the next random-access point
	skips         uint64 // how often it skipped because it fell behind
	videoEpoch    uint32 // the epoch of the last video keyframe it was sent; 0: none
	inRepeat      bool   // it joined within repeated frames, and gets the rest of them
	repeats       bool   // see WantRepeats
	fragile       bool   // during a stall its player may lose decoder state or fall behind for good
	recovers      bool   // its decoder can start at a recovery point
	buf           [batch]*packetbuf.Packet
	woken         <-chan struct{} // nil: read the ring without waiting
	since         uint64          // sequence number of the first packet after the viewer joined
	// behind is how far behind the viewer was when it resumed. Until the viewer has caught up, this is
	// added to the configured lag, because it is not the viewer's fault.
	behind time.Duration
	closed bool
	taken  uint64    // bytes read that the stream has not counted yet
	route  bool      // the reader of a route, not of a viewer; see Tap
	until  time.Time // see Expire
}

// EndError reports why a viewer's stream ended.
type EndError struct {
	Reason string
	// Again reports whether the stream itself continues, so that a new request would be served.
	Again bool
}

func (e *EndError) Error() string { return e.Reason }

// Read waits for packets and returns them, valid until the next Read. At least once a second it
// returns, with no packets if none arrived, so that the caller can keep the viewer's connection
// alive. The error is that of ctx, which is checked only at a wake-up, or an *EndError.
//
// A viewer that has fallen behind by more than the configured lag continues at the newest keyframe.
func (r *Reader) Read(ctx context.Context) ([]*packetbuf.Packet, error) {
	if r.woken != nil {
		// Packets added since the last read of the ring close this channel, obtained before that read. One
		// channel, without a select on ctx: thousands wait here, and are woken often.
		<-r.woken
		if err := ctx.Err(); err != nil {
			return nil, err
		}
	}
	if err := r.expired(); err != nil {
		return nil, err
	}
	r.woken = r.s.wake.wait()
	packets, more, err := r.fetch()
	select {
	case <-r.s.done: // there are no more wake-ups
		if len(packets) == 0 && !more && err == nil {
			return nil, r.s.endError()
		}
		more = true
	default:
	}
	if more {
		r.woken = nil
	}
	r.countTaken(packets)
	return packets, err
}

// expired returns an *EndError if the viewer's play token has expired, otherwise nil.
func (r *Reader) expired() error {
	if r.until.IsZero() || time.Now().Before(r.until) {
		return nil
	}
	return &EndError{Reason: "this link has expired; ask for a new one"}
}

// endError returns an *EndError with the reason why the stream ended.
func (s *Stream) endError() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return &EndError{Reason: s.ending.reason}
}

// countEvery is how many bytes a viewer reads between updates of the counter, which thousands share.
const countEvery = 64 << 10

// countTaken counts the bytes that a viewer reads.
func (r *Reader) countTaken(packets []*packetbuf.Packet) {
	if r.route {
		return
	}
	for _, p := range packets {
		r.taken += uint64(len(p.Payload))
	}
	if r.taken >= countEvery {
		r.s.taken.Add(r.taken)
		r.taken = 0
	}
}

// fetch returns the packets available now. more reports whether more may be available already.
func (r *Reader) fetch() (packets []*packetbuf.Packet, more bool, err error) {
	n := copy(r.buf[:], r.pending)
	r.pending = r.pending[n:]
	m, configs, skipped, err := r.cursor.Follow(r.buf[n:], r.lag())
	if n+m < len(r.buf) {
		r.behind = 0
	}
	switch {
	case err != nil: // overrun, and no random-access point ahead
		if configs, err = r.rejoinOverrun(); err != nil {
			return nil, false, err
		}
		r.skipTo(configs, nil)
		return nil, true, nil
	case skipped:
		r.waitKey = false
		r.skipTo(configs, r.buf[n:n+m])
		return nil, true, nil
	}
	packets, err = r.filter(r.buf[:n+m])
	return packets, n+m == len(r.buf) || len(r.pending) > 0, err
}

// lag returns how far behind the viewer may fall before it skips; 0: as far as the buffer reaches.
func (r *Reader) lag() time.Duration {
	lag := r.s.cfg.Load().Lag
	if r.route || lag == 0 {
		return 0
	}
	return lag + r.behind
}

// skipTo queues the configurations that are new to the viewer, and then packets, to be read next.
func (r *Reader) skipTo(configs packetbuf.Configs, packets []*packetbuf.Packet) {
	r.pending, r.videoEpoch = r.pending[:0:0], 0
	r.queueConfigs(configs)
	r.pending = append(r.pending, packets...)
	if r.route {
		return
	}
	r.skips++
	r.s.opts.Counters.skips[index(egresses[:], r.protocol)].Add(1)
}

// filter returns the packets that the viewer gets. It selects the viewer's audio, and skips to a
// random-access point if the viewer waits for one. It returns an *EndError at a change of codec,
// because players cannot continue after one.
func (r *Reader) filter(packets []*packetbuf.Packet) ([]*packetbuf.Packet, error) {
	kept := packets[:0]
	for i, p := range packets {
		if p.Track == packetbuf.Audio {
			r.audioSelector.Pass(p)
			if !r.audioSelector.Wants(p) {
				// If a decoder could start here, it can also start with the audio that the viewer gets.
				r.waitKey = r.waitKey && p.Kind != packetbuf.Key
				continue
			}
		}
		if p.Track != packetbuf.Data {
			if had := r.codecs[p.Track]; had != packetbuf.NoCodec && had != p.Codec {
				if len(kept) > 0 {
					r.pending = append([]*packetbuf.Packet{p}, r.pending...)
					return kept, nil
				}
				return nil, &EndError{Reason: fmt.Sprintf("the publisher changed from %s to %s", had, p.Codec), Again: true}
			}
			r.codecs[p.Track] = p.Codec
		}
		switch {
		case p.Kind == packetbuf.Config:
			r.sent[p.Track] = p
		case r.waitKey && !r.canStart(p) || !r.decodable(p):
			continue
		default:
			r.waitKey = false
		}
		if r.fragile && p.Flags&packetbuf.Overdue != 0 {
			continue
		}
		if p.Track == packetbuf.Audio {
			if c := r.audioSelector.MissingConfig(p); c != nil {
				r.pending = slices.Concat([]*packetbuf.Packet{c}, packets[i:], r.pending)
				return kept, nil
			}
			r.audioSelector.Sent(p)
		}
		kept = append(kept, p)
	}
	return kept, nil
}

// canStart reports whether the viewer's decoder can start at p.
func (r *Reader) canStart(p *packetbuf.Packet) bool {
	return p.Kind == packetbuf.Key || r.recovers && p.Recovery > 0
}

// decodable reports whether the viewer has the frames that p refers to. If audio alone is a
// random-access point, because video is missing or silent, a viewer may reach video in the middle of
// a GOP. Repeated frames are only for viewers that join within them.
func (r *Reader) decodable(p *packetbuf.Packet) bool {
	if p.Track != packetbuf.Video {
		return true
	}
	switch key := p.Kind == packetbuf.Key; {
	case p.Flags&packetbuf.Repeat == 0:
		r.inRepeat = false
	case r.fragile && p.Flags&packetbuf.Restart != 0:
	case key && r.videoEpoch != p.Epoch:
		r.inRepeat = true
	case !r.repeats && (!r.inRepeat || key):
		return false
	}
	if r.canStart(p) {
		r.videoEpoch = p.Epoch
	}
	return r.videoEpoch == p.Epoch
}
