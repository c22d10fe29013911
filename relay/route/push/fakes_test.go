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

// fakeStream is a stream in synthetic time: its taps return the packets that have arrived by now.
type fakeStream struct {
	mark    byte // first byte of each payload; identifies the stream
	packets []*packetbuf.Packet
	configs []*packetbuf.Packet

	mu           sync.Mutex
	arrivedCount int       // packets so far
	endsAt       time.Time // zero: never
	hangsAt      time.Time // time after which nothing arrives; zero: never
	err          error     // the error of an ended stream
}

// streamSpec describes a fakeStream: 25 video frames a second, every second one disposable, and 50 audio
// frames.
type streamSpec struct {
	mark       byte
	frameSize  int           // bytes
	gop        int           // frames
	clock      time.Duration // DTS of the first packet
	delay      time.Duration // from capture to arrival
	videoDelay time.Duration // additional delay of video
	length     time.Duration
	noAudio    bool
	audioShift time.Duration // added to the DTS of audio
}

func (f streamSpec) generate(began time.Time) *fakeStream {
	r := &fakeStream{mark: f.mark}
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
	frames, audioFrames, needed := 0, 0, 0
	for at := time.Duration(0); at < f.length; at += 10 * time.Millisecond { // in order of arrival
		if d := time.Duration(frames) * 40 * time.Millisecond; d+f.videoDelay <= at {
			k := packetbuf.Delta
			switch {
			case frames%f.gop == 0:
				k = packetbuf.Key
			case frames%2 == 0:
				k = packetbuf.Disposable
			}
			add(packetbuf.Video, k, d, f.videoDelay, f.frameSize)
			frames++
			numbers := r.packets[len(r.packets)-1].Payload[1:]
			binary.BigEndian.PutUint32(numbers, uint32(frames))     //nolint:gosec // small
			binary.BigEndian.PutUint32(numbers[4:], uint32(needed)) //nolint:gosec // small
			if k != packetbuf.Disposable {
				needed = frames
			}
		}
		if d := time.Duration(audioFrames)*20*time.Millisecond + f.audioShift; d <= at && !f.noAudio {
			add(packetbuf.Audio, packetbuf.Delta, d, 0, 100)
			audioFrames++
		}
	}
	for i, p := range r.packets {
		p.Seq = uint64(1000*int(f.mark-'a') + i + 10) //nolint:gosec // small
	}
	return r
}

// fakeStreams implements Streams.
type fakeStreams struct {
	mu      sync.Mutex
	byName  map[string]*fakeStream
	offers  []Offer
	open    int
	maxOpen int
	taps    int
}

func (r *fakeStreams) Tap(name string, from uint64) (Tap, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	s := r.byName[name]
	if s == nil || s.endErr() != nil {
		return nil, ErrEnded
	}
	t := &fakeTap{reels: r, reel: s, fresh: true}
	if t.next = s.newestKey(); from != 0 {
		for t.next > 0 && (s.packets[t.next].Seq > from || s.packets[t.next].Kind != packetbuf.Key) {
			t.next--
		}
	}
	r.open++
	r.taps++
	r.maxOpen = max(r.maxOpen, r.open)
	return t, nil
}

func (r *fakeStreams) Offers(string) []Offer {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]Offer{{Offer: policy.Offer{Ready: true}, Stream: "a"}}, r.offers...)
}

func (*fakeStreams) Want(string, string)   {}
func (*fakeStreams) Limit(string, float64) {}

// arrived returns how many packets have arrived.
func (r *fakeStream) arrived() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := time.Now()
	if !r.hangsAt.IsZero() && now.After(r.hangsAt) {
		now = r.hangsAt
	}
	for r.arrivedCount < len(r.packets) && !r.packets[r.arrivedCount].Arrived.After(now) {
		r.arrivedCount++
	}
	return r.arrivedCount
}

// endErr returns the error of a stream that has ended, or nil.
func (r *fakeStream) endErr() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.endsAt.IsZero() || time.Now().Before(r.endsAt) {
		return nil
	}
	return r.err
}

// stopAt makes the stream end with err, or hang, at a time.
func (r *fakeStream) stopAt(ends, hangs time.Time, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.endsAt, r.hangsAt, r.err = ends, hangs, err
}

func (r *fakeStream) newestKey() int {
	for i := r.arrived() - 1; i > 0; i-- {
		if r.packets[i].Kind == packetbuf.Key {
			return i
		}
	}
	return 0
}

type fakeTap struct {
	reels  *fakeStreams
	reel   *fakeStream
	next   int
	fresh  bool
	closed bool
}

// Read waits as a reader of a stream does: not the first time, and for at most a second.
func (t *fakeTap) Read(ctx context.Context) ([]*packetbuf.Packet, error) {
	if t.closed {
		panic("read after close")
	}
	var out []*packetbuf.Packet
	if t.fresh {
		t.fresh = false
		out = append(out, t.reel.configs...)
	}
	const step = 10 * time.Millisecond
	for waited := time.Duration(0); len(out) == 0 && t.reel.arrived() <= t.next && waited < time.Second; waited += step {
		if err := t.reel.endErr(); err != nil {
			return nil, err
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(step):
		}
	}
	for here := t.reel.arrived(); t.next < here && len(out) < 64; t.next++ {
		out = append(out, t.reel.packets[t.next])
	}
	return out, nil
}

func (t *fakeTap) NewestKey() uint64 { return t.reel.packets[t.reel.newestKey()].Seq }

func (t *fakeTap) Close() {
	t.reels.mu.Lock()
	defer t.reels.mu.Unlock()
	if t.closed {
		panic("closed twice")
	}
	t.closed = true
	t.reels.open--
}

// fakeDestination is a writer behind a line of a given rate. It checks what is written.
type fakeDestination struct {
	t             *testing.T
	mu            sync.Mutex
	rate          float64 // bytes per second; 0: unlimited
	done          chan struct{}
	err           error                         // returned by Err once done is closed
	reject        func(*packetbuf.Packet) error // the error for a packet that the protocol cannot carry
	packets       []written
	writes        [][]*packetbuf.Packet
	lastReference uint32 // number of the last frame that others refer to
	mark          byte   // of the last video frame
	video         byte   // of the last video configuration
	dts           [packetbuf.NumTracks]time.Duration
	started       [packetbuf.NumTracks]bool
	audioGap      time.Duration // longest DTS step in the audio
}

// written is a packet and the time when it was written.
type written struct {
	*packetbuf.Packet
	at time.Time
}

func (s *fakeDestination) Write(packets ...*packetbuf.Packet) error {
	s.mu.Lock()
	rate, refuse := s.rate, s.reject
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
		s.check(p)
	}
	s.mu.Lock()
	s.writes = append(s.writes, append([]*packetbuf.Packet(nil), packets...))
	s.mu.Unlock()
	if rate > 0 {
		time.Sleep(time.Duration(float64(size) / rate * float64(time.Second)))
	}
	return refused
}

func (s *fakeDestination) Done() <-chan struct{} { return s.done }

func (s *fakeDestination) Err() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.err
}

func (s *fakeDestination) check(p *packetbuf.Packet) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.packets = append(s.packets, written{p, time.Now()})
	if time.Since(p.Arrived) > time.Hour && len(s.packets) > 5 {
		s.t.Errorf("got %v %v that counts as %v old, want at most 1h", p.Track, p.Kind, time.Since(p.Arrived))
	}
	if p.Kind == packetbuf.Config {
		if p.Track == packetbuf.Video {
			s.video = p.Payload[0]
		}
		if p.DTS < s.dts[p.Track] {
			s.t.Errorf("got configuration of %v at %v, want not before %v", p.Track, p.DTS, s.dts[p.Track])
		}
		return
	}
	if s.started[p.Track] && p.DTS <= s.dts[p.Track] {
		s.t.Errorf("%v: got DTS %v, want it after %v", p.Track, p.DTS, s.dts[p.Track])
	}
	if p.Track == packetbuf.Audio && s.started[p.Track] {
		s.audioGap = max(s.audioGap, p.DTS-s.dts[p.Track])
	}
	s.started[p.Track], s.dts[p.Track] = true, p.DTS
	if p.Track != packetbuf.Video {
		return
	}
	number, needs := binary.BigEndian.Uint32(p.Payload[1:]), binary.BigEndian.Uint32(p.Payload[5:])
	if s.video != p.Payload[0] || p.Kind != packetbuf.Key && (p.Payload[0] != s.mark || needs != s.lastReference) {
		s.t.Errorf("got a %v of %c at %v that cannot be decoded", p.Kind, s.mark, p.DTS)
	}
	s.mark = p.Payload[0]
	if p.Kind != packetbuf.Disposable {
		s.lastReference = number
	}
}

// maxAudioGap returns the longest DTS step in the audio.
func (s *fakeDestination) maxAudioGap() time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.audioGap
}

func (s *fakeDestination) source() byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.mark
}

// count returns how many of the packets written satisfy is.
func (s *fakeDestination) count(is func(written) bool) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := 0
	for _, p := range s.packets {
		if is(p) {
			n++
		}
	}
	return n
}

// countingHandler is a log handler that counts records.
type countingHandler struct{ n int }

func (*countingHandler) Enabled(context.Context, slog.Level) bool    { return true }
func (c *countingHandler) Handle(context.Context, slog.Record) error { c.n++; return nil }
func (c *countingHandler) WithAttrs([]slog.Attr) slog.Handler        { return c }
func (c *countingHandler) WithGroup(string) slog.Handler             { return c }
