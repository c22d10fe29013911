package stream

import (
	"bytes"
	"errors"
	"time"

	"github.com/holdfast-live/holdfast/ingest"
	"github.com/holdfast-live/holdfast/ingest/watchdog"
	"github.com/holdfast-live/holdfast/packetbuf"
	"github.com/holdfast-live/holdfast/packetbuf/budget"
	"github.com/holdfast-live/holdfast/packetbuf/codec"
	"github.com/holdfast-live/holdfast/relay/lifecycle"
)

var errSuperseded = errors.New("the session has no part in the stream any more")

// audioAlone is how long audio comes without any sign of video before a push counts as
// audio-only, where its metadata does not say so.
const audioAlone = 1500 * time.Millisecond

// feed is one accepted session: an ingest.Sink. Its fields are guarded by the stream's lock.
type feed struct {
	s        *Stream
	id       lifecycle.ID
	req      ingest.Request
	session  ingest.Session
	dog      *watchdog.Watchdog
	accepted time.Time
	gone     bool
	repairs  *ingest.RepairLog // of its timestamps; nil: none had to be
	unheard  time.Time         // since when its socket has had nothing to read, as asked at a verdict
	close    func()            // closes the session, once it was dismissed
	detail   string            // of its end

	configs  packetbuf.Configs // the newest it has sent
	meta     metadata
	media    int       // packets
	hasVideo bool      // a video configuration or picture has come
	audio    time.Time // of the first audio
	joined   time.Time // when it began to feed the stream
	settled  bool      // tracks that it does not have are forgotten
	guessed  bool      // the configuration of its audio was made from what it announced
	reorders bool      // pictures are shown in another order than they are decoded: B pictures
	mute     [packetbuf.NumTracks]bool
	meter    meter
	pace     pace
	kept     warm            // while it is the spare
	memory   *budget.Account // of kept
	stopped  bool            // it has counted as silent meanwhile, and has sent nothing since
	keyless  bool            // it has been logged that viewers are refused for want of a keyframe
	counter  int             // its index in Counters.ingestBytes
}

func newFeed(s *Stream, id lifecycle.ID, r ingest.Request, now time.Time) *feed {
	return &feed{
		s: s, id: id, req: r, session: r.Session, accepted: now,
		dog: watchdog.New(s.cfg.Load().watchdog(), now), counter: index(protocols[:], r.Protocol), memory: s.opts.Memory.Open(budget.Packets, nil),
	}
}

// Write takes one packet from the publisher. See ingest.Sink.
func (f *feed) Write(p *packetbuf.Packet) error {
	news, closing, err := f.write(p)
	if err != nil && closing != nil {
		closing() // before the error ends the session for no reason of its own
	}
	if news {
		f.s.flush()
	}
	return err
}

// write is Write as far as it needs the lock, which a panic must not keep: it ends the session
// alone. It returns whether there is something to flush, and what closes a dismissed session.
func (f *feed) write(p *packetbuf.Packet) (news bool, closing func(), err error) {
	s := f.s
	s.mu.Lock()
	defer s.mu.Unlock()
	err = s.write(f, p)
	return len(s.out.queue) > 0, f.close, err
}

// End says that the session is over. See ingest.Sink.
func (f *feed) End(cause ingest.Cause, detail string) {
	f.end(cause, detail)
	f.s.poke()
	f.s.flush()
}

func (f *feed) end(cause ingest.Cause, detail string) {
	s := f.s
	s.mu.Lock()
	defer s.mu.Unlock()
	if f.gone {
		return
	}
	f.gone, f.detail = true, detail
	now := time.Now()
	s.perform(now, s.life.End(now, f.id, cause))
	s.remove(f)
	s.endIfIdle(now)
}

// write takes a packet from session f. s.mu is held.
func (s *Stream) write(f *feed, p *packetbuf.Packet) error {
	if f.gone {
		return errSuperseded
	}
	if p.Arrived.IsZero() {
		p.Arrived = time.Now()
	}
	now := p.Arrived
	s.opts.Counters.ingestBytes[f.counter].Add(uint64(len(p.Payload)))
	switch {
	case p.Kind == packetbuf.Config:
		s.configure(f, p)
		return nil
	case p.Track == packetbuf.Data:
		if f.id == s.life.Current() && s.feeding() && s.clock.Place(p) {
			s.append(now, p)
		}
		return nil
	}
	s.received += uint64(len(p.Payload))
	f.note(now, p)
	s.opts.Counters.IngestFrames[p.Track].Add(1)
	spare := f.id == s.life.Spare()
	key := f.classify(now, p, spare)
	if s.frozen && !spare && p.Track == packetbuf.Video && !f.begins(p) {
		if key = false; s.feeding() { // with sound alone so far
			s.opts.Counters.Late.Add(1)
			s.requestKey(f)
			return nil
		}
	}
	s.unmute(f, p)
	if spare && !s.keep(now, f, p) {
		return errSuperseded
	}
	if s.returns(f) {
		return s.receive(now, f, p, key)
	}
	action, effects := s.life.Media(now, f.id, key)
	s.perform(now, effects)
	return s.use(now, f, p, action)
}

// use does with a media packet what the life said. s.mu is held.
func (s *Stream) use(now time.Time, f *feed, p *packetbuf.Packet, action lifecycle.Action) error {
	switch action {
	case lifecycle.Refuse:
		return errSuperseded
	case lifecycle.Late:
		s.opts.Counters.Late.Add(1)
		if p.Track == packetbuf.Video {
			s.requestKey(f)
		}
	case lifecycle.Keep: // viewers go back to its newest keyframe
		if p.Track == packetbuf.Video && f.kept.age(now) >= oldKey {
			s.requestKey(f)
		}
	case lifecycle.Ask, lifecycle.Drop: // until it begins with a keyframe
		if p.Track == packetbuf.Video {
			s.requestKey(f)
		}
	case lifecycle.Splice:
		s.splice(now, f, p)
	case lifecycle.Pass:
		s.pass(now, f, p)
	}
	return nil
}

func (s *Stream) feeding() bool {
	state, _ := s.life.State()
	return state == lifecycle.Live || state == lifecycle.Suspect
}

// note does the session's own bookkeeping for a media packet.
func (f *feed) note(now time.Time, p *packetbuf.Packet) {
	f.media++
	f.dog.Media(now, p.Track)
	sound, pictures := 0, 0
	if p.Track == packetbuf.Video {
		f.hasVideo, pictures = true, 1
		f.reorders = f.reorders || p.CTO != 0
	} else {
		if f.audio.IsZero() {
			f.audio = now
		}
		sound = len(p.Payload)
	}
	f.meter.add(now, len(p.Payload), sound, pictures)
	f.pace.note(now, p)
}

// classify tells whether a decoder can start at p, and marks audio accordingly: it can start
// at every frame where there is no video. A spare takes over with its picture or not at all.
func (f *feed) classify(now time.Time, p *packetbuf.Packet, spare bool) bool {
	if p.Track != packetbuf.Audio {
		return p.Kind == packetbuf.Key
	}
	p.Kind = packetbuf.Delta
	if f.audioOnly(now) || f.mute[packetbuf.Video] && !spare {
		p.Kind = packetbuf.Key
	}
	return p.Kind == packetbuf.Key
}

func (f *feed) audioOnly(now time.Time) bool {
	if f.hasVideo {
		return false
	}
	return f.meta.saysNoVideo() || now.Sub(f.audio) >= audioAlone
}

// unmute notes that a track which had fallen silent goes on. Nothing of it was lost: who saw
// its last picture can decode the next, and who joined since waits for a keyframe; see
// Reader.decodable.
func (s *Stream) unmute(f *feed, p *packetbuf.Packet) {
	if !f.mute[p.Track] {
		return
	}
	f.mute[p.Track] = false
	if p.Track == packetbuf.Video {
		s.life.Ailed(p.Arrived, f.id)
	}
	s.tellOf(f, Event{Time: p.Arrived, Type: TrackSilent, Track: p.Track.String(), Outcome: "back"})
}

// configure takes a session's new decoder configuration or metadata. While the session
// feeds the stream it goes to the viewers if its bytes changed; else it waits for the splice.
func (s *Stream) configure(f *feed, p *packetbuf.Packet) {
	switch p.Track {
	case packetbuf.Video:
		f.hasVideo = true
	case packetbuf.Data:
		f.meta = parseMetadata(p.Payload)
	case packetbuf.Audio:
	}
	if p.Track != packetbuf.Data {
		if old := f.configs[p.Track]; old != nil && !bytes.Equal(old.Payload, p.Payload) {
			f.kept.clear() // it was made for another
		}
		f.configs[p.Track] = p
	}
	if f.id == s.life.Current() && s.feeding() {
		if p.Track == packetbuf.Video {
			s.clock.SetReorder(reorderOf(p))
		}
		s.announce(p.Arrived, f)
	}
}

// describeEvery is how often more is told of a configuration that viewers have, at most: a
// publisher says it in a few bytes, and each viewer is given the configuration once more.
const describeEvery = time.Second

// announce gives viewers the session's configuration as far as it is new to them, and
// metadata that says what there is. It returns whether the picture's configuration changed.
func (s *Stream) announce(now time.Time, f *feed) (picture bool) {
	s.untold = false
	for _, tr := range []packetbuf.Track{packetbuf.Video, packetbuf.Audio} {
		p, old := f.configs[tr], s.sent[tr]
		if p == nil || old.SameConfig(p) {
			continue
		}
		switch described := old != nil && old.Codec == p.Codec && bytes.Equal(old.Payload, p.Payload); {
		case described && now.Sub(s.described[tr]) < describeEvery:
			s.untold = true
			continue
		case described:
			s.described[tr] = now
		case old != nil && (tr != packetbuf.Audio || !f.guessed):
			s.tellChange(now, f, old, p)
			picture = picture || tr == packetbuf.Video
		}
		s.appendConfig(now, p)
		f.guessed = f.guessed && tr != packetbuf.Audio
	}
	if m := f.meta.build(s.sent, s.present); m != nil && (s.sent[packetbuf.Data] == nil || !bytes.Equal(s.sent[packetbuf.Data].Payload, m.Payload)) {
		s.appendConfig(now, m)
	}
	return picture
}

// tellChange tells of a new configuration, once a second at most: a publisher may send as many
// as it likes.
func (s *Stream) tellChange(now time.Time, f *feed, was, is *packetbuf.Packet) {
	if now.Sub(s.changes) < time.Second {
		return
	}
	s.changes = now
	s.tellOf(f, Event{Time: now, Type: Changed, Track: is.Track.String(), Detail: codec.DescribeChange(was, is)})
}

func (s *Stream) appendConfig(now time.Time, p *packetbuf.Packet) {
	c := &packetbuf.Packet{Track: p.Track, Codec: p.Codec, Kind: packetbuf.Config, Epoch: s.epoch, Arrived: now, Payload: p.Payload, Beside: p.Beside}
	c.DTS = s.newest()
	s.sent[p.Track], s.present[p.Track] = c, true
	if p.Track == packetbuf.Audio {
		s.gap.Configure(c)
		s.soundIs(now, p.Codec)
	}
	s.append(now, c)
}
