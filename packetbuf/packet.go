// Package packetbuf defines the packets of a stream and the GOP-aligned ring from which all
// viewers read them.
//
// The package is pure: no goroutine, no clock, no I/O.
package packetbuf

import (
	"bytes"
	"sync/atomic"
	"time"

	"github.com/holdfast-live/holdfast/packetbuf/budget"
)

// Track identifies the elementary stream that a packet belongs to.
type Track uint8

// The tracks of a stream. Data carries onMetaData and similar messages; it has no decode order,
// and viewers never resume at it.
const (
	Video Track = iota
	Audio
	Data
	numTracks
)

// NumTracks is the number of tracks, for arrays indexed by Track.
const NumTracks = int(numTracks)

func (t Track) String() string {
	switch t {
	case Video:
		return "video"
	case Audio:
		return "audio"
	case Data:
		return "data"
	}
	return "unknown"
}

// Codec identifies the coding of a packet's payload.
type Codec uint8

// The codecs that packets can carry. Each ingest decides which it accepts, and each egress which
// it can send.
const (
	NoCodec Codec = iota
	H264
	HEVC
	AV1
	VP8
	VP9
	AAC
	MP3
	Opus
	FLAC
	AC3
	EAC3
	AMF0 // script data: the AMF0 values of a data message, beginning with its name
)

var codecNames = [...]string{
	NoCodec: "none", H264: "H.264", HEVC: "HEVC", AV1: "AV1", VP8: "VP8", VP9: "VP9",
	AAC: "AAC", MP3: "MP3", Opus: "Opus", FLAC: "FLAC", AC3: "AC-3", EAC3: "E-AC-3", AMF0: "AMF0",
}

func (c Codec) String() string {
	if int(c) < len(codecNames) {
		return codecNames[c]
	}
	return "unknown"
}

// Kind is the role of a packet in decoding.
type Kind uint8

const (
	// Config is decoder configuration: avcC, AudioSpecificConfig, or onMetaData.
	Config Kind = iota
	// Key is a random-access point. In a stream without video every audio frame is one.
	Key
	// Delta depends on other packets, and others depend on it. Audio frames of a stream with video are
	// Delta too.
	Delta
	// Disposable depends on other packets, but no other packet depends on it.
	Disposable
)

func (k Kind) String() string {
	switch k {
	case Config:
		return "config"
	case Key:
		return "key"
	case Delta:
		return "delta"
	case Disposable:
		return "disposable"
	}
	return "unknown"
}

// Flags mark properties that do not follow from the payload.
type Flags uint8

const (
	// Filler marks a packet that the relay generated: video and audio while the publisher was
	// away, or silence in a gap in its audio.
	Filler Flags = 1 << iota
	// Splice marks the first packet after a break.
	Splice
	// Bridged marks audio that the relay has transcoded to another codec, for viewers that cannot
	// play the publisher's own. The ring holds both, on the same clock.
	Bridged
	// Repeat marks video frames that are sent again with new times while the publisher is away: the
	// frames from a keyframe to the frozen frame. They are for viewers that start there.
	Repeat
	// Restart marks a Repeat that is also sent to viewers that already received the frame, because their
	// players may have lost the decoder state.
	Restart
	// Segment marks a random-access point at which an fMP4 segment begins. The stream sets it, so
	// that all segmenters cut the stream at the same places.
	Segment
	// Overdue marks filler audio that was generated after its time had passed. Without these packets the
	// audio has gaps, but a player that never catches up falls further behind with each that it plays.
	Overdue
)

// BridgedAudio is the index of the bridged audio's configuration in Configs. It follows the indexes of
// the tracks.
const BridgedAudio = NumTracks

// Packet is one access unit, one audio frame, one decoder configuration or one data message. All
// viewers share it, so it must not be changed after Ring.Add, and its payload never.
type Packet struct {
	Track Track
	Codec Codec
	Kind  Kind
	Flags Flags

	// Epoch is the number of the publisher session of the stream, counted from 1.
	Epoch uint32
	// Padding is the amount of padding to send before the packet, in units of PaddingUnit bytes, over
	// protocols with padding that players ignore. Only filler has padding.
	Padding uint8
	// Seq is the packet's sequence number in its ring, which increases by one per packet. Ring.Add sets it.
	Seq uint64
	// DTS is the decode time. An ingest sets it on the publisher's clock; the stream then converts it to
	// its own clock, which starts at 0. On the stream's clock it is in whole milliseconds and rises
	// strictly within a track.
	DTS time.Duration
	// CTO is the composition time offset: presentation time minus decode time.
	CTO time.Duration
	// Recovery is not 0 if the packet is a recovery point but not a Key. It is then one more than the
	// number of reference frames after which a decoder that starts here shows correct video.
	Recovery uint32
	// Arrived is the time at which the ingest had received the whole packet.
	Arrived time.Time

	// Payload is the coded data without a container header. For H.264 and HEVC it consists of NAL units
	// with length prefixes, usually of 4 bytes; the configuration gives their size. For AAC it is a raw
	// frame, and for a Config the decoder configuration record.
	Payload []byte

	// Beside is what Enhanced RTMP adds to a Config: for video the AMF0 encoding of colorInfo, for audio
	// the channel order. It is nil if there is no addition. RTMP egress passes it on.
	Beside []byte

	wire    [numWires]atomic.Pointer[[]byte]
	account *budget.Account // the ring's account, to count wire forms in; nil if they are not counted
}

// PaddingUnit is the size of a unit of Packet.Padding in bytes. MaxPadding is the largest number of
// units before one packet.
const (
	PaddingUnit = 2 << 10
	MaxPadding  = 200
)

// PTS returns the presentation time.
func (p *Packet) PTS() time.Duration { return p.DTS + p.CTO }

// Millis returns the DTS in milliseconds as FLV and RTMP carry it: 32 bits that wrap after 49.7 days.
// It returns 0 for onMetaData, as at the start of a file, because ffmpeg treats onMetaData with a later
// time as a subtitle.
func (p *Packet) Millis() uint32 {
	if p.Track == Data && p.Kind == Config {
		return 0
	}
	return uint32(p.DTS / time.Millisecond) //nolint:gosec // wraps by design
}

// Bridged reports whether the packet is bridged audio or its configuration.
func (p *Packet) Bridged() bool { return p.Flags&Bridged != 0 }

// slot returns the index of p's track, or of bridged audio, in Configs.
func (p *Packet) slot() int {
	if p.Bridged() {
		return BridgedAudio
	}
	return int(p.Track)
}

// SameConfig reports whether p and o, both of Kind Config, configure a decoder alike. Either may be
// nil; two nil packets are the same.
func (p *Packet) SameConfig(o *Packet) bool {
	if p == nil || o == nil {
		return p == o
	}
	return p.Codec == o.Codec && bytes.Equal(p.Payload, o.Payload) && bytes.Equal(p.Beside, o.Beside)
}

// size returns the packet's size in bytes, without Overhead.
func (p *Packet) size() int { return len(p.Payload) + len(p.Beside) }

// WithPayload returns a copy of p with another payload and without wire forms. It does not change p.
func (p *Packet) WithPayload(payload []byte) *Packet {
	return &Packet{
		Track: p.Track, Codec: p.Codec, Kind: p.Kind, Flags: p.Flags, Epoch: p.Epoch, Padding: p.Padding, Seq: p.Seq,
		DTS: p.DTS, CTO: p.CTO, Recovery: p.Recovery, Arrived: p.Arrived, Payload: payload, Beside: p.Beside,
	}
}

// Media reports whether the packet is coded media, not configuration or data.
func (p *Packet) Media() bool { return p.Track != Data && p.Kind != Config }
