package push

import (
	"context"
	"encoding/binary"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/holdfast-live/holdfast/packetbuf"
	"github.com/holdfast-live/holdfast/qos/policy"
)

// reel is a stream as fake taps show it: what has arrived by now.
type reel struct {
	mark    byte // first of each payload: which reel
	packets []*packetbuf.Packet
	configs []*packetbuf.Packet

	mu    sync.Mutex
	came  int       // packets so far
	ends  time.Time // zero: it does not
	hangs time.Time // from when on nothing arrives, zero: it does not
	err   error     // how it ends
}

// film describes a reel: 25 pictures a second, every second one disposable, 50 sounds.
type film struct {
	mark    byte
	picture int           // bytes
	gop     int           // pictures
	clock   time.Duration // DTS at the beginning
	delay   time.Duration // of arrival
	late    time.Duration // more of that, for pictures
	length  time.Duration
	quiet   bool          // no sound
	shift   time.Duration // of the sound
}

func (f film) shoot(began time.Time) *reel {
	r := &reel{mark: f.mark}
	config := func(tr packetbuf.Track, c packetbuf.Codec, payload ...byte) {
		r.configs = append(r.configs, &packetbuf.Packet{Track: tr, Codec: c, Kind: packetbuf.Config, Arrived: began.Add(-30 * time.Hour), Seq: 1, Payload: payload})
	}
	config(packetbuf.Video, packetbuf.H264, f.mark, 1, 2)
	config(packetbuf.Audio, packetbuf.AAC, 0x12, 0x10)
	add := func(tr packetbuf.Track, k packetbuf.Kind, at, late time.Duration, size int) {
		p := &packetbuf.Packet{Track: tr, Codec: packetbuf.H264, Kind: k, DTS: f.clock + at, Arrived: began.Add(at + f.delay + late), Payload: make([]byte, size)}
		if tr == packetbuf.Audio {
			p.Codec = packetbuf.AAC
		}
		p.Payload[0] = f.mark
		r.packets = append(r.packets, p)
	}
	pictures, sounds, needed := 0, 0, 0
	for at := time.Duration(0); at < f.length; at += 10 * time.Millisecond { // in order of arrival
		if d := time.Duration(pictures) * 40 * time.Millisecond; d+f.late <= at {
			k := packetbuf.Delta
			switch {
			case pictures%f.gop == 0:
				k = packetbuf.Key
			case pictures%2 == 0:
				k = packetbuf.Disposable
			}
			add(packetbuf.Video, k, d, f.late, f.picture)
			pictures++
			numbers := r.packets[len(r.packets)-1].Payload[1:]
			binary.BigEndian.PutUint32(numbers, uint32(pictures))   //nolint:gosec // small
			binary.BigEndian.PutUint32(numbers[4:], uint32(needed)) //nolint:gosec // small
			if k != packetbuf.Disposable {
				needed = pictures
			}
		}
		if d := time.Duration(sounds)*20*time.Millisecond + f.shift; d <= at && !f.quiet {
			add(packetbuf.Audio, packetbuf.Delta, d, 0, 100)
			sounds++
		}
	}
	for i, p := range r.packets {
		p.Seq = uint64(1000*int(f.mark-'a') + i + 10) //nolint:gosec // small
	}
	return r
}

// reels implements Streams with reels.
type reels struct {
	mu     sync.Mutex
	byName map[string]*reel
	offers []Offer
	open   int
	most   int
	taps   int
}

func (r *reels) Tap(name string, from uint64) (Tap, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	s := r.byName[name]
	if s == nil || s.over() != nil {
		return nil, ErrEnded
	}
	t := &reelTap{reels: r, reel: s, fresh: true}
	if t.next = s.newestKey(); from != 0 {
		for t.next > 0 && (s.packets[t.next].Seq > from || s.packets[t.next].Kind != packetbuf.Key) {
			t.next--
		}
	}
	r.open++
	r.taps++
	r.most = max(r.most, r.open)
	return t, nil
}

func (r *reels) Offers(string) []Offer {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]Offer{{Offer: policy.Offer{Ready: true}, Stream: "a"}}, r.offers...)
}

func (*reels) Want(string, string)   {}
func (*reels) Limit(string, float64) {}

// here is how many packets have arrived.
func (r *reel) here() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := time.Now()
	if !r.hangs.IsZero() && now.After(r.hangs) {
		now = r.hangs
	}
	for r.came < len(r.packets) && !r.packets[r.came].Arrived.After(now) {
		r.came++
	}
	return r.came
}

// over is how it has ended, if it has.
func (r *reel) over() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.ends.IsZero() || time.Now().Before(r.ends) {
		return nil
	}
	return r.err
}

// cut has it end, or hang, at a time.
func (r *reel) cut(ends, hangs time.Time, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.ends, r.hangs, r.err = ends, hangs, err
}

func (r *reel) newestKey() int {
	for i := r.here() - 1; i > 0; i-- {
		if r.packets[i].Kind == packetbuf.Key {
			return i
		}
	}
	return 0
}

type reelTap struct {
	reels  *reels
	reel   *reel
	next   int
	fresh  bool
	closed bool
}

// Read waits as a stream's reader does: not the first time, and for a second at the most.
func (t *reelTap) Read(ctx context.Context) ([]*packetbuf.Packet, error) {
	if t.closed {
		panic("read after close")
	}
	var out []*packetbuf.Packet
	if t.fresh {
		t.fresh = false
		out = append(out, t.reel.configs...)
	}
	const step = 10 * time.Millisecond
	for waited := time.Duration(0); len(out) == 0 && t.reel.here() <= t.next && waited < time.Second; waited += step {
		if err := t.reel.over(); err != nil {
			return nil, err
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(step):
		}
	}
	for here := t.reel.here(); t.next < here && len(out) < 64; t.next++ {
		out = append(out, t.reel.packets[t.next])
	}
	return out, nil
}

func (t *reelTap) NewestKey() uint64 { return t.reel.packets[t.reel.newestKey()].Seq }

func (t *reelTap) Close() {
	t.reels.mu.Lock()
	defer t.reels.mu.Unlock()
	if t.closed {
		panic("closed twice")
	}
	t.closed = true
	t.reels.open--
}

// screen is a far side behind a line of a given rate: a writer that checks what it is written.
type screen struct {
	t       *testing.T
	mu      sync.Mutex
	rate    float64 // bytes per second; 0: no bound
	done    chan struct{}
	err     error                         // of done
	refuse  func(*packetbuf.Packet) error // what the protocol does not carry
	wrote   []shown
	writes  [][]*packetbuf.Packet
	shown   uint32 // number of the last picture that others need
	mark    byte   // of the picture last shown
	video   byte   // of the last video configuration
	dts     [packetbuf.NumTracks]time.Duration
	began   [packetbuf.NumTracks]bool
	silence time.Duration // the longest step in the sound
}

// shown is a packet and when it was written.
type shown struct {
	*packetbuf.Packet
	at time.Time
}

func (s *screen) Write(packets ...*packetbuf.Packet) error {
	s.mu.Lock()
	rate, refuse := s.rate, s.refuse
	s.mu.Unlock()
	size := 0
	var refused error
	for _, p := range packets {
		if refuse != nil {
			if err := refuse(p); err != nil {
				refused = err
				continue
			}
		}
		size += len(p.Payload)
		s.show(p)
	}
	s.mu.Lock()
	s.writes = append(s.writes, append([]*packetbuf.Packet(nil), packets...))
	s.mu.Unlock()
	if rate > 0 {
		time.Sleep(time.Duration(float64(size) / rate * float64(time.Second)))
	}
	return refused
}

func (s *screen) Done() <-chan struct{} { return s.done }

func (s *screen) Err() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.err
}

func (s *screen) show(p *packetbuf.Packet) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.wrote = append(s.wrote, shown{p, time.Now()})
	if time.Since(p.Arrived) > time.Hour && len(s.wrote) > 5 {
		s.t.Errorf("%v %v counts as %v old", p.Track, p.Kind, time.Since(p.Arrived))
	}
	if p.Kind == packetbuf.Config {
		if p.Track == packetbuf.Video {
			s.video = p.Payload[0]
		}
		if p.DTS < s.dts[p.Track] {
			s.t.Errorf("configuration of %v at %v, after %v", p.Track, p.DTS, s.dts[p.Track])
		}
		return
	}
	if s.began[p.Track] && p.DTS <= s.dts[p.Track] {
		s.t.Errorf("%v: %v after %v", p.Track, p.DTS, s.dts[p.Track])
	}
	if p.Track == packetbuf.Audio && s.began[p.Track] {
		s.silence = max(s.silence, p.DTS-s.dts[p.Track])
	}
	s.began[p.Track], s.dts[p.Track] = true, p.DTS
	if p.Track != packetbuf.Video {
		return
	}
	number, needs := binary.BigEndian.Uint32(p.Payload[1:]), binary.BigEndian.Uint32(p.Payload[5:])
	if s.video != p.Payload[0] || p.Kind != packetbuf.Key && (p.Payload[0] != s.mark || needs != s.shown) {
		s.t.Errorf("a %v of %c at %v, which cannot be decoded", p.Kind, s.mark, p.DTS)
	}
	s.mark = p.Payload[0]
	if p.Kind != packetbuf.Disposable {
		s.shown = number
	}
}

// gap is the longest step in the sound.
func (s *screen) gap() time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.silence
}

func (s *screen) showing() byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.mark
}

// count counts what was written that is so.
func (s *screen) count(is func(shown) bool) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := 0
	for _, p := range s.wrote {
		if is(p) {
			n++
		}
	}
	return n
}

// counting is a log that counts.
type counting struct{ n int }

func (*counting) Enabled(context.Context, slog.Level) bool    { return true }
func (c *counting) Handle(context.Context, slog.Record) error { c.n++; return nil }
func (c *counting) WithAttrs([]slog.Attr) slog.Handler        { return c }
func (c *counting) WithGroup(string) slog.Handler             { return c }
