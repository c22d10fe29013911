package stream

import (
	"bytes"
	"time"

	"github.com/holdfast-live/holdfast/packetbuf"
	"github.com/holdfast-live/holdfast/packetbuf/codec"
	"github.com/holdfast-live/holdfast/relay/stream/publisher"
)

const (
	// describeEvery is the least interval between two updates that only add details to a configuration
	// that viewers have. An update costs the publisher a few bytes, but every viewer is sent the whole
	// configuration again.
	describeEvery = time.Second
	// changeEvery is the least interval between two reports of a new configuration, because a publisher
	// may send configurations at any rate.
	changeEvery = time.Second
)

// tracks is what viewers know about a stream's tracks.
type tracks struct {
	sent    packetbuf.Configs // the configurations that viewers have
	present [packetbuf.NumTracks]bool
	lastKey *packetbuf.Packet // the newest keyframe; nil: no video
	// described is when viewers were last sent more details of a configuration that they have.
	// configPending reports whether more details are waiting for the next keyframe.
	described     [packetbuf.NumTracks]time.Time
	configPending bool
	changeTold    time.Time // when a change of configuration was last reported
}

// configure handles a session's new decoder configuration or metadata. If the session feeds the
// stream, a configuration with changed bytes is sent to the viewers; otherwise it waits for the
// splice. s.mu is held.
func (s *Stream) configure(pub *publisherSession, p *packetbuf.Packet) {
	if pub.Configure(p) {
		pub.gopWindow.Clear() // its packets were encoded with the earlier configuration
	}
	if pub.id != s.machine.Current() || !s.feeding() {
		return
	}
	if p.Track == packetbuf.Video {
		s.clock.SetReorder(publisher.ReorderFrames(p))
	}
	s.announce(p.Arrived, pub)
}

// announce sends viewers those of the session's configurations that are new to them, and metadata of
// the tracks that are present. It reports whether the video configuration changed. s.mu is held.
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

// tellChange reports a new configuration as an event. s.mu is held.
func (s *Stream) tellChange(now time.Time, pub *publisherSession, was, is *packetbuf.Packet) {
	if now.Sub(s.changeTold) < changeEvery {
		return
	}
	s.changeTold = now
	s.tellOf(pub, Event{Time: now, Type: Changed, Track: is.Track.String(), Detail: codec.DescribeChange(was, is)})
}

// appendConfig sends viewers a configuration. s.mu is held.
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

// announceBare announces a track whose codec has no configuration, such as MP3. The configuration of
// the track's earlier codec is no longer in force. s.mu is held.
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

// announceGuess sends viewers a configuration derived from the metadata, if the metadata announces
// audio that has not arrived in time. The track is silent until the audio arrives. s.mu is held.
func (s *Stream) announceGuess(now time.Time, pub *publisherSession) {
	if s.present[packetbuf.Audio] {
		return
	}
	if c := pub.GuessAudio(now); c != nil {
		s.appendConfig(now, c)
		s.announce(now, pub)
	}
}

// forgetTracks drops the tracks that the previous session had and this one does not have. It keeps
// the audio track, as silence, if audio may still arrive. s.mu is held.
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

// dropTrack removes a track that the stream no longer has. s.mu is held.
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
