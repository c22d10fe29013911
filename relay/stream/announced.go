package stream

import (
	"time"

	"github.com/holdfast-live/holdfast/ingest"
	"github.com/holdfast-live/holdfast/packetbuf"
	"github.com/holdfast-live/holdfast/packetbuf/codec"
	"github.com/holdfast-live/holdfast/packetbuf/rtmp"
)

const (
	// configPatience is how long the configuration of announced audio is waited for before
	// viewers are given one made from the announcement.
	configPatience = 300 * time.Millisecond
	// remembered is how long the audio track of an earlier session stands, silent, in one that
	// neither announces nor sends audio.
	remembered = 30 * time.Second
	// fourCCs of Enhanced RTMP, as onMetaData carries them in numbers.
	fourCCmp4a = 0x6d703461
	fourCCOpus = 0x4f707573
)

// announces reports whether the metadata names a track.
func (m *metadata) announces(tr packetbuf.Track) bool {
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
func (m *metadata) audioConfig() *packetbuf.Packet {
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
func (m *metadata) audioCodec() packetbuf.Codec {
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

func (m *metadata) audioChannels() int {
	channels := 2
	if i := find(m.fields, "stereo"); i >= 0 {
		if stereo, ok := m.fields[i].Value.(rtmp.Bool); ok && !bool(stereo) {
			channels = 1
		}
	}
	return m.number("audiochannels", channels)
}

// number returns a field in whole numbers; missing if it is none above 0.
func (m *metadata) number(key string, missing int) int {
	if i := find(m.fields, key); i >= 0 {
		if n, ok := m.fields[i].Value.(rtmp.Number); ok && n >= 1 && n < 1<<20 {
			return int(n)
		}
	}
	return missing
}

// announceAudio gives viewers the configuration of audio that the metadata names and that has
// not come. Until it comes the track is silent. s.mu is held.
func (s *Stream) announceAudio(now time.Time, f *feed) {
	if now.Sub(f.joined) < configPatience || f.guessed || s.present[packetbuf.Audio] || f.configs[packetbuf.Audio] != nil || !f.audio.IsZero() {
		return
	}
	f.guessed = true
	if c := f.meta.audioConfig(); c != nil {
		s.appendConfig(now, c)
		s.announce(now, f)
	}
}

// dueAudio returns the codec of the audio that announceAudio is going to announce; NoCodec if
// it is not. s.mu is held.
func (s *Stream) dueAudio() packetbuf.Codec {
	f := s.feeds[s.life.Current()]
	if f == nil || f.guessed || f.configs[packetbuf.Audio] != nil || !f.audio.IsZero() {
		return packetbuf.NoCodec
	}
	if c := f.meta.audioConfig(); c != nil {
		return c.Codec
	}
	return packetbuf.NoCodec
}

// keepsAudio reports whether the audio track stays though session f has sent none of it: it is
// silent, and it was announced, or an earlier session had it until a moment ago.
func (s *Stream) keepsAudio(now time.Time, f *feed) bool {
	return s.gap.Able() && (f.meta.announces(packetbuf.Audio) || now.Sub(f.joined) < remembered)
}

// Awaits reports whether a track that the stream does not have may still come: the publisher
// has announced it, or has not said what it sends.
func (r *Reader) Awaits(tr packetbuf.Track) bool {
	r.s.mu.Lock()
	defer r.s.mu.Unlock()
	f := r.s.feeds[r.s.life.Current()]
	if f == nil || r.s.present[tr] || f.req.Protocol == ingest.WHIP { // WHIP agrees on its tracks
		return false
	}
	return !f.meta.said || f.meta.announces(tr)
}
