package stream

import (
	"time"

	"github.com/holdfast-live/holdfast/packetbuf"
	"github.com/holdfast-live/holdfast/relay/stream/audio"
)

// Origin identifies where a viewer started. A resume token contains it.
type Origin struct {
	Life uint64 // identifies the stream; see Stream.Life
	Seq  uint64 // sequence number of the first packet after the viewer joined
}

// Position is where a viewer was cut off.
type Position struct {
	Origin Origin
	// Track and DTS are those of the last media packet that the viewer received completely. Of the
	// DTS, the low 32 bits of its milliseconds are enough.
	Track packetbuf.Track
	DTS   time.Duration
	// Seq is the sequence number of that packet, if the protocol has it; 0: Track and DTS identify it.
	Seq uint64
	// Begin says where the viewer can start if it cannot be resumed.
	Begin Begin
}

// Attach adds a viewer that uses the given protocol, at the newest random-access point. It returns
// ErrNotLive if the stream has nothing to play yet, ErrEnded if the stream has ended, and a
// *NoKeyframeError if there is no keyframe to start at.
//
// The viewer gets the publisher's own audio if its codec is among accepts, otherwise bridged audio.
// This may change after a break. If accepts is empty, the viewer gets the publisher's own audio in
// any codec.
func (s *Stream) Attach(protocol string, accepts ...packetbuf.Codec) (*Reader, error) {
	r, _, err := s.Resume(protocol, Position{}, accepts...)
	return r, err
}

// Resume is like Attach, for a viewer that was cut off. If the last packet that it received is still
// in the buffer, exact is true, and the viewer continues with the next packet and keeps the
// configurations that it has, as if it had never been disconnected. Otherwise it starts at the
// newest random-access point.
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

// Origin returns where the viewer started, for Position. An exact resume does not change it.
func (r *Reader) Origin() Origin { return Origin{Life: r.s.serial, Seq: r.since} }

// Life returns a number that is unique among the streams of this process.
func (s *Stream) Life() uint64 { return s.serial }

// resumeAt places the reader after the last packet that its viewer received, and restores the
// reader's state at that packet. If it cannot, it leaves the reader unchanged and returns false.
func (r *Reader) resumeAt(at Position) bool {
	if at.Origin.Life != r.s.serial {
		return false
	}
	if at.Seq != 0 {
		return r.retrace(at.Seq, at.Origin.Seq)
	}
	for _, bridged := range []bool{false, true} { // the viewer received one of the two
		seq, ok := r.s.ring.Find(at.Track, bridged, at.DTS)
		if ok && r.retrace(seq, at.Origin.Seq) {
			return true
		}
	}
	return false
}

// retrace restores the viewer's state after the packet with sequence number last. To do so, it reads
// again what the viewer received, starting at a random-access point before that packet. If the
// viewer cannot have received the packet, retrace leaves the reader unchanged and returns false.
func (r *Reader) retrace(last, since uint64) bool {
	before := *r
	if !r.replay(last, since) {
		*r = before
		return false
	}
	r.since, r.behind = since, r.cursor.Behind()
	return true
}

// bridgeDelay is more than the delay of bridged audio behind its source. If possible, a replay
// starts that long before the viewer's last packet, so that it finds the audio that the viewer had
// received.
const bridgeDelay = 3 * time.Second

// replay does the work of retrace, but may leave the reader in an intermediate state when it fails.
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
