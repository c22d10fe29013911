// Package publisher keeps what a stream knows of one publisher session from what that sends: its
// rates and rhythm, its metadata and decoder configurations, which of its packets a decoder can
// start at, and whether it has fallen silent.
//
// The package is pure: time is an argument, and what is asked of a session's socket as well.
package publisher

import (
	"bytes"
	"time"

	"github.com/holdfast-live/holdfast/ingest/watchdog"
	"github.com/holdfast-live/holdfast/packetbuf"
	"github.com/holdfast-live/holdfast/packetbuf/codec"
)

const (
	// audioAlone is how long audio comes without any sign of video before a session counts as
	// audio-only, where its metadata does not say so.
	audioAlone = 1500 * time.Millisecond
	// settling is how long a session that feeds a stream may take to show its second track before
	// viewers who join are no longer told of one.
	settling = 2 * time.Second
	// lateKeyframes is the number of its keyframe intervals that a publisher may be late with the
	// next keyframe.
	lateKeyframes = 2
)

// Session is one publisher session. It is used under its stream's lock.
type Session struct {
	watchdog *watchdog.Watchdog
	accepted time.Time
	// emptySince is since when the socket has had nothing to read, as asked for a verdict; zero: it had.
	emptySince time.Time

	configs    packetbuf.Configs // the newest that it has sent
	metadata   Metadata
	bare       [packetbuf.NumTracks]packetbuf.Codec // codecs of tracks without a configuration
	packets    int                                  // of media
	hasVideo   bool                                 // a video configuration or frame has come
	firstAudio time.Time
	joined     time.Time // when it started to feed the stream
	settled    bool      // the stream has forgotten the tracks that it does not have
	guessed    bool      // viewers have an audio configuration made from its metadata
	reorders   bool      // it sends B-frames
	silent     [packetbuf.NumTracks]bool
	meter      meter
	rhythm     rhythm
}

// NewSession returns a session that was accepted at now.
func NewSession(cfg watchdog.Config, now time.Time) *Session {
	return &Session{watchdog: watchdog.New(cfg, now), accepted: now}
}

// SetWatchdog changes the limits by which silence is judged.
func (s *Session) SetWatchdog(cfg watchdog.Config) { s.watchdog.SetConfig(cfg) }

// Note counts a media packet that arrived at now, and measures the session by it.
func (s *Session) Note(now time.Time, p *packetbuf.Packet) {
	s.packets++
	s.watchdog.Media(now, p.Track)
	r := rate{bytes: len(p.Payload)}
	if p.Track == packetbuf.Video {
		s.hasVideo, r.frames = true, 1
		s.reorders = s.reorders || p.CTO != 0
	} else {
		if s.firstAudio.IsZero() {
			s.firstAudio = now
		}
		r.audio = len(p.Payload)
	}
	s.meter.add(now, r)
	s.rhythm.note(now, p)
}

// Classify reports whether a decoder can start at p. For audio it sets p.Kind accordingly: a
// decoder can start at each frame where there is no video, or where video has fallen silent. A
// standby takes over with video or not at all, so that for one silent video makes no difference.
func (s *Session) Classify(now time.Time, p *packetbuf.Packet, standby bool) bool {
	if p.Track == packetbuf.Audio {
		p.Kind = packetbuf.Delta
		if s.audioOnly(now) || s.silent[packetbuf.Video] && !standby {
			p.Kind = packetbuf.Key
		}
	}
	return p.Kind == packetbuf.Key
}

func (s *Session) audioOnly(now time.Time) bool {
	if s.hasVideo {
		return false
	}
	return s.metadata.saysNoVideo() || now.Sub(s.firstAudio) >= audioAlone
}

// Configure notes a decoder configuration or metadata. It reports whether p replaces another
// configuration of its track: what came before cannot be decoded with it.
func (s *Session) Configure(p *packetbuf.Packet) (replaces bool) {
	if p.Track == packetbuf.Data {
		s.metadata, s.bare = ParseMetadata(p.Payload), [packetbuf.NumTracks]packetbuf.Codec{}
		return false
	}
	s.hasVideo = s.hasVideo || p.Track == packetbuf.Video
	old := s.configs[p.Track]
	s.configs[p.Track] = p
	return old != nil && !bytes.Equal(old.Payload, p.Payload)
}

// Config returns the session's newest configuration of a track; nil if it has sent none.
func (s *Session) Config(tr packetbuf.Track) *packetbuf.Packet { return s.configs[tr] }

// SameConfigs reports whether the decoder configurations of both tracks are byte for byte those of
// have.
func (s *Session) SameConfigs(have packetbuf.Configs) bool {
	for _, tr := range []packetbuf.Track{packetbuf.Video, packetbuf.Audio} {
		if a, b := s.configs[tr], have[tr]; (a == nil) != (b == nil) || a != nil && (a.Codec != b.Codec || !bytes.Equal(a.Payload, b.Payload)) {
			return false
		}
	}
	return true
}

// NoteBare reports whether p is the first of a track that has no configuration, such as MP3: its
// frames themselves tell what it is.
func (s *Session) NoteBare(p *packetbuf.Packet) bool {
	if s.configs[p.Track] != nil || s.bare[p.Track] == p.Codec {
		return false
	}
	s.bare[p.Track] = p.Codec
	return true
}

// HasMedia reports whether media has come.
func (s *Session) HasMedia() bool { return s.packets > 0 }

// HasVideo reports whether a video configuration or frame has come.
func (s *Session) HasVideo() bool { return s.hasVideo }

// HasAudio reports whether an audio configuration or frame has come.
func (s *Session) HasAudio() bool {
	return s.configs[packetbuf.Audio] != nil || !s.firstAudio.IsZero()
}

// Reorders reports whether the session sends frames in another order than they are shown in.
func (s *Session) Reorders() bool { return s.reorders }

// Join notes that the session feeds the stream from now on.
func (s *Session) Join(now time.Time) { s.joined, s.settled = now, false }

// Settles reports whether the session, which feeds the stream, has had its time to show both
// tracks, until Settle is called.
func (s *Session) Settles(now time.Time) bool {
	return !s.settled && now.Sub(s.joined) >= settling
}

// Settle notes that the stream has forgotten the tracks that the session does not have.
func (s *Session) Settle() { s.settled = true }

// Rates returns bits, those of audio among them, and video frames per second over the last whole
// seconds; 0 before the first whole second.
func (s *Session) Rates(now time.Time) (bits, audio, frames float64) { return s.meter.rates(now) }

// Jitter returns the arrival jitter of video, or of audio where there is no video.
func (s *Session) Jitter() time.Duration { return s.rhythm.jitter() }

// KeyframeInterval returns the time between the newest two keyframes; 0 while it is unknown.
func (s *Session) KeyframeInterval() time.Duration { return s.rhythm.interval }

// KeyframeOverdue reports whether no keyframe is to be expected soon, by the session's own interval,
// when the newest one came so long ago.
func (s *Session) KeyframeOverdue(since time.Duration) bool {
	return s.rhythm.interval <= 0 || since >= lateKeyframes*s.rhythm.interval+time.Second
}

// ResetsDecoder reports whether a decoder forgets at p what it has had: at a keyframe, except for
// those of H.264 after which leading frames may refer to what came before.
func (s *Session) ResetsDecoder(p *packetbuf.Packet) bool {
	if p.Kind != packetbuf.Key || p.Codec != packetbuf.H264 {
		return p.Kind == packetbuf.Key
	}
	length := 4
	if cfg := s.configs[packetbuf.Video]; cfg != nil {
		if c, err := codec.ParseAVCConfig(cfg.Payload); err == nil {
			length = c.LengthSize
		}
	}
	return codec.AVCHas(p.Payload, length, codec.NALIDR)
}
