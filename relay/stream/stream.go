// Package stream is one stream: what publishers write goes through its life, its clock and
// its ring to the viewers, who stay while publishers come and go.
package stream

import (
	"cmp"
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
	"github.com/holdfast-live/holdfast/relay/stream/standby"
)

// ErrEnded: the stream is over.
var ErrEnded = errors.New("the stream has ended")

// Options are what a stream needs.
type Options struct {
	Config   Config
	Observer Observer        // is told what happens
	Counters *Counters       // shared by all streams
	Load     *Load           // shared by all streams
	Log      *slog.Logger    // with stream set
	Repairs  *ingest.Repairs // counts what is repaired in publishers' timestamps; nil: it is not counted
	OnEnd    func(*Stream)   // called once, when the stream has ended, from any goroutine
	// Bridge asks for the stream's sound in another codec, which comes through Stream.Bridge.
	// It is asked again about once a second while somebody needs it, and must not block. nil:
	// there is no bridge.
	Bridge func(name string, to packetbuf.Codec)
	// Bridgeable tells whether bridged sound is to be had at all now. nil: where there is Bridge.
	Bridgeable func() bool
	// Memory bounds what the stream holds together with all others. nil: only Config does.
	Memory *budget.Budget
}

// Stream is one stream's state. It has one goroutine and one timer; Close ends both.
type Stream struct {
	name string
	// serial tells the stream from all others that there were in this process.
	serial uint64

	opts Options
	cfg  atomic.Pointer[Config]
	ring *packetbuf.Ring
	wake *wake
	out  outbox
	// taken are the media bytes that viewers have read; see Reader.took.
	taken atomic.Uint64

	poked chan struct{} // of one: a deadline may have come nearer
	done  chan struct{} // closed when the stream has ended
	loop  sync.WaitGroup

	mu         sync.Mutex // guards all below
	machine    *lifecycle.Machine
	clock      timeline.Timeline
	gap        audiogap.Track // holes in the audio
	segments   segments
	publishers map[lifecycle.ID]*publisherSession
	lastID     lifecycle.ID
	epoch      uint32
	slates     uint32 // how many of the epochs were a slate's
	tracks
	filler        *filler.Filler // of a stream that is held; nil: nothing is filled in
	lateness      publisher.Lateness
	returning     standby.Returning // the return of the session that fell silent
	repairs       publisher.ClockRepairs
	frozen        bool      // a made picture came last: only an IDR picture may follow
	appended      time.Time // when the ring last got something
	keyWoken      time.Time // when a keyframe last woke the viewers
	since         time.Time // of the state
	viewers       map[string]int
	bridge        audio.Bridge
	breaks        map[ingest.Cause]int
	received      uint64 // media bytes from publishers
	ceilings      ceilings
	activeSession string // the session that feeds the stream, or did last
	reason        string // why it ended, for viewers
	// lastBreak and lastDetail are of the push that broke or ended last.
	lastBreak  ingest.Cause
	lastDetail string
	flaps      standby.Flaps
	sentWindow standby.Window // what viewers have had, while there is a standby
}

// New returns a stream that nobody publishes to yet.
func New(name string, o Options) *Stream {
	s := &Stream{
		name: name, serial: o.Load.streams.Add(1), opts: o, ring: packetbuf.NewRing(o.Config.Buffer), wake: newWake(), out: newOutbox(),
		poked: make(chan struct{}, 1), done: make(chan struct{}),
		publishers: map[lifecycle.ID]*publisherSession{}, viewers: map[string]int{}, bridge: audio.NewBridge(), breaks: map[ingest.Cause]int{},
		since: time.Now(),
	}
	s.cfg.Store(&o.Config)
	s.ring.Charge(o.Memory)
	s.machine = lifecycle.New(o.Config.lifecycle(), sessionProbe{s})
	s.loop.Go(s.run)
	return s
}

// Name is {app}/{name}.
func (s *Stream) Name() string { return s.name }

// Done is closed when the stream has ended.
func (s *Stream) Done() <-chan struct{} { return s.done }

// Wake has the viewers look for packets now, without regard to gathering.
func (s *Stream) Wake() { s.wake.all() }

// Configure changes the rules; nobody is dropped.
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

// Close ends the stream: its sessions and its viewers. It waits for the stream's goroutine.
func (s *Stream) Close(cause ingest.Cause, reason string) {
	s.stop(cause, reason)
	s.loop.Wait()
}

func (s *Stream) stop(cause ingest.Cause, reason string) {
	s.locked(func() {
		if s.reason == "" {
			s.reason = reason
		}
		s.perform(time.Now(), s.machine.Stop(cause))
	})
	s.flush()
}

// Kick breaks the push that feeds the stream, and the one that waits to. Viewers are held.
// It returns false if there is none.
func (s *Stream) Kick(reason string) bool {
	kicked := s.kick(reason)
	s.poke()
	s.flush()
	return kicked
}

func (s *Stream) kick(reason string) (kicked bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, id := range []lifecycle.ID{s.machine.Current(), s.machine.Waiting()} {
		if pub := s.publishers[id]; pub != nil {
			kicked, pub.detail = true, reason
			s.perform(time.Now(), s.machine.End(time.Now(), id, ingest.Kick))
			s.dismiss(pub, ingest.Kick, reason)
		}
	}
	s.endIfIdle(time.Now())
	return kicked
}

// sessionProbe answers the lifecycle's questions about its sessions. s.mu is held by the caller that
// drives the lifecycle.
type sessionProbe struct{ s *Stream }

// Quiet returns how long a session has been quiet; an hour for one that is gone. s.mu is held.
func (p sessionProbe) Quiet(id lifecycle.ID, now time.Time) time.Duration {
	pub := p.s.publishers[id]
	if pub == nil {
		return time.Hour
	}
	return pub.Quiet(now)
}

// perform does what the life decided. s.mu is held; whoever holds it flushes afterwards.
func (s *Stream) perform(now time.Time, effects []lifecycle.Effect) {
	for _, e := range effects {
		pub := s.publishers[e.ID]
		switch e.Kind {
		case lifecycle.Broke:
			s.broke(now, pub, e)
		case lifecycle.Resumed:
			s.tellOf(pub, Event{Time: now, Type: Resumed, Cause: e.Cause, Outage: e.Outage})
		case lifecycle.Close:
			s.dismiss(pub, e.Cause, cmp.Or(closing[e.Cause], s.reason))
		case lifecycle.Changed:
			s.changed(now, pub, e)
		case lifecycle.Turned:
			s.switchOver(now, pub, e.Cause)
		}
	}
}

// closing is what a publisher is told when its session is closed.
var closing = map[ingest.Cause]string{
	ingest.Takeover:   "another push has taken over this stream",
	ingest.FirstMedia: "no media came after publish",
	ingest.Silence:    "no media, or no keyframe, came for too long",
}

func (s *Stream) broke(now time.Time, pub *publisherSession, why lifecycle.Effect) {
	s.breaks[why.Cause]++
	e := Event{Time: now, Type: Broke, Cause: why.Cause, Standby: why.Spare, Detail: s.breakDetail(pub, why.Cause)}
	s.lastBreak, s.lastDetail = e.Cause, e.Detail
	if pub != nil {
		if e.Cause == ingest.Silence || e.Cause == ingest.Timeout || e.Cause == ingest.ICE {
			e.Detect = pub.SinceMedia(now)
		}
		pub.stopped = why.Spare
	}
	s.tellOf(pub, e)
}

func (s *Stream) changed(now time.Time, pub *publisherSession, e lifecycle.Effect) {
	s.since = now
	s.tellOf(pub, Event{Time: now, Type: State, From: e.From, To: e.To, Cause: e.Cause})
	s.poke()
	switch e.To {
	case lifecycle.Held:
		s.clock.Break()
		s.returning = standby.Returning{}
		s.sentWindow.Clear()
		s.beginFiller(now)
	case lifecycle.Ended:
		s.end(now, e.Cause)
	}
}

// dismiss closes a session and forgets it.
func (s *Stream) dismiss(pub *publisherSession, cause ingest.Cause, reason string) {
	if pub == nil {
		return
	}
	s.remove(pub)
	pub.gone, pub.close = true, func() { pub.session.Close(cause, cmp.Or(reason, "the stream was closed")) }
	s.out.queue = append(s.out.queue, pub.close)
}

// remove takes a session out of the stream.
func (s *Stream) remove(pub *publisherSession) {
	delete(s.publishers, pub.id)
	pub.memory.Close()
}

// endIfIdle ends a stream that never began and has nobody left who could begin it.
func (s *Stream) endIfIdle(now time.Time) {
	if state, _ := s.machine.State(); state == lifecycle.Idle && s.machine.Current() == 0 && s.machine.Waiting() == 0 && s.machine.Spare() == 0 {
		s.perform(now, s.machine.Stop(cmp.Or(s.lastBreak, ingest.Unpublish)))
	}
}

func (s *Stream) end(now time.Time, cause ingest.Cause) {
	s.reason = cmp.Or(s.reason, s.endReason(cause, s.epoch > 0))
	s.tell(Event{Time: now, Type: Ended, Cause: cause, Detail: s.reason})
	close(s.done)
	s.ring.Discharge()
	s.wake.all()
	if s.opts.OnEnd != nil {
		s.out.queue = append(s.out.queue, func() { s.opts.OnEnd(s) })
	}
}
