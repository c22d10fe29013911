package publisher

import (
	"time"

	"github.com/holdfast-live/holdfast/packetbuf"
	"github.com/holdfast-live/holdfast/packetbuf/codec"
	"github.com/holdfast-live/holdfast/packetbuf/rtmp"
)

const (
	// configPatience is how long to wait for the configuration of announced audio before viewers are
	// given one derived from the announcement.
	configPatience = 300 * time.Millisecond
	// remembered is how long the audio track of an earlier session is kept, as silence, in a session
	// that neither announces nor sends audio.
	remembered = 30 * time.Second
	// fourCCs of Enhanced RTMP, as onMetaData carries them in numbers.
	fourCCmp4a = 0x6d703461
	fourCCOpus = 0x4f707573
)

// announces reports whether the metadata names a track.
func (m *Metadata) announces(tr packetbuf.Track) bool {
	keys := aboutVideo
	if tr == packetbuf.Audio {
		keys = []string{"audiocodecid", "audiosamplerate", "audiodatarate"}
	}
	for _, key := range keys {
		i := find(m.fields, key)
		if i < 0 {
			continue
		}
		if n, numeric := m.fields[i].Value.(rtmp.Number); !numeric || n > 0 {
			return true
		}
	}
	return false
}

// audioConfig returns the audio configuration that the metadata describes, or nil if it names no
// audio for which silence can be generated.
func (m *Metadata) audioConfig() *packetbuf.Packet {
	if !m.announces(packetbuf.Audio) {
		return nil
	}
	p := &packetbuf.Packet{Track: packetbuf.Audio, Kind: packetbuf.Config}
	switch m.audioCodec() {
	case packetbuf.AAC:
		config, ok := codec.AACConfig(m.number("audiosamplerate", 48000), m.audioChannels())
		if !ok {
			return nil
		}
		p.Codec, p.Payload = packetbuf.AAC, config
	case packetbuf.Opus:
		p.Codec = packetbuf.Opus
		p.Payload = codec.OpusHead{Channels: min(2, m.audioChannels()), PreSkip: 312, Rate: codec.OpusRate}.Append(nil)
	default:
		return nil
	}
	return p
}

// audioCodec returns the codec that the metadata names, or AAC if it describes audio without naming
// a codec.
func (m *Metadata) audioCodec() packetbuf.Codec {
	i := find(m.fields, "audiocodecid")
	if i < 0 {
		return packetbuf.AAC
	}
	switch v := m.fields[i].Value.(type) {
	case rtmp.Number:
		switch v {
		case 10, fourCCmp4a:
			return packetbuf.AAC
		case fourCCOpus:
			return packetbuf.Opus
		}
	case rtmp.String:
		switch v {
		case "mp4a":
			return packetbuf.AAC
		case "Opus":
			return packetbuf.Opus
		}
	}
	return packetbuf.NoCodec
}

func (m *Metadata) audioChannels() int {
	channels := 2
	if i := find(m.fields, "stereo"); i >= 0 {
		if stereo, ok := m.fields[i].Value.(rtmp.Bool); ok && !bool(stereo) {
			channels = 1
		}
	}
	return m.number("audiochannels", channels)
}

// number returns the whole-number part of a numeric field, or missing if the field is absent or less
// than 1.
func (m *Metadata) number(key string, missing int) int {
	if i := find(m.fields, key); i >= 0 {
		if n, ok := m.fields[i].Value.(rtmp.Number); ok && n >= 1 && n < 1<<20 {
			return int(n)
		}
	}
	return missing
}

// GuessAudio returns, once, an audio configuration derived from the metadata if the announced audio
// has not arrived in time. Otherwise it returns nil.
func (s *Session) GuessAudio(now time.Time) *packetbuf.Packet {
	if now.Sub(s.joined) < configPatience || s.guessed || s.HasAudio() {
		return nil
	}
	s.guessed = true
	return s.metadata.audioConfig()
}

// Guessed reports whether viewers have an audio configuration that was derived from the metadata. It
// is false after GuessReplaced.
func (s *Session) Guessed() bool { return s.guessed }

// GuessReplaced records that viewers have the session's own audio configuration.
func (s *Session) GuessReplaced() { s.guessed = false }

// ExpectedAudio returns the codec of the audio for which GuessAudio will return a configuration, or
// NoCodec if it will not return one.
func (s *Session) ExpectedAudio() packetbuf.Codec {
	if s.guessed || s.HasAudio() {
		return packetbuf.NoCodec
	}
	if c := s.metadata.audioConfig(); c != nil {
		return c.Codec
	}
	return packetbuf.NoCodec
}

// KeepsAudio reports whether the stream keeps its audio track, as silence, although the session has
// sent no audio: audio was announced, or the session feeds the stream only since a moment ago and an
// earlier one had audio.
func (s *Session) KeepsAudio(now time.Time) bool {
	return s.metadata.announces(packetbuf.Audio) || now.Sub(s.joined) < remembered
}

// MayBring reports whether the session may still send a track: it has announced the track, or has
// not said which tracks it sends.
func (s *Session) MayBring(tr packetbuf.Track) bool {
	return len(s.metadata.fields) == 0 || s.metadata.announces(tr)
}
