package flv

import (
	"encoding/binary"
	"fmt"
	"time"

	"github.com/holdfast-live/holdfast/packetbuf"
	"github.com/holdfast-live/holdfast/packetbuf/codec"
)

const (
	// maxBodyHeader is the size in bytes of the longest header that AppendBodyHeader writes.
	maxBodyHeader = 8
	tagHeaderSize = 11
	prevTagSize   = 4
)

// exFourCC holds the FourCCs of the codecs that are sent in the Enhanced layout.
var exFourCC = [...]string{
	packetbuf.HEVC: "hvc1", packetbuf.AV1: "av01", packetbuf.VP8: "vp08", packetbuf.VP9: "vp09",
	packetbuf.Opus: "Opus", packetbuf.FLAC: "fLaC", packetbuf.AC3: "ac-3", packetbuf.EAC3: "ec-3",
}

// FourCCs returns the FourCCs of the codecs that the relay accepts and sends on a track, oldest codec
// first.
func FourCCs(t packetbuf.Track) []string {
	if t == packetbuf.Audio {
		return []string{"mp4a", ".mp3", "ac-3", "ec-3", "fLaC", "Opus"}
	}
	return []string{"avc1", "hvc1", "vp08", "vp09", "av01"}
}

// CodecOf returns the codec with the FourCC name, or NoCodec if the FourCC is unknown.
func CodecOf(name string) packetbuf.Codec {
	if len(name) != len(fourCC{}) {
		return packetbuf.NoCodec
	}
	for _, known := range exCodecs {
		if c, ok := known[fourCC([]byte(name))]; ok {
			return c
		}
	}
	return packetbuf.NoCodec
}

// CanCarry reports whether FLV can carry a codec. H.264, AAC and MP3 are sent in the
// legacy layout that every player reads, all others in the Enhanced layout.
func CanCarry(c packetbuf.Codec) bool {
	switch c {
	case packetbuf.H264, packetbuf.AAC, packetbuf.MP3, packetbuf.AMF0:
		return true
	}
	return int(c) < len(exFourCC) && exFourCC[c] != ""
}

// AudioCodecs returns the audio codecs that are sent to FLV players without negotiation. These are all
// that FLV carries except Opus, which hardly any FLV player supports.
func AudioCodecs() []packetbuf.Codec {
	return []packetbuf.Codec{packetbuf.AAC, packetbuf.MP3, packetbuf.FLAC, packetbuf.AC3, packetbuf.EAC3}
}

// AppendBodyHeader appends the bytes that precede the payload in the body of the packet's tag, at most 8.
// It returns an *UnsupportedError if FLV cannot carry the codec on that track.
func AppendBodyHeader(dst []byte, p *packetbuf.Packet) ([]byte, error) {
	switch {
	case p.Track == packetbuf.Data && p.Codec == packetbuf.AMF0:
		return dst, nil
	case p.Track == packetbuf.Video && p.Codec == packetbuf.H264:
		return appendAVCHeader(dst, p), nil
	case p.Track == packetbuf.Video && isVideo(p.Codec):
		return appendExVideoHeader(dst, p), nil
	case p.Track == packetbuf.Audio && p.Codec == packetbuf.AAC:
		// The format defines 44 kHz, 16 bits, stereo, whatever the configuration says.
		packetType := byte(aacRaw)
		if p.Kind == packetbuf.Config {
			packetType = aacConfig
		}
		return append(dst, 0xaf, packetType), nil
	case p.Track == packetbuf.Audio && p.Codec == packetbuf.MP3:
		return append(dst, mp3Header(p.Payload)), nil
	case p.Track == packetbuf.Audio && CanCarry(p.Codec) && p.Codec > packetbuf.AAC && p.Codec != packetbuf.AMF0:
		packetType := byte(exCodedFrames)
		if p.Kind == packetbuf.Config {
			packetType = exSequenceStart
		}
		dst = append(dst, soundEnhanced<<4|packetType)
		return append(dst, exFourCC[p.Codec]...), nil
	}
	return dst, &UnsupportedError{Track: p.Track, Codec: p.Codec.String()}
}

func isVideo(c packetbuf.Codec) bool { return c >= packetbuf.H264 && c <= packetbuf.VP9 }

func frameType(k packetbuf.Kind) byte {
	switch k {
	case packetbuf.Config, packetbuf.Key:
		return frameKey
	case packetbuf.Disposable:
		return frameDisposable
	}
	return frameInter
}

func appendAVCHeader(dst []byte, p *packetbuf.Packet) []byte {
	packetType, cto := byte(avcNALUs), p.CTO
	if p.Kind == packetbuf.Config {
		packetType, cto = avcConfig, 0
	}
	dst = append(dst, frameType(p.Kind)<<4|codecAVC, packetType)
	return appendUint24(dst, millis24(cto))
}

func appendExVideoHeader(dst []byte, p *packetbuf.Packet) []byte {
	packetType := byte(exCodedFrames)
	switch {
	case p.Kind == packetbuf.Config:
		packetType = exSequenceStart
	case p.Codec == packetbuf.HEVC && millis24(p.CTO) == 0:
		packetType = exVideoFramesX
	}
	dst = append(dst, 0x80|frameType(p.Kind)<<4|packetType)
	dst = append(dst, exFourCC[p.Codec]...)
	if p.Codec == packetbuf.HEVC && packetType == exCodedFrames {
		dst = appendUint24(dst, millis24(p.CTO))
	}
	return dst
}

// millis24 returns a composition offset in milliseconds as a 24-bit two's complement number, clamped to
// its range.
func millis24(d time.Duration) uint32 {
	ms := min(max(d.Milliseconds(), -1<<23), 1<<23-1)
	return uint32(ms) & 0xffffff //nolint:gosec // two's complement by design
}

func appendUint24(dst []byte, v uint32) []byte {
	return append(dst, byte(v>>16), byte(v>>8), byte(v)) //nolint:gosec // byte by byte
}

// mp3Header returns the header byte of an MP3 body. Of the sample rates that it can express, it gives the
// nearest to the frame's. Players read the exact rate from the frame itself.
func mp3Header(frame []byte) byte {
	const sixteenBits, stereo = 1 << 1, 1
	h := byte(soundMP3<<4 | 3<<2 | sixteenBits | stereo)
	m, err := codec.ParseMP3(frame)
	if err != nil {
		return h
	}
	switch {
	case m.SampleRate == 8000:
		h = soundMP3At8k<<4 | sixteenBits | stereo
	case m.SampleRate <= 12000:
		h = soundMP3<<4 | 1<<2 | sixteenBits | stereo
	case m.SampleRate <= 24000:
		h = soundMP3<<4 | 2<<2 | sixteenBits | stereo
	}
	if m.Channels == 1 {
		h &^= stereo
	}
	return h
}

// AppendBody appends the body of the packet's tag or RTMP message. It returns an *UnsupportedError if
// FLV cannot carry the codec on that track.
func AppendBody(dst []byte, p *packetbuf.Packet) ([]byte, error) {
	dst, err := AppendBodyHeader(dst, p)
	if err != nil {
		return dst, err
	}
	return append(dst, p.Payload...), nil
}

// canDescribe reports whether a codec can have an additional description. Codecs sent in the legacy
// layout cannot.
func canDescribe(c packetbuf.Codec) bool { return int(c) < len(exFourCC) && exFourCC[c] != "" }

// Beside returns the body of a message with the additional description of the configuration p. It must
// be sent after the configuration itself. Beside returns nil if p has no such description.
func Beside(p *packetbuf.Packet) []byte {
	if len(p.Beside) == 0 || p.Kind != packetbuf.Config || !canDescribe(p.Codec) {
		return nil
	}
	first := byte(soundEnhanced<<4 | exMetadata)
	if p.Track == packetbuf.Video {
		first = 0x80 | frameCommand<<4 | exMetadata // a receiver that does not support it sees a command
	}
	body := make([]byte, 0, 1+len(fourCC{})+len(p.Beside))
	body = append(append(body, first), exFourCC[p.Codec]...)
	return append(body, p.Beside...)
}

// Tag returns the packet's complete tag followed by its PreviousTagSize. It returns nil if FLV cannot
// carry the packet; callers prevent that with CanCarry and a limit on message sizes. The tag does not
// contain Beside, because browser players of HTTP-FLV (mpegts.js) stop at a packet type that they do not
// know.
func Tag(p *packetbuf.Packet) []byte {
	var scratch [maxBodyHeader]byte
	header, err := AppendBodyHeader(scratch[:0], p)
	if err != nil || len(header)+len(p.Payload) > MaxBody {
		return nil
	}
	size := len(header) + len(p.Payload)
	tag := make([]byte, 0, tagHeaderSize+size+prevTagSize)
	tag = appendTagHeader(tag, TagType(p.Track), p.Millis(), size)
	tag = append(tag, header...)
	tag = append(tag, p.Payload...)
	return binary.BigEndian.AppendUint32(tag, uint32(tagHeaderSize+size)) //nolint:gosec // 25 bits
}

// AppendTag appends a complete tag with the timestamp ts, in milliseconds, followed by its
// PreviousTagSize. It returns an error if the body is longer than MaxBody.
func AppendTag(dst []byte, tagType byte, ts uint32, body []byte) ([]byte, error) {
	if len(body) > MaxBody {
		return dst, fmt.Errorf("append FLV tag: body of %d bytes exceeds %d", len(body), MaxBody)
	}
	dst = appendTagHeader(dst, tagType, ts, len(body))
	dst = append(dst, body...)
	return binary.BigEndian.AppendUint32(dst, uint32(tagHeaderSize+len(body))), nil //nolint:gosec // 25 bits
}

// appendTagHeader appends the type, the body size, the timestamp with its extension byte, and stream
// ID 0.
func appendTagHeader(dst []byte, tagType byte, ts uint32, size int) []byte {
	dst = append(dst, tagType)
	dst = appendUint24(dst, uint32(size)) //nolint:gosec // at most MaxBody
	dst = appendUint24(dst, ts)
	return append(dst, byte(ts>>24), 0, 0, 0)
}

// Header returns the start of a file or stream: the header, which announces the tracks, and
// PreviousTagSize0.
func Header(hasVideo, hasAudio bool) []byte {
	var flags byte
	if hasVideo {
		flags |= flagVideo
	}
	if hasAudio {
		flags |= flagAudio
	}
	return []byte{'F', 'L', 'V', 1, flags, 0, 0, 0, fileHeaderSize, 0, 0, 0, 0}
}
