package flv

import (
	"encoding/binary"
	"iter"
	"strconv"

	"github.com/holdfast-live/holdfast/packetbuf"
)

// Enhanced packet types. If audio and video differ, the name contains the track.
const (
	exSequenceStart   = 0
	exCodedFrames     = 1
	exSequenceEnd     = 2
	exVideoFramesX    = 3 // coded frames whose composition time is 0
	exMetadata        = 4 // video: AMF0 colorInfo; audio: channel order
	exVideoTSStart    = 5 // a configuration in MPEG-TS format
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

// maxTracks bounds the parts of a multitrack body. A valid body has no more, since a track number is one
// byte and each track has one part. A body of many tiny parts would take many times its size in memory.
const maxTracks = 256

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

// exBody is one track's part of an Enhanced body.
type exBody struct {
	id         byte // track number; 0 is the main track
	packetType byte
	codec      fourCC
	rest       []byte
}

// Numbered is a packet of one track of a multitrack body, with the track's number.
type Numbered struct {
	ID     uint8
	Packet *packetbuf.Packet
}

// Multitrack reports whether a body may contain several tracks. It returns true for any body with a
// modifier (ModEx), because the packet type follows the modifier.
func Multitrack(track packetbuf.Track, body []byte) bool {
	if len(body) == 0 {
		return false
	}
	packetType := body[0] & 0x0f
	switch {
	case track == packetbuf.Video && body[0]&0x80 != 0:
		return packetType == exVideoMultitrack || packetType == exModEx
	case track == packetbuf.Audio && body[0]>>4 == soundEnhanced:
		return packetType == exAudioMultitrack || packetType == exModEx
	}
	return false
}

// Others returns the packets of the tracks that Decode omits: those of a multitrack body other than
// track 0. It stops at the first part that cannot be split off. left is the number of parts with an
// error, not counting errors that Decode returns too.
func Others(track packetbuf.Track, body []byte) (others []Numbered, left int) {
	if !Multitrack(track, body) {
		return nil, 0
	}
	first := false // Decode reads up to track 0
	for b, err := range exParts(track, body) {
		switch {
		case err != nil && first:
			return others, left + 1
		case err != nil:
			return others, left
		case b.id == 0:
			first = true
			continue
		}
		p, err := b.decode(track, body[0])
		if err != nil {
			left++
		} else if p != nil {
			others = append(others, Numbered{b.id, p})
		}
	}
	return others, left
}

func decodeEx(track packetbuf.Track, body []byte) (*packetbuf.Packet, error) {
	for b, err := range exParts(track, body) {
		if err != nil {
			return nil, err
		}
		if b.id == 0 {
			return b.decode(track, body[0])
		}
	}
	return nil, nil
}

func (b exBody) decode(track packetbuf.Track, first byte) (*packetbuf.Packet, error) {
	if track == packetbuf.Audio {
		return b.decodeAudio()
	}
	return b.decodeVideo(first >> 4 & 7)
}

func (b exBody) decodeVideo(frame byte) (*packetbuf.Packet, error) {
	p, err := b.newPacket(packetbuf.Video)
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

func (b exBody) decodeAudio() (*packetbuf.Packet, error) {
	p, err := b.newPacket(packetbuf.Audio)
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

// skipModEx skips modifiers (ModEx). The only one defined gives a timestamp's nanoseconds, which are
// finer than the stream's clock.
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

// exParts yields the parts of a body, one per track. For a body that is not multitrack it yields one
// part, of track 0, and for a command frame none. It stops after yielding an error.
func exParts(track packetbuf.Track, body []byte) iter.Seq2[exBody, error] {
	return func(yield func(exBody, error) bool) {
		packetType, b, err := skipModEx(body[0]&0x0f, body[1:])
		if err != nil {
			yield(exBody{}, err)
			return
		}
		multitrack := byte(exAudioMultitrack)
		if track == packetbuf.Video {
			multitrack = exVideoMultitrack
			if body[0]>>4&7 == frameCommand && packetType != exMetadata {
				return
			}
		}
		if packetType != multitrack {
			codec, rest, err := splitFourCC(b)
			yield(exBody{packetType: packetType, codec: codec, rest: rest}, err)
			return
		}
		eachTrack(multitrack, b, yield)
	}
}

// eachTrack yields the parts of a multitrack body.
func eachTrack(multitrack byte, b []byte, yield func(exBody, error) bool) {
	if len(b) < 1 {
		yield(exBody{}, malformed("multitrack body cut short"))
		return
	}
	kind, ex := b[0]>>4, exBody{packetType: b[0] & 0x0f}
	if ex.packetType == multitrack || kind > manyTracksManyCodecs {
		yield(exBody{}, malformed("multitrack kind %d with packet type %d", kind, ex.packetType))
		return
	}
	b = b[1:]
	var err error
	if kind != manyTracksManyCodecs {
		if ex.codec, b, err = splitFourCC(b); err != nil {
			yield(exBody{}, err)
			return
		}
	}
	for n := 0; len(b) > 0; n++ {
		if n == maxTracks {
			yield(exBody{}, malformed("more than %d tracks", maxTracks))
			return
		}
		if kind == manyTracksManyCodecs {
			ex.codec, b, err = splitFourCC(b)
		}
		if err == nil {
			ex.id, ex.rest, b, err = splitTrack(kind, b)
		}
		if !yield(ex, err) || err != nil {
			return
		}
	}
}

// splitTrack returns the first track's number and its share of a multitrack body, and the rest of the
// body.
func splitTrack(kind byte, b []byte) (id byte, share, rest []byte, err error) {
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

func splitFourCC(b []byte) (fourCC, []byte, error) {
	if len(b) < 4 {
		return fourCC{}, nil, malformed("codec cut short")
	}
	return fourCC(b[:4]), b[4:], nil
}

func (b exBody) newPacket(track packetbuf.Track) (*packetbuf.Packet, error) {
	c, ok := exCodecs[track][b.codec]
	if !ok {
		return nil, &UnsupportedError{Track: track, Codec: strconv.Quote(string(b.codec[:]))}
	}
	return &packetbuf.Packet{Track: track, Codec: c, Payload: b.rest}, nil
}
