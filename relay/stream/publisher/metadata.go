package publisher

import (
	"github.com/holdfast-live/holdfast/packetbuf"
	"github.com/holdfast-live/holdfast/packetbuf/codec"
	"github.com/holdfast-live/holdfast/packetbuf/rtmp"
)

// Metadata is the content of a publisher's onMetaData. The zero value is empty.
type Metadata struct{ fields rtmp.Object }

// ParseMetadata parses the AMF0 payload of an onMetaData message. It returns empty Metadata if the
// payload is malformed.
func ParseMetadata(payload []byte) Metadata {
	values, err := rtmp.DecodeAMF(payload)
	if err != nil || len(values) < 2 {
		return Metadata{}
	}
	return Metadata{fields: rtmp.Properties(values[1])}
}

// saysNoVideo reports whether the metadata describes audio and no video.
func (m *Metadata) saysNoVideo() bool {
	audio := false
	for _, f := range m.fields {
		switch f.Key {
		case "videocodecid", "width", "height", "framerate", "videodatarate":
			return false
		case "audiocodecid", "audiosamplerate", "audiodatarate":
			audio = true
		}
	}
	return audio
}

// The codec numbers of FLV (E.4.2.1, E.4.3.1).
var flvCodecIDs = map[packetbuf.Codec]float64{
	packetbuf.H264: 7, packetbuf.AAC: 10, packetbuf.MP3: 2,
	packetbuf.HEVC: 0x68766331, packetbuf.AV1: 0x61763031, packetbuf.VP8: 0x76703038, packetbuf.VP9: 0x76703039,
	packetbuf.Opus: 0x4f707573, packetbuf.FLAC: 0x664c6143, packetbuf.AC3: 0x61632d33, packetbuf.EAC3: 0x65632d33,
}

// Fields that the relay itself determines, and fields that are valid only in a file.
var (
	aboutVideo = []string{"videocodecid", "width", "height", "framerate", "videodatarate"}
	aboutAudio = []string{"audiocodecid", "audiosamplerate", "audiosamplesize", "stereo", "audiodatarate"}
	aboutFile  = []string{"duration", "filesize", "fileSize", "keyframes", "lasttimestamp", "lastkeyframetimestamp", "hasKeyframes", "canSeekToEnd"}
)

// StreamMetadata returns the onMetaData of a stream that the session feeds. Its fields are derived
// from the configurations that viewers have, and supplemented by what the publisher said about the
// tracks that are present. It returns nil while no track is present.
func (s *Session) StreamMetadata(sent packetbuf.Configs, present [packetbuf.NumTracks]bool) *packetbuf.Packet {
	if !present[packetbuf.Video] && !present[packetbuf.Audio] {
		return nil
	}
	o := append(rtmp.Object(nil), s.metadata.fields...)
	o = without(o, aboutFile)
	if !present[packetbuf.Video] {
		o = without(o, aboutVideo)
	}
	if !present[packetbuf.Audio] {
		o = without(o, aboutAudio)
	}
	for _, tr := range []packetbuf.Track{packetbuf.Video, packetbuf.Audio} {
		if cfg := sent[tr]; present[tr] && cfg != nil {
			o = describe(o, cfg)
		} else if bare := s.bare[tr]; present[tr] && bare != packetbuf.NoCodec && bare != packetbuf.Opus {
			key := "audiocodecid"
			if tr == packetbuf.Video {
				key = "videocodecid"
			}
			o = set(o, key, rtmp.Number(flvCodecIDs[bare]))
		}
	}
	payload := rtmp.AppendAMF(nil, rtmp.String("onMetaData"), rtmp.ECMAArray(o))
	return &packetbuf.Packet{Track: packetbuf.Data, Codec: packetbuf.AMF0, Kind: packetbuf.Config, Payload: payload}
}

func describe(o rtmp.Object, cfg *packetbuf.Packet) rtmp.Object {
	info, err := codec.Describe(cfg)
	id, known := flvCodecIDs[cfg.Codec]
	if cfg.Track == packetbuf.Video && known {
		o = set(o, "videocodecid", rtmp.Number(id))
	} else if cfg.Codec == packetbuf.Opus {
		// Some readers of this metadata get AAC instead of Opus.
		o = without(o, []string{"audiocodecid"})
	} else if known {
		o = set(o, "audiocodecid", rtmp.Number(id))
	}
	if err != nil {
		return o
	}
	if info.Width > 0 {
		o = set(o, "width", rtmp.Number(info.Width))
		o = set(o, "height", rtmp.Number(info.Height))
	}
	if info.FrameRate > 0 && find(o, "framerate") < 0 {
		o = set(o, "framerate", rtmp.Number(info.FrameRate))
	}
	if info.SampleRate > 0 {
		o = set(o, "audiosamplerate", rtmp.Number(info.SampleRate))
		o = set(o, "stereo", rtmp.Bool(info.Channels == 2))
	}
	return o
}

func find(o rtmp.Object, key string) int {
	for i := range o {
		if o[i].Key == key {
			return i
		}
	}
	return -1
}

func set(o rtmp.Object, key string, v rtmp.Value) rtmp.Object {
	if i := find(o, key); i >= 0 {
		o[i].Value = v
		return o
	}
	return append(o, rtmp.Property{Key: key, Value: v})
}

func without(o rtmp.Object, keys []string) rtmp.Object {
	for _, k := range keys {
		if i := find(o, k); i >= 0 {
			o = append(o[:i], o[i+1:]...)
		}
	}
	return o
}
