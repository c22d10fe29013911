package stream

import (
	"bytes"
	"time"

	"github.com/holdfast-live/holdfast/packetbuf"
	"github.com/holdfast-live/holdfast/packetbuf/codec"
	"github.com/holdfast-live/holdfast/relay/stream/publisher"
)

const (
	// describeEvery is the least interval at which more is told of a configuration that viewers
	// have: a publisher says it in a few bytes, and each viewer is given the configuration again.
	describeEvery = time.Second
	// changeEvery is the least interval at which a new configuration is reported: a publisher may
	// send as many as it likes.
	changeEvery = time.Second
)

// tracks is what viewers know of a stream's tracks.
type tracks struct {
	sent    packetbuf.Configs // the configurations that viewers have
	present [packetbuf.NumTracks]bool
	lastKey *packetbuf.Packet // the newest keyframe; nil: there is no video
	// described is when viewers were last told more of a track's configuration that they have, and
	// configPending that there is more, which waits for a keyframe.
	described     [packetbuf.NumTracks]time.Time
	configPending bool
	changeTold    time.Time // when a change of configuration was last reported
}

// configure takes a session's new decoder configuration or metadata. While the session feeds the
// stream it goes to the viewers if its bytes changed; otherwise it waits for the splice. s.mu is
// held.
func (s *Stream) configure(pub *publisherSession, p *packetbuf.Packet) {
	if pub.Configure(p) {
		pub.gopWindow.Clear() // it was made for another
	}
	if pub.id != s.machine.Current() || !s.feeding() {
		return
	}
	if p.Track == packetbuf.Video {
		s.clock.SetReorder(publisher.ReorderFrames(p))
	}
	s.announce(p.Arrived, pub)
}

// announce gives viewers the session's configurations as far as they are new to them, and metadata
// of what there is. It reports whether the configuration of the video changed. s.mu is held.
func (s *Stream) announce(now time.Time, pub *publisherSession) (video bool) {
	s.configPending = false
	for _, tr := range []packetbuf.Track{packetbuf.Video, packetbuf.Audio} {
		p, old := pub.Config(tr), s.sent[tr]
		if p == nil || old.SameConfig(p) {
			continue
		}
		switch described := old != nil && old.Codec == p.Codec && bytes.Equal(old.Payload, p.Payload); {
		case described && now.Sub(s.described[tr]) < describeEvery:
			s.configPending = true
			continue
		case described:
			s.described[tr] = now
		case old != nil && (tr != packetbuf.Audio || !pub.Guessed()):
			s.tellChange(now, pub, old, p)
			video = video || tr == packetbuf.Video
		}
		s.appendConfig(now, p)
		if tr == packetbuf.Audio {
			pub.GuessReplaced()
		}
	}
	if m := pub.StreamMetadata(s.sent, s.present); m != nil && (s.sent[packetbuf.Data] == nil || !bytes.Equal(s.sent[packetbuf.Data].Payload, m.Payload)) {
		s.appendConfig(now, m)
	}
	return video
}

// tellChange reports a new configuration. s.mu is held.
func (s *Stream) tellChange(now time.Time, pub *publisherSession, was, is *packetbuf.Packet) {
	if now.Sub(s.changeTold) < changeEvery {
		return
	}
	s.changeTold = now
	s.tellOf(pub, Event{Time: now, Type: Changed, Track: is.Track.String(), Detail: codec.DescribeChange(was, is)})
}

// appendConfig gives viewers a configuration. s.mu is held.
func (s *Stream) appendConfig(now time.Time, p *packetbuf.Packet) {
	c := &packetbuf.Packet{Track: p.Track, Codec: p.Codec, Kind: packetbuf.Config, Epoch: s.epoch, Arrived: now, Payload: p.Payload, Beside: p.Beside}
	c.DTS = s.newest()
	s.sent[p.Track], s.present[p.Track] = c, true
	if p.Track == packetbuf.Audio {
		s.gap.Configure(c)
		s.setSource(now, p.Codec)
	}
	s.appendToRing(now, c)
}

// announceBare announces a track that has no configuration, such as MP3: the configuration of what
// was there before is no longer in force. s.mu is held.
func (s *Stream) announceBare(now time.Time, pub *publisherSession, p *packetbuf.Packet) {
	if was := s.sent[p.Track]; was != nil && was.Codec != p.Codec {
		s.dropTrack(p.Track)
	}
	s.present[p.Track] = true
	if p.Track == packetbuf.Audio {
		s.setSource(now, p.Codec)
	}
	s.announce(now, pub)
}

// announceGuess gives viewers the configuration of audio that the metadata announces and that has
// not come. Until it comes the track is silent. s.mu is held.
func (s *Stream) announceGuess(now time.Time, pub *publisherSession) {
	if s.present[packetbuf.Audio] {
		return
	}
	if c := pub.GuessAudio(now); c != nil {
		s.appendConfig(now, c)
		s.announce(now, pub)
	}
}

// forgetTracks drops the tracks that the session before had and this one does not have, unless one of
// them may still come. s.mu is held.
func (s *Stream) forgetTracks(now time.Time, pub *publisherSession) {
	if !pub.HasVideo() {
		s.dropTrack(packetbuf.Video)
	}
	if !pub.HasAudio() {
		if s.gap.Able() && pub.KeepsAudio(now) {
			return
		}
		s.dropTrack(packetbuf.Audio)
	}
	s.announce(now, pub)
	pub.Settle()
}

// dropTrack forgets a track that the stream does not have any more. s.mu is held.
func (s *Stream) dropTrack(tr packetbuf.Track) {
	s.present[tr], s.sent[tr] = false, nil
	s.ring.Forget(int(tr))
	switch tr {
	case packetbuf.Video:
		s.lastKey = nil
	case packetbuf.Audio:
		s.gap.Configure(nil)
		s.setSource(time.Time{}, packetbuf.NoCodec)
	case packetbuf.Data:
	}
}
