// Package publisher tracks what a stream knows about one publisher session from its packets: its
// bitrates and arrival pattern, its metadata and decoder configurations, at which of its packets a
// decoder can start, and whether it has fallen silent.
//
// The package is pure: the time and the state of the session's socket are arguments.
package publisher

import (
	"bytes"
	"time"

	"github.com/holdfast-live/holdfast/ingest/watchdog"
	"github.com/holdfast-live/holdfast/packetbuf"
	"github.com/holdfast-live/holdfast/packetbuf/codec"
)

const (
	// audioAlone is how long audio must arrive without any sign of video before a session counts as
	// audio-only, if its metadata does not say so.
	audioAlone = 1500 * time.Millisecond
	// settling is how long a session that feeds a stream may take to send its second track. After that,
	// the track is no longer announced to viewers who join.
	settling = 2 * time.Second
	// lateKeyframes is how many of its own keyframe intervals a publisher may let pass before its next
	// keyframe counts as overdue.
	lateKeyframes = 2
)

// Session is one publisher session. It is used under its stream's lock.
type Session struct {
	watchdog *watchdog.Watchdog
	accepted time.Time
	// emptySince is the time since which the socket has had nothing to read, as found when asking for a
	// verdict; zero: it had something to read.
	emptySince time.Time

	configs    packetbuf.Configs // the newest that the session has sent
	metadata   Metadata
	bare       [packetbuf.NumTracks]packetbuf.Codec // codecs of tracks without a configuration
	packets    int                                  // number of media packets
	hasVideo   bool                                 // a video configuration or frame has arrived
	firstAudio time.Time
	joined     time.Time // when the session started to feed the stream
	settled    bool      // the stream has dropped the tracks that the session does not have
	guessed    bool      // viewers have an audio configuration derived from its metadata
	reorders   bool      // the session sends B-frames
	silent     [packetbuf.NumTracks]bool
	meter      meter
	rhythm     rhythm
}

// NewSession returns a session that was accepted at time now.
func NewSession(cfg watchdog.Config, now time.Time) *Session {
	return &Session{watchdog: watchdog.New(cfg, now), accepted: now}
}

// SetWatchdog changes the limits by which silence is judged.
func (s *Session) SetWatchdog(cfg watchdog.Config) { s.watchdog.SetConfig(cfg) }

// Note counts a media packet that arrived at time now, and updates the session's measurements.
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

// Classify reports whether a decoder can start at packet p. For audio it also sets p.Kind: a decoder
// can start at each audio frame if the session has no video, or if its video has fallen silent.
// Silent video makes no difference for a standby, which takes over with video or not at all.
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

// Configure records a decoder configuration or metadata. It reports whether p replaces another
// configuration of its track, with which earlier packets were encoded.
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

// SameConfigs reports whether the session's decoder configurations of both tracks are byte for byte
// equal to those in have.
func (s *Session) SameConfigs(have packetbuf.Configs) bool {
	for _, tr := range []packetbuf.Track{packetbuf.Video, packetbuf.Audio} {
		if a, b := s.configs[tr], have[tr]; (a == nil) != (b == nil) || a != nil && (a.Codec != b.Codec || !bytes.Equal(a.Payload, b.Payload)) {
			return false
		}
	}
	return true
}

// NoteBare reports whether p is the first packet of a track whose codec has no configuration, such
// as MP3.
func (s *Session) NoteBare(p *packetbuf.Packet) bool {
	if s.configs[p.Track] != nil || s.bare[p.Track] == p.Codec {
		return false
	}
	s.bare[p.Track] = p.Codec
	return true
}

// HasMedia reports whether media has arrived.
func (s *Session) HasMedia() bool { return s.packets > 0 }

// HasVideo reports whether a video configuration or frame has arrived.
func (s *Session) HasVideo() bool { return s.hasVideo }

// HasAudio reports whether an audio configuration or frame has arrived.
func (s *Session) HasAudio() bool {
	return s.configs[packetbuf.Audio] != nil || !s.firstAudio.IsZero()
}

// Reorders reports whether the session's frames are sent in a different order than they are
// displayed, as with B-frames.
func (s *Session) Reorders() bool { return s.reorders }

// Join records that the session feeds the stream from time now on.
func (s *Session) Join(now time.Time) { s.joined, s.settled = now, false }

// Settles reports whether the session has fed the stream long enough to have sent both tracks. It is
// false after Settle.
func (s *Session) Settles(now time.Time) bool {
	return !s.settled && now.Sub(s.joined) >= settling
}

// Settle records that the stream has dropped the tracks that the session does not have.
func (s *Session) Settle() { s.settled = true }

// Rates returns the total and the audio bitrate in bits per second, and video frames per second,
// over the last whole seconds. All are 0 before the first whole second.
func (s *Session) Rates(now time.Time) (bits, audio, frames float64) { return s.meter.rates(now) }

// Jitter returns the arrival jitter of video, or of audio if there is no video.
func (s *Session) Jitter() time.Duration { return s.rhythm.jitter() }

// KeyframeInterval returns the time between the newest two keyframes; 0 while it is unknown.
func (s *Session) KeyframeInterval() time.Duration { return s.rhythm.interval }

// KeyframeOverdue reports whether the next keyframe is overdue by the session's own keyframe
// interval. since is the time since the newest keyframe. It returns true if the interval is unknown.
func (s *Session) KeyframeOverdue(since time.Duration) bool {
	return s.rhythm.interval <= 0 || since >= lateKeyframes*s.rhythm.interval+time.Second
}

// ResetsDecoder reports whether a decoder discards all earlier frames at packet p. That is so at
// every keyframe, except for H.264 keyframes after which leading frames may refer to earlier frames.
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
