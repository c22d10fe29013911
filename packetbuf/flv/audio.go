package flv

import (
	"strconv"

	"github.com/holdfast-live/holdfast/packetbuf"
)

// Sound formats, the high nibble of an audio body.
const (
	soundMP3      = 2
	soundEnhanced = 9
	soundAAC      = 10
	soundMP3At8k  = 14
)

// Packet types of legacy AAC bodies.
const (
	aacConfig = 0
	aacRaw    = 1
)

var legacyAudioNames = map[byte]string{
	0: "PCM (platform endian)", 1: "ADPCM", 3: "PCM", 4: "Nellymoser 16 kHz",
	5: "Nellymoser 8 kHz", 6: "Nellymoser", 7: "G.711 A-law", 8: "G.711 mu-law",
	11: "Speex", 13: "Opus (legacy id)", 15: "device-specific sound",
}

func decodeAudio(body []byte) (*packetbuf.Packet, error) {
	p := &packetbuf.Packet{Track: packetbuf.Audio, Kind: packetbuf.Delta}
	switch format := body[0] >> 4; format {
	case soundEnhanced:
		return decodeEx(packetbuf.Audio, body)
	case soundMP3, soundMP3At8k:
		p.Codec, p.Payload = packetbuf.MP3, body[1:]
	case soundAAC:
		if len(body) < 2 {
			return nil, malformed("AAC body of %d bytes", len(body))
		}
		p.Codec, p.Payload = packetbuf.AAC, body[2:]
		switch body[1] {
		case aacConfig:
			p.Kind = packetbuf.Config
		case aacRaw:
		default:
			return nil, malformed("AAC packet type %d", body[1])
		}
	default:
		name, ok := legacyAudioNames[format]
		if !ok {
			name = "id " + strconv.Itoa(int(format))
		}
		return nil, &UnsupportedError{Track: packetbuf.Audio, Codec: name}
	}
	return unlessEmpty(p), nil
}
