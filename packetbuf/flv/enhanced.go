package flv

import (
	"encoding/binary"
	"strconv"

	"github.com/holdfast-live/holdfast/packetbuf"
)

// Enhanced packet types. Where audio and video differ, the name says which.
const (
	exSequenceStart   = 0
	exCodedFrames     = 1
	exSequenceEnd     = 2
	exVideoFramesX    = 3 // coded frames whose composition time is 0
	exMetadata        = 4 // video: AMF0 description of colours; audio: the channels' order
	exVideoTSStart    = 5 // a configuration as MPEG-TS has it
	exAudioMultitrack = 5
	exVideoMultitrack = 6
	exModEx           = 7
)

// Kinds of multitrack bodies.
const (
	oneTrack             = 0
	manyTracks           = 1
	manyTracksManyCodecs = 2
)

type fourCC [4]byte

var exCodecs = map[packetbuf.Track]map[fourCC]packetbuf.Codec{
	packetbuf.Video: {
		{'a', 'v', 'c', '1'}: packetbuf.H264, {'h', 'v', 'c', '1'}: packetbuf.HEVC,
		{'a', 'v', '0', '1'}: packetbuf.AV1, {'v', 'p', '0', '8'}: packetbuf.VP8,
		{'v', 'p', '0', '9'}: packetbuf.VP9,
	},
	packetbuf.Audio: {
		{'m', 'p', '4', 'a'}: packetbuf.AAC, {'.', 'm', 'p', '3'}: packetbuf.MP3,
		{'O', 'p', 'u', 's'}: packetbuf.Opus, {'f', 'L', 'a', 'C'}: packetbuf.FLAC,
		{'a', 'c', '-', '3'}: packetbuf.AC3, {'e', 'c', '-', '3'}: packetbuf.EAC3,
	},
}

// exBody is the common part of an Enhanced body: one track's share of it.
type exBody struct {
	packetType byte
	codec      fourCC
	rest       []byte // what follows the codec, or the track's share of that
	other      bool   // there is no track 0 in it
}

func decodeExVideo(body []byte) (*packetbuf.Packet, error) {
	frame := body[0] >> 4 & 7
	packetType, rest, err := skipModEx(body[0]&0x0f, body[1:])
	if err != nil {
		return nil, err
	}
	if frame == frameCommand && packetType != exMetadata {
		return nil, nil
	}
	b, err := openEx(packetType, exVideoMultitrack, rest)
	if err != nil || b.other {
		return nil, err
	}
	p, err := b.packet(packetbuf.Video)
	if err != nil {
		return nil, err
	}
	switch b.packetType {
	case exSequenceStart:
		p.Kind = packetbuf.Config
	case exCodedFrames:
		if p.Codec == packetbuf.H264 || p.Codec == packetbuf.HEVC {
			if len(p.Payload) < 3 {
				return nil, malformed("%s frame without composition time", p.Codec)
			}
			p.CTO, p.Payload = compositionTime(p.Payload), p.Payload[3:]
		}
		p.Kind = videoKind(p.Codec, frame, p.Payload)
	case exVideoFramesX:
		p.Kind = videoKind(p.Codec, frame, p.Payload)
	case exSequenceEnd, exMetadata, exVideoTSStart:
		return nil, nil
	default:
		return nil, malformed("video packet type %d", b.packetType)
	}
	return unlessEmpty(p), nil
}

func decodeExAudio(body []byte) (*packetbuf.Packet, error) {
	packetType, rest, err := skipModEx(body[0]&0x0f, body[1:])
	if err != nil {
		return nil, err
	}
	b, err := openEx(packetType, exAudioMultitrack, rest)
	if err != nil || b.other {
		return nil, err
	}
	p, err := b.packet(packetbuf.Audio)
	if err != nil {
		return nil, err
	}
	switch b.packetType {
	case exSequenceStart:
		p.Kind = packetbuf.Config
	case exCodedFrames:
		p.Kind = packetbuf.Delta
	case exSequenceEnd, exMetadata:
		return nil, nil
	default:
		return nil, malformed("audio packet type %d", b.packetType)
	}
	return unlessEmpty(p), nil
}

// skipModEx steps over modifiers; the one that exists, a timestamp's nanoseconds, is
// finer than our clock.
func skipModEx(packetType byte, b []byte) (byte, []byte, error) {
	for packetType == exModEx {
		if len(b) < 1 {
			return 0, nil, malformed("modifier cut short")
		}
		size, at := int(b[0])+1, 1
		if size == 256 {
			if len(b) < 3 {
				return 0, nil, malformed("modifier cut short")
			}
			size, at = int(binary.BigEndian.Uint16(b[1:]))+1, 3
		}
		if len(b) < at+size+1 {
			return 0, nil, malformed("modifier of %d bytes, %d left", size, len(b)-at)
		}
		packetType, b = b[at+size]&0x0f, b[at+size+1:]
	}
	return packetType, b, nil
}

// openEx reads the codec, and of a multitrack body the share of track 0.
func openEx(packetType, multitrack byte, b []byte) (exBody, error) {
	if packetType != multitrack {
		codec, rest, err := takeFourCC(b)
		return exBody{packetType: packetType, codec: codec, rest: rest}, err
	}
	if len(b) < 1 {
		return exBody{}, malformed("multitrack body cut short")
	}
	kind := b[0] >> 4
	ex := exBody{packetType: b[0] & 0x0f, other: true}
	if ex.packetType == multitrack || kind > manyTracksManyCodecs {
		return exBody{}, malformed("multitrack kind %d with packet type %d", kind, ex.packetType)
	}
	b = b[1:]
	var err error
	if kind != manyTracksManyCodecs {
		if ex.codec, b, err = takeFourCC(b); err != nil {
			return exBody{}, err
		}
	}
	for len(b) > 0 {
		if kind == manyTracksManyCodecs {
			if ex.codec, b, err = takeFourCC(b); err != nil {
				return exBody{}, err
			}
		}
		var id byte
		if id, ex.rest, b, err = takeTrack(kind, b); err != nil {
			return exBody{}, err
		}
		if id == 0 {
			ex.other = false
			return ex, nil
		}
	}
	return ex, nil
}

// takeTrack takes one track's number and share off a multitrack body.
func takeTrack(kind byte, b []byte) (id byte, share, rest []byte, err error) {
	if len(b) < 1 {
		return 0, nil, nil, malformed("multitrack body cut short")
	}
	if kind == oneTrack {
		return b[0], b[1:], nil, nil
	}
	if len(b) < 4 {
		return 0, nil, nil, malformed("multitrack body cut short")
	}
	size := int(b[1])<<16 | int(b[2])<<8 | int(b[3])
	if size > len(b)-4 {
		return 0, nil, nil, malformed("track of %d bytes, %d left", size, len(b)-4)
	}
	return b[0], b[4 : 4+size : 4+size], b[4+size:], nil
}

func takeFourCC(b []byte) (fourCC, []byte, error) {
	if len(b) < 4 {
		return fourCC{}, nil, malformed("codec cut short")
	}
	return fourCC(b[:4]), b[4:], nil
}

func (b exBody) packet(track packetbuf.Track) (*packetbuf.Packet, error) {
	c, ok := exCodecs[track][b.codec]
	if !ok {
		return nil, &UnsupportedError{Track: track, Codec: strconv.Quote(string(b.codec[:]))}
	}
	return &packetbuf.Packet{Track: track, Codec: c, Payload: b.rest}, nil
}
