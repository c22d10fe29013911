package stream

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/holdfast-live/holdfast/packetbuf"
	"github.com/holdfast-live/holdfast/relay/lifecycle"
	"github.com/holdfast-live/holdfast/relay/stream/audio"
)

// ErrNotLive: there is nothing to play (yet).
var ErrNotLive = errors.New("the stream is not live")

// batch is how many packets a viewer takes at a time; more than a writev takes is of no use.
const batch = 64

// Reader is one viewer's place in the stream. One goroutine uses it.
type Reader struct {
	s             *Stream
	protocol      string
	cursor        packetbuf.Cursor
	has           [packetbuf.NumTracks]bool
	codecs        [packetbuf.NumTracks]packetbuf.Codec
	sent          packetbuf.Configs // the configuration that this viewer has
	audioSelector audio.Selector
	pending       []*packetbuf.Packet
	waitKey       bool   // nothing but configuration until the next random-access point
	skips         uint64 // because it fell behind
	pictures      uint32 // the epoch of whose pictures it has had a keyframe; 0: of none
	again         bool   // it takes what is sent again: it began there
	ways          bool   // it takes all that is sent again
	starves       bool   // its player may lose its decoder's state when nothing comes, or be later for good
	recovers      bool   // its decoder can begin at a recovery point
	buf           [batch]*packetbuf.Packet
	woken         <-chan struct{} // nil: look into the ring without waiting
	since         uint64          // sequence of the first packet that it was to get
	// behind is how far a viewer that resumed was behind then, which is no fault of its own, until
	// it has caught up.
	behind time.Duration
	closed bool
	taken  uint64    // bytes that the stream does not know of yet
	route  bool      // not a viewer; see Tap
	until  time.Time // see Expire
}

// Attach adds a viewer of a protocol at the newest random-access point. It returns ErrNotLive
// where there is nothing to play, ErrEnded when the stream is over, and a *NoKeyframeError where
// there is nothing to begin at.
//
// sound is what the viewer takes: the publisher's own sound where it is among that, else bridged
// sound, and over a break one after the other. Without any it is the publisher's own, whatever
// that is.
func (s *Stream) Attach(protocol string, sound ...packetbuf.Codec) (*Reader, error) {
	r, _, err := s.Resume(protocol, Position{}, sound...)
	return r, err
}

// enter counts a viewer, whose place on the stream is not found yet.
func (s *Stream) enter(protocol string, accepts audio.Codecs) (*Reader, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.playable(); err != nil {
		return nil, err
	}
	r := &Reader{s: s, protocol: protocol, has: s.present, starves: protocol == "httpflv" || protocol == "rtmp"}
	s.selectAudio(r, accepts)
	s.viewers[protocol]++
	s.opts.Load.viewers.Add(1)
	return r, nil
}

// playable tells whether the stream has something to be read. s.mu is held.
func (s *Stream) playable() error {
	switch state, _ := s.machine.State(); state {
	case lifecycle.Idle:
		return ErrNotLive
	case lifecycle.Ended:
		return ErrEnded
	case lifecycle.Live, lifecycle.Suspect, lifecycle.Held:
	}
	return nil
}

// join finds the viewer's place, and reports whether it is one to begin at. Else the viewer waits
// for the next.
func (r *Reader) join() bool {
	join := r.s.ring.Join
	if r.recovers {
		join = r.s.ring.JoinRecovery
	}
	cursor, configs, err := join()
	if err != nil {
		cursor, configs = r.s.ring.Live()
		r.waitKey = true
	}
	r.cursor, r.since = cursor, cursor.Next()
	r.queue(configs)
	return err == nil
}

// queue puts the configuration that the viewer does not have in front of what it reads next.
func (r *Reader) queue(configs packetbuf.Configs) {
	for _, slot := range []int{int(packetbuf.Data), int(packetbuf.Video), int(packetbuf.Audio), packetbuf.BridgedAudio} {
		if c := configs[slot]; c != nil && c != r.sent[slot] {
			r.pending = append(r.pending, c)
		}
	}
	r.audioSelector.Join(configs)
}

// Has tells whether the stream had the track, in a codec that the viewer can have, when it
// joined.
func (r *Reader) Has(tr packetbuf.Track) bool { return r.has[tr] }

// Done is closed when the stream has ended; Read tells how.
func (r *Reader) Done() <-chan struct{} { return r.s.done }

// Close gives the viewer's place up.
func (r *Reader) Close() {
	if r.closed {
		return
	}
	r.closed = true
	r.s.taken.Add(r.taken)
	r.s.mu.Lock()
	defer r.s.mu.Unlock()
	r.s.bridge.AddViewers(r.audioSelector.Codecs(), -1)
	if r.route {
		return
	}
	r.s.viewers[r.protocol]--
	if r.s.viewers[r.protocol] == 0 {
		delete(r.s.viewers, r.protocol)
	}
	r.s.opts.Load.viewers.Add(-1)
}

// EndError is how a viewer's stream ends.
type EndError struct {
	Reason string
	// Again tells that the stream itself goes on and a new request would be served.
	Again bool
}

func (e *EndError) Error() string { return e.Reason }

// Read waits for packets and returns them, valid until the next Read. It may return none, and
// does so at least once a second while none come, so that the viewer can be told that somebody
// is still there. Its error is ctx's, of which it learns at a wake-up, or an *EndError.
//
// A viewer that has fallen behind by more than the lag allowed goes on at the newest
// keyframe.
func (r *Reader) Read(ctx context.Context) ([]*packetbuf.Packet, error) {
	if r.woken != nil {
		// What came after the last look into the ring closes the channel that was taken before
		// it. One channel, not a select with ctx's: thousands wait here, and are woken often.
		<-r.woken
		if err := ctx.Err(); err != nil {
			return nil, err
		}
	}
	if err := r.expired(); err != nil {
		return nil, err
	}
	r.woken = r.s.wake.wait()
	packets, more, err := r.take()
	select {
	case <-r.s.done: // nobody will be woken any more
		if len(packets) == 0 && !more && err == nil {
			return nil, r.s.endError()
		}
		more = true
	default:
	}
	if more {
		r.woken = nil
	}
	r.took(packets)
	return packets, err
}

// manyTaken is how many bytes a viewer reads before it says so: thousands share the counter.
const manyTaken = 64 << 10

// took counts what a viewer reads.
func (r *Reader) took(packets []*packetbuf.Packet) {
	if r.route {
		return
	}
	for _, p := range packets {
		r.taken += uint64(len(p.Payload))
	}
	if r.taken >= manyTaken {
		r.s.taken.Add(r.taken)
		r.taken = 0
	}
}

// take returns what there is now; more tells that there may be more already.
func (r *Reader) take() (packets []*packetbuf.Packet, more bool, err error) {
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
		r.requeue(configs, nil)
		return nil, true, nil
	case skipped:
		r.waitKey = false
		r.requeue(configs, r.buf[n:n+m])
		return nil, true, nil
	}
	packets, err = r.check(r.buf[:n+m])
	return packets, n+m == len(r.buf) || len(r.pending) > 0, err
}

// lag is how far behind the viewer may fall; 0: as far as the buffer goes.
func (r *Reader) lag() time.Duration {
	lag := r.s.cfg.Load().Lag
	if r.route || lag == 0 {
		return 0
	}
	return lag + r.behind
}

// requeue makes what is read next the configuration that is new to the viewer, and then
// packets.
func (r *Reader) requeue(configs packetbuf.Configs, packets []*packetbuf.Packet) {
	r.pending, r.pictures = r.pending[:0:0], 0
	r.queue(configs)
	r.pending = append(r.pending, packets...)
	if r.route {
		return
	}
	r.skips++
	r.s.opts.Counters.skips[index(egresses[:], r.protocol)].Add(1)
}

// Skips returns how often the viewer has skipped because it fell behind. It is called by the
// goroutine that reads.
func (r *Reader) Skips() uint64 { return r.skips }

// Skip goes on at the newest random-access point, if that is ahead.
func (r *Reader) Skip() {
	if configs, ok := r.cursor.Skip(); ok {
		r.waitKey, r.pending, r.pictures, r.woken = false, nil, 0, nil
		r.queue(configs)
	}
}

// check notes configuration, picks the sound that the viewer takes, waits for a random-access
// point where it has to, and ends the viewer at a change of codec: no player survives one.
func (r *Reader) check(packets []*packetbuf.Packet) ([]*packetbuf.Packet, error) {
	kept := packets[:0]
	for i, p := range packets {
		if p.Track == packetbuf.Audio {
			r.audioSelector.Pass(p)
			if !r.audioSelector.Wants(p) {
				r.pass(p)
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
		case r.waitKey && !r.starts(p) || !r.decodable(p):
			continue
		default:
			r.waitKey = false
		}
		if r.starves && p.Flags&packetbuf.Overdue != 0 {
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

// pass goes past a packet of sound that the viewer does not take. That one could begin there is
// as good for the sound that it does take.
func (r *Reader) pass(p *packetbuf.Packet) {
	if p.Kind == packetbuf.Key {
		r.waitKey = false
	}
}

// decodable tells whether the viewer has what p is decoded from. Where sound alone is a
// random-access point, because pictures are missing or stand still, a viewer may come to
// pictures in the middle of a GOP.
func (r *Reader) decodable(p *packetbuf.Packet) bool {
	if p.Track != packetbuf.Video {
		return true
	}
	switch key := p.Kind == packetbuf.Key; {
	case p.Flags&packetbuf.Again == 0:
		r.again = false
	case r.starves && p.Flags&packetbuf.Restart != 0:
	case key && r.pictures != p.Epoch:
		r.again = true
	case !r.ways && (!r.again || key):
		return false
	}
	if r.starts(p) {
		r.pictures = p.Epoch
	}
	return r.pictures == p.Epoch
}

func (s *Stream) endError() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return &EndError{Reason: s.reason}
}
