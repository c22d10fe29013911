package stream

import (
	"time"

	"github.com/holdfast-live/holdfast/packetbuf"
	"github.com/holdfast-live/holdfast/relay/stream/audio"
)

// Origin is where a viewer began: what a resume token has to keep of it.
type Origin struct {
	Life uint64 // which stream, of all that there were in this process under whatever name
	Seq  uint64 // of the first packet that the viewer was to get
}

// Position is where a viewer was cut off.
type Position struct {
	Origin Origin
	// Track and DTS are those of the last packet of media that the viewer has received whole; of
	// the DTS the low 32 bits of the milliseconds are enough.
	Track packetbuf.Track
	DTS   time.Duration
	// Seq is that packet's sequence, where the protocol has it; 0: Track and DTS tell.
	Seq uint64
	// Begin is where the viewer can begin that cannot go on there.
	Begin Begin
}

// Resume is Attach for a viewer that was cut off. Where the packet that it received last is
// still in the buffer, exact is true: the viewer goes on with the very next one, and with
// what it has been sent of configuration, as if it had never left. Else it begins at the newest
// random-access point.
func (s *Stream) Resume(protocol string, at Position, sound ...packetbuf.Codec) (r *Reader, exact bool, err error) {
	r, err = s.enter(protocol, audio.CodecsOf(sound))
	if err == nil {
		if exact = r.rejoin(at); !exact {
			if err = r.begin(at.Begin); err != nil {
				r.Close()
				r = nil
			}
			s.wantKey()
		}
	}
	s.flush()
	return r, exact, err
}

// wantKey is needKey for who does not hold s.mu.
func (s *Stream) wantKey() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.needKey(time.Now())
}

// Origin is where the viewer began; see Position. It is the same after an exact resume.
func (r *Reader) Origin() Origin { return Origin{Life: r.s.serial, Seq: r.since} }

// Life is the number in Origin: no other stream in this process has it.
func (s *Stream) Life() uint64 { return s.serial }

// Expire has Read end at a time, which is when the viewer's play token expires; the zero Time is never.
func (r *Reader) Expire(at time.Time) { r.until = at }

// Until is the time that Expire has set.
func (r *Reader) Until() time.Time { return r.until }

// expired is the end of a viewer whose play token has expired; nil before that.
func (r *Reader) expired() error {
	if r.until.IsZero() || time.Now().Before(r.until) {
		return nil
	}
	return &EndError{Reason: "this link has expired; ask for a new one"}
}

// rejoin puts the reader behind the packet that its viewer received last, with the state that
// it had there. It returns false, and leaves the reader as it was, where it cannot.
func (r *Reader) rejoin(at Position) bool {
	if at.Origin.Life != r.s.serial {
		return false
	}
	if at.Seq != 0 {
		return r.retrace(at.Seq, at.Origin.Seq)
	}
	for _, bridged := range []bool{false, true} { // one of both was heard
		seq, ok := r.s.ring.Find(at.Track, bridged, at.DTS)
		if ok && r.retrace(seq, at.Origin.Seq) {
			return true
		}
	}
	return false
}

// retrace reads what the viewer has had, from a keyframe or so on, to the packet of sequence
// last: what follows from that is the viewer's state. It returns false, and leaves the reader
// as it was, where the viewer cannot have had that packet.
func (r *Reader) retrace(last, since uint64) bool {
	before := *r
	if !r.replay(last, since) {
		*r = before
		return false
	}
	r.since, r.behind = since, r.cursor.Behind()
	return true
}

// lateSound is more than bridged sound stands behind what it is made of: what a viewer has heard
// is known from that much.
const lateSound = 3 * time.Second

func (r *Reader) replay(last, since uint64) (had bool) {
	trail, ok := r.s.ring.Trail(last, since, lateSound)
	if !ok {
		return false
	}
	r.cursor, r.pictures = trail.Cursor, trail.Epoch
	r.queue(trail.Configs)
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
		kept, err := r.check(r.buf[:n+m])
		if err != nil {
			return false
		}
		had = had || len(kept) > 0 && kept[len(kept)-1].Seq == last && kept[len(kept)-1].Media()
	}
	r.pending = nil
	return had
}
