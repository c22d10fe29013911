// Package stream implements one stream: media from publishers passes through the stream's lifecycle,
// clock and ring to the viewers, who stay connected while publishers come and go.
//
// The decisions about publisher sessions, filler, audio and a standby are made in subpackages. These
// are pure and do not depend on this package.
package stream

import (
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/holdfast-live/holdfast/ingest"
	"github.com/holdfast-live/holdfast/packetbuf"
	"github.com/holdfast-live/holdfast/packetbuf/audiogap"
	"github.com/holdfast-live/holdfast/packetbuf/budget"
	"github.com/holdfast-live/holdfast/packetbuf/timeline"
	"github.com/holdfast-live/holdfast/relay/lifecycle"
	"github.com/holdfast-live/holdfast/relay/stream/audio"
	"github.com/holdfast-live/holdfast/relay/stream/filler"
	"github.com/holdfast-live/holdfast/relay/stream/publisher"
)

// ErrEnded means that the stream has ended.
var ErrEnded = errors.New("the stream has ended")

// Options are the dependencies of a stream.
type Options struct {
	Config   Config
	Observer Observer        // gets the stream's events
	Counters *Counters       // shared by all streams
	Load     *Load           // shared by all streams
	Log      *slog.Logger    // with stream set
	Repairs  *ingest.Repairs // counts the repairs of publishers' timestamps; nil: they are not counted
	OnEnd    func(*Stream)   // called once, when the stream has ended, from any goroutine
	// Bridge requests the stream's audio in another codec, which is then delivered by calls of
	// Stream.Bridge. It is called again about once a second while a viewer needs the audio, and must
	// not block. Nil: no bridge is available.
	Bridge func(name string, to packetbuf.Codec)
	// Bridgeable reports whether bridged audio is available now. Nil: it is available if Bridge is set.
	Bridgeable func() bool
	// Memory bounds the memory of this stream and all others together. Nil: only Config limits it.
	Memory *budget.Budget
}

// Stream is one stream's state. It has one goroutine and one timer; Close ends both.
type Stream struct {
	name string
	// serial is unique among the streams of this process.
	serial uint64

	opts Options
	cfg  atomic.Pointer[Config]
	ring *packetbuf.Ring
	wake *wake
	out  *outbox
	// taken is the number of media bytes that viewers have read; see Reader.countTaken.
	taken atomic.Uint64

	poked chan struct{} // capacity 1; filled when a deadline may be earlier than before
	done  chan struct{} // closed when the stream has ended
	loop  sync.WaitGroup

	mu      sync.Mutex // guards all below
	machine *lifecycle.Machine
	since   time.Time // when the machine's state was entered
	clock   timeline.Timeline
	tracks
	publishers    map[lifecycle.ID]*publisherSession
	lastID        lifecycle.ID
	activeSession string // ID of the session that feeds the stream, or fed it last
	epoch         uint32
	slates        uint32 // number of epochs that were slates
	frozen        bool   // the last frame was generated: only an IDR frame may follow
	standby       standbyState
	filler        *filler.Filler // set while the stream is held; nil: no filler
	gap           audiogap.Track // gaps in the audio
	bridge        audio.Bridge
	segments      segments
	repairs       publisher.ClockRepairs
	lateness      publisher.Lateness
	ceilings      ceilings
	appended      time.Time // when a packet was last appended to the ring
	keyWoken      time.Time // when a keyframe last woke the viewers
	viewers       map[string]int
	received      uint64 // media bytes from publishers
	ending        ending
}

// New returns a stream without a publisher.
func New(name string, o Options) *Stream {
	s := &Stream{
		name: name, serial: o.Load.streams.Add(1), opts: o, ring: packetbuf.NewRing(o.Config.Buffer), wake: newWake(), out: newOutbox(),
		poked: make(chan struct{}, 1), done: make(chan struct{}),
		publishers: map[lifecycle.ID]*publisherSession{}, viewers: map[string]int{}, bridge: audio.NewBridge(),
		ending: ending{breaks: map[ingest.Cause]int{}}, since: time.Now(),
	}
	s.cfg.Store(&o.Config)
	s.ring.Charge(o.Memory)
	s.machine = lifecycle.New(o.Config.lifecycle(), sessionProbe{s})
	s.loop.Go(s.run)
	return s
}

// Name returns the stream's name: {app}/{name}.
func (s *Stream) Name() string { return s.name }

// Done returns a channel that is closed when the stream has ended.
func (s *Stream) Done() <-chan struct{} { return s.done }

// Wake wakes the viewers at once, without gathering packets first.
func (s *Stream) Wake() { s.wake.all() }

// Configure changes the configuration. Viewers stay connected.
func (s *Stream) Configure(c Config) {
	s.cfg.Store(&c)
	s.ring.SetLimits(c.Buffer)
	s.locked(func() {
		s.machine.SetConfig(c.lifecycle())
		for _, pub := range s.publishers {
			pub.SetWatchdog(c.watchdog())
		}
	})
	s.poke()
}

// Close ends the stream with its sessions and its viewers. It waits for the stream's goroutine.
func (s *Stream) Close(cause ingest.Cause, reason string) {
	s.stop(cause, reason)
	s.loop.Wait()
}

// Kick disconnects the push that feeds the stream and the push that waits to feed it. Viewers are
// held. Kick returns false if no push was connected.
func (s *Stream) Kick(reason string) (kicked bool) {
	s.locked(func() {
		for _, id := range []lifecycle.ID{s.machine.Current(), s.machine.Waiting()} {
			if pub := s.publishers[id]; pub != nil {
				kicked, pub.detail = true, reason
				s.perform(time.Now(), s.machine.End(time.Now(), id, ingest.Kick))
				s.dismiss(pub, ingest.Kick, reason)
			}
		}
		s.endIfIdle(time.Now())
	})
	s.poke()
	s.out.flush()
	return kicked
}
