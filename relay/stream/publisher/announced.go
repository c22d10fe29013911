package publisher

import (
	"time"

	"github.com/holdfast-live/holdfast/packetbuf"
	"github.com/holdfast-live/holdfast/packetbuf/codec"
	"github.com/holdfast-live/holdfast/packetbuf/rtmp"
)

const (
	// configPatience is how long the configuration of announced audio may take before viewers are
	// given one made from the announcement.
	configPatience = 300 * time.Millisecond
	// remembered is how long the audio track of an earlier session stays, silent, in one that
	// neither announces nor sends audio.
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

// audioConfig returns the audio configuration that the metadata amounts to; nil if it names no
// audio for which silence can be made.
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

// audioCodec returns the codec that the metadata names, which is AAC where it describes audio
// without naming one.
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

// number returns a field in whole numbers; missing if it is none above 0.
func (m *Metadata) number(key string, missing int) int {
	if i := find(m.fields, key); i >= 0 {
		if n, ok := m.fields[i].Value.(rtmp.Number); ok && n >= 1 && n < 1<<20 {
			return int(n)
		}
	}
	return missing
}

// GuessAudio returns, once, a configuration made from the metadata for audio that was announced and
// has not come in time; nil if there is no such audio.
func (s *Session) GuessAudio(now time.Time) *packetbuf.Packet {
	if now.Sub(s.joined) < configPatience || s.guessed || s.HasAudio() {
		return nil
	}
	s.guessed = true
	return s.metadata.audioConfig()
}

// Guessed reports whether viewers have an audio configuration that was made from the metadata,
// until GuessReplaced is called.
func (s *Session) Guessed() bool { return s.guessed }

// GuessReplaced notes that viewers have the session's own audio configuration.
func (s *Session) GuessReplaced() { s.guessed = false }

// ExpectedAudio returns the codec of the audio for which GuessAudio is going to return a
// configuration; NoCodec if there is none.
func (s *Session) ExpectedAudio() packetbuf.Codec {
	if s.guessed || s.HasAudio() {
		return packetbuf.NoCodec
	}
	if c := s.metadata.audioConfig(); c != nil {
		return c.Codec
	}
	return packetbuf.NoCodec
}

// KeepsAudio reports whether the stream's audio track stays, silent, although the session has sent
// no audio: it was announced, or an earlier session had it until a moment ago.
func (s *Session) KeepsAudio(now time.Time) bool {
	return s.metadata.announces(packetbuf.Audio) || now.Sub(s.joined) < remembered
}

// MayBring reports whether the session may still send a track: it has announced it, or has not said
// what it sends.
func (s *Session) MayBring(tr packetbuf.Track) bool {
	return len(s.metadata.fields) == 0 || s.metadata.announces(tr)
}
