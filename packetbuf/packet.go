// Package packetbuf holds what a stream is made of: packets of coded media, and
// the GOP-aligned ring from which every viewer reads.
//
// The package is pure: no goroutine, no clock, no I/O.
package packetbuf

import (
	"bytes"
	"sync/atomic"
	"time"

	"github.com/holdfast-live/holdfast/packetbuf/budget"
)

// Track tells the elementary stream that a packet belongs to.
type Track uint8

// The tracks of a stream. Data carries onMetaData and its like; it has no
// decode order of its own and is never what a viewer resumes at.
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

// Codec names the coding of a packet's payload.
type Codec uint8

// The codecs that the types can carry. Which of them are accepted is the
// ingest's business, which of them can be sent is each egress's.
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
	AMF0 // script data: the AMF0 values of a data message, its name first
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

// Kind tells what a packet is to a decoder.
type Kind uint8

const (
	// Config is decoder configuration: avcC, AudioSpecificConfig, or onMetaData.
	Config Kind = iota
	// Key is a random-access point. In a stream without video every audio frame is one.
	Key
	// Delta needs other packets and is needed by others. Audio frames beside video are Delta.
	Delta
	// Disposable needs other packets and no packet needs it.
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

// Flags mark what does not follow from the payload.
type Flags uint8

const (
	// Filler marks a packet that the relay has made: while the publisher was away, or silence in
	// a hole in its audio.
	Filler Flags = 1 << iota
	// Splice marks the first packet after a break.
	Splice
	// Bridged marks sound that the relay has put into another codec, for viewers who cannot
	// take the publisher's own. It stands in the ring beside that, on the same clock.
	Bridged
	// Repeat marks video frames that are sent again with new times while the publisher is away: those
	// from a keyframe to the frame that is frozen. They are for viewers that start there.
	Repeat
	// Restart marks a Repeat that also serves viewers who have had it, because their players may
	// have lost their decoder's state.
	Restart
	// Segment marks a random-access point at which an fMP4 segment begins. The stream sets it, so
	// that all that cut the stream cut it at the same places.
	Segment
	// Overdue marks audio of filler that was made after its time had passed. The audio is complete
	// only with these packets, but a player that never catches up is later by each that it plays.
	Overdue
)

// BridgedAudio is the place of bridged sound's configuration in Configs, beside those of the
// tracks.
const BridgedAudio = NumTracks

// Packet is one access unit, one audio frame, one decoder configuration or one
// data message. It is immutable once it has been appended to a ring, its payload
// from the moment it was made; any number of viewers share it.
type Packet struct {
	Track Track
	Codec Codec
	Kind  Kind
	Flags Flags

	// Epoch counts the publisher sessions of a stream, from 1.
	Epoch uint32
	// Padding is the number of units of PaddingUnit bytes to send in front of the packet where the
	// protocol has padding that players ignore. Only filler has any.
	Padding uint8
	// Seq is the packet's place in its ring, rising by one; the ring sets it.
	Seq uint64
	// DTS is the decode time: on the publisher's clock as it comes from an ingest,
	// on the stream's clock, which starts at 0, from the stream on. On the stream's
	// clock it is whole milliseconds and rises strictly within a track.
	DTS time.Duration
	// CTO is the composition offset: presentation time less decode time.
	CTO time.Duration
	// Recovery marks a recovery point, which is no Key: it is one more than the number of
	// reference pictures after which a decoder that began here shows the right pictures. 0: it is
	// none.
	Recovery uint32
	// Arrived is when the ingest had received the packet whole.
	Arrived time.Time

	// Payload is the coded data without any container's header: for H.264 and HEVC
	// length-prefixed NAL units (4-byte lengths as a rule; the configuration says),
	// for AAC a raw frame, for a Config what the container calls the decoder
	// configuration record.
	Payload []byte

	// Beside is what Enhanced RTMP says of a track beside a Config: of video the AMF0 of its
	// colours, of audio the order of its channels. Nil: nothing. RTMP carries it on.
	Beside []byte

	wire    [numWires]atomic.Pointer[[]byte]
	account *budget.Account // of the ring, which counts wire forms; nil: they are not counted
}

// PaddingUnit is the size of a unit of padding in bytes, and MaxPadding the largest number of them
// in front of a packet.
const (
	PaddingUnit = 2 << 10
	MaxPadding  = 200
)

// PTS is the presentation time.
func (p *Packet) PTS() time.Duration { return p.DTS + p.CTO }

// Millis is the DTS in milliseconds as FLV and RTMP carry it: 32 bits that wrap
// after 49.7 days. onMetaData always stands at 0, as at the start of a file: later on,
// ffmpeg takes it for a subtitle.
func (p *Packet) Millis() uint32 {
	if p.Track == Data && p.Kind == Config {
		return 0
	}
	return uint32(p.DTS / time.Millisecond) //nolint:gosec // wraps by design
}

// Bridged tells whether the packet is bridged sound, or its configuration.
func (p *Packet) Bridged() bool { return p.Flags&Bridged != 0 }

// slot is where the configuration that p is stands in Configs.
func (p *Packet) slot() int {
	if p.Bridged() {
		return BridgedAudio
	}
	return int(p.Track)
}

// SameConfig tells whether a decoder that has the Config p learns nothing new from o. Either may
// be nil.
func (p *Packet) SameConfig(o *Packet) bool {
	if p == nil || o == nil {
		return p == o
	}
	return p.Codec == o.Codec && bytes.Equal(p.Payload, o.Payload) && bytes.Equal(p.Beside, o.Beside)
}

// size is what the packet holds in bytes, but for Overhead.
func (p *Packet) size() int { return len(p.Payload) + len(p.Beside) }

// WithPayload returns a new packet that differs from p in its payload alone, and of which no wire
// form has been made. p stays as it is.
func (p *Packet) WithPayload(payload []byte) *Packet {
	return &Packet{
		Track: p.Track, Codec: p.Codec, Kind: p.Kind, Flags: p.Flags, Epoch: p.Epoch, Padding: p.Padding, Seq: p.Seq,
		DTS: p.DTS, CTO: p.CTO, Recovery: p.Recovery, Arrived: p.Arrived, Payload: payload, Beside: p.Beside,
	}
}

// Media tells whether the packet is coded media, not configuration or data.
func (p *Packet) Media() bool { return p.Track != Data && p.Kind != Config }
