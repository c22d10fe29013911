package stream

import (
	"time"

	"github.com/holdfast-live/holdfast/packetbuf"
	"github.com/holdfast-live/holdfast/relay/stream/audio"
)

// Origin is where a viewer started: what a resume token has to keep of it.
type Origin struct {
	Life uint64 // the stream; see Stream.Life
	Seq  uint64 // of the first packet that the viewer was to get
}

// Position is where a viewer was cut off.
type Position struct {
	Origin Origin
	// Track and DTS are those of the last packet of media that the viewer has received whole. Of the
	// DTS the low 32 bits of the milliseconds are enough.
	Track packetbuf.Track
	DTS   time.Duration
	// Seq is that packet's sequence, where the protocol has it; 0: Track and DTS tell.
	Seq uint64
	// Begin tells where the viewer can start if it cannot go on.
	Begin Begin
}

// Attach adds a viewer of a protocol at the newest random-access point. It returns ErrNotLive where
// there is nothing to play, ErrEnded when the stream is over, and a *NoKeyframeError where there is
// no keyframe to start at.
//
// The viewer gets the publisher's own audio where its codec is among accepts, otherwise bridged
// audio, and over a break one after the other. Without any codec it gets the publisher's own,
// whatever that is.
func (s *Stream) Attach(protocol string, accepts ...packetbuf.Codec) (*Reader, error) {
	r, _, err := s.Resume(protocol, Position{}, accepts...)
	return r, err
}

// Resume is Attach for a viewer that was cut off. Where the packet that it received last is still in
// the buffer, exact is true: the viewer goes on with the very next one, and with the configurations
// that it has been sent, as if it had never left. Otherwise it starts at the newest random-access
// point.
func (s *Stream) Resume(protocol string, at Position, accepts ...packetbuf.Codec) (r *Reader, exact bool, err error) {
	r, err = s.addViewer(protocol, audio.CodecsOf(accepts))
	if err == nil {
		if exact = r.resumeAt(at); !exact {
			if err = r.start(at.Begin); err != nil {
				r.Close()
				r = nil
			}
			s.locked(func() { s.refreshKeyframe(time.Now()) })
		}
	}
	s.out.flush()
	return r, exact, err
}

// Origin returns where the viewer started; see Position. It is the same after an exact resume.
func (r *Reader) Origin() Origin { return Origin{Life: r.s.serial, Seq: r.since} }

// Life returns a number that differs from that of each other stream in this process.
func (s *Stream) Life() uint64 { return s.serial }

// resumeAt places the reader behind the packet that its viewer received last, with the state that it
// had there. It returns false, and leaves the reader as it was, where it cannot.
func (r *Reader) resumeAt(at Position) bool {
	if at.Origin.Life != r.s.serial {
		return false
	}
	if at.Seq != 0 {
		return r.retrace(at.Seq, at.Origin.Seq)
	}
	for _, bridged := range []bool{false, true} { // the viewer had one of both
		seq, ok := r.s.ring.Find(at.Track, bridged, at.DTS)
		if ok && r.retrace(seq, at.Origin.Seq) {
			return true
		}
	}
	return false
}

// retrace reads what the viewer has had up to the packet of sequence last, from a keyframe or so on:
// what follows from that is the viewer's state. It returns false, and leaves the reader as it was,
// where the viewer cannot have had that packet.
func (r *Reader) retrace(last, since uint64) bool {
	before := *r
	if !r.replay(last, since) {
		*r = before
		return false
	}
	r.since, r.behind = since, r.cursor.Behind()
	return true
}

// bridgeDelay is more than bridged audio stands behind its source: that much tells which audio a
// viewer has had.
const bridgeDelay = 3 * time.Second

// replay is retrace without its way back: it may leave the reader halfway.
func (r *Reader) replay(last, since uint64) (had bool) {
	trail, ok := r.s.ring.Trail(last, since, bridgeDelay)
	if !ok {
		return false
	}
	r.cursor, r.videoEpoch = trail.Cursor, trail.Epoch
	r.queueConfigs(trail.Configs)
	for _, p := range trail.Sound {
		if p != nil && p.Seq >= since {
			r.audioSelector.Resume(p)
		}
	}
	for r.cursor.Next() <= last || len(r.pending) > 0 {
		n := copy(r.buf[:], r.pending)
		r.pending = r.pending[n:]
		m := 0
		if left := last + 1 - r.cursor.Next(); left > 0 {
			var err error
			if m, err = r.cursor.Read(r.buf[n : n+int(min(left, uint64(batch-n)))]); err != nil { //nolint:gosec // at most a batch
				return false
			}
		}
		kept, err := r.filter(r.buf[:n+m])
		if err != nil {
			return false
		}
		had = had || len(kept) > 0 && kept[len(kept)-1].Seq == last && kept[len(kept)-1].Media()
	}
	r.pending = nil
	return had
}
