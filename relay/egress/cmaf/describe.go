package cmaf

import (
	"bytes"
	"fmt"
	"slices"

	"github.com/holdfast-live/holdfast/packetbuf"
	"github.com/holdfast-live/holdfast/packetbuf/codec"
)

// videoScale is the time scale of video tracks, a whole number of ticks per millisecond.
const videoScale = 90000

// description describes a track for the init section.
type description struct {
	codec  packetbuf.Codec
	record []byte // configuration as received
	scale  int64  // time scale: units per second
	name   string // codec string of RFC 6381

	width, height int
	fps           float64 // 0 if unknown
	channels      int
	frame         int64 // AAC: samples per frame
	aac           codec.AAC

	box    string // kind of the sample entry
	config []byte // box in the sample entry that configures the decoder, with its header
}

// same reports whether a decoder that was configured with o can decode frames of d.
func (d *description) same(o *description) bool {
	if d == o || d == nil || o == nil {
		return d == o
	}
	if d.codec == packetbuf.AAC && d.aac.Channels > 0 && d.aac == o.aac { // the same configuration may be encoded differently
		return o.codec == packetbuf.AAC
	}
	return d.codec == o.codec && d.box == o.box && bytes.Equal(d.record, o.record)
}

// CodecError is returned for a stream in a codec that fMP4 or its players do not support.
type CodecError struct{ Codec packetbuf.Codec }

func (e *CodecError) Error() string { return fmt.Sprintf("%s cannot be carried in fMP4", e.Codec) }

// Codecs that are supported.
var (
	videoCodecs = []packetbuf.Codec{packetbuf.H264, packetbuf.HEVC, packetbuf.AV1, packetbuf.VP9}
	audioCodecs = []packetbuf.Codec{packetbuf.AAC, packetbuf.Opus, packetbuf.MP3, packetbuf.AC3}
)

func supported(p *packetbuf.Packet) bool {
	if p.Track == packetbuf.Video {
		return slices.Contains(videoCodecs, p.Codec)
	}
	return slices.Contains(audioCodecs, p.Codec)
}

// selfDescribed reports whether each frame of a codec contains the configuration of the decoder.
func selfDescribed(c packetbuf.Codec) bool { return c == packetbuf.MP3 || c == packetbuf.AC3 }

// describe returns the description of a track from p, which is its configuration or, for a
// self-described codec, a frame. first is a keyframe, which is needed for codecs whose
// configuration does not contain the size of the video.
func describe(p, first *packetbuf.Packet) (*description, error) {
	d := &description{codec: p.Codec, record: p.Payload, scale: videoScale}
	if p.Codec == packetbuf.AC3 {
		return d, d.ac3(p.Payload)
	}
	info, err := codec.Describe(p)
	if err != nil {
		return nil, err
	}
	d.name, d.width, d.height, d.fps, d.channels = info.RFC6381, info.Width, info.Height, info.FrameRate, info.Channels
	if p.Track == packetbuf.Audio {
		d.channels = max(1, info.Channels)
		if _, rate := codec.AudioFrameDuration(p); rate > 0 {
			info.SampleRate = rate
		}
		if d.scale = int64(info.SampleRate); d.scale <= 0 {
			return nil, fmt.Errorf("%s without a sample rate", p.Codec)
		}
	}
	switch p.Codec {
	case packetbuf.H264:
		d.box, d.config = "avc1", makeBox("avcC", p.Payload)
	case packetbuf.HEVC:
		d.box, d.config = "hvc1", makeBox("hvcC", p.Payload)
	case packetbuf.AV1:
		d.box, d.config = "av01", makeBox("av1C", p.Payload)
	case packetbuf.VP9:
		return d, d.vp9(p.Payload, first)
	case packetbuf.AAC:
		d.aac, _ = codec.ParseAAC(p.Payload) // codec.Describe has parsed it already
		samples, _ := codec.AudioFrameDuration(p)
		d.frame, d.box, d.config = int64(samples), "mp4a", esds(mpeg4Audio, p.Payload)
	case packetbuf.MP3:
		d.mp3(p.Payload)
	case packetbuf.Opus:
		return d, d.opus(p.Payload)
	default:
		return nil, &CodecError{p.Codec}
	}
	return d, nil
}

// makeBox returns a box with the given content.
func makeBox(kind string, content []byte) []byte {
	var w boxes
	w.box(kind, func() { w.bytes(content) })
	return w.b
}

// vp9 parses a VPCodecConfigurationRecord. The size of the video is taken from key, a keyframe.
func (d *description) vp9(record []byte, key *packetbuf.Packet) error {
	if len(record) == 12 && record[0] == 1 {
		record = record[4:] // skip the box's version and flags
	}
	if len(record) < 8 {
		return fmt.Errorf("vpcC of %d bytes", len(record))
	}
	if key != nil {
		d.width, d.height = codec.VP9Size(key.Payload)
	}
	record = bytes.Clone(record)
	if record[1] == 0 { // players require a level
		record[1] = vp9Level(d.width * d.height)
	}
	var w boxes
	at := w.beginFullBox("vpcC", 1, 0)
	w.bytes(record)
	w.endBox(at)
	d.box, d.config = "vp09", w.b
	d.name = fmt.Sprintf("vp09.%02d.%02d.%02d", record[0], record[1], record[2]>>4)
	return nil
}

// vp9Level returns a level that suffices for frames with that many pixels at up to 60 fps.
func vp9Level(pixels int) byte {
	switch {
	case pixels <= 1280*768:
		return 40
	case pixels <= 2048*1088:
		return 41
	}
	return 52
}

// opus converts an OpusHead into a dOps box, which has the opposite byte order.
func (d *description) opus(head []byte) error {
	h, err := codec.ParseOpusHead(head)
	if err != nil {
		return err
	}
	var w boxes
	w.box("dOps", func() {
		w.u8(0)
		w.u8(byte(h.Channels))
		w.u16(uint16(h.PreSkip)) //nolint:gosec // 16 bits, as parsed
		w.u32(uint32(h.Rate))    //nolint:gosec // 32 bits, as parsed
		w.u16(uint16(h.Gain))    //nolint:gosec // two's complement
		w.u8(h.Family)
		w.text(h.Mapping)
	})
	d.box, d.config = "Opus", w.b
	return nil
}

func (d *description) mp3(frame []byte) {
	d.record = frame[1:4:4] // version, layer, rate, channels
	d.record = []byte{d.record[0] &^ 1, d.record[1] & 0x0c, d.record[2] & 0xc0}
	object, name := byte(mpeg1Audio), "mp4a.6B"
	if d.scale < 32000 {
		object, name = mpeg2Audio, "mp4a.69"
	}
	d.name, d.box, d.config = name, "mp4a", esds(object, nil)
}

// ac3 parses the header of a frame (ETSI TS 102 366, 4.3 and 4.4) and builds a dac3 box (F.4).
func (d *description) ac3(frame []byte) error {
	a, err := codec.ParseAC3(frame)
	if err != nil {
		return err
	}
	if a.Enhanced {
		return fmt.Errorf("an E-AC-3 frame in AC-3: %w", codec.ErrMalformed)
	}
	rate, size := frame[4]>>6, frame[4]&0x3f
	bsid, bsmod, mode := frame[5]>>3, frame[5]&7, frame[6]>>5
	bits := uint32(rate)<<22 | uint32(bsid)<<17 | uint32(bsmod)<<14 | uint32(mode)<<11 | uint32(size>>1)<<5
	if a.LFE {
		bits |= 1 << 10
	}
	d.record = []byte{byte(bits >> 16), byte(bits >> 8), byte(bits)}
	d.scale, d.channels = int64(a.SampleRate), a.Channels
	d.name, d.box, d.config = "ac-3", "ac-3", makeBox("dac3", d.record)
	return nil
}

// frameSamples returns the number of samples per channel of frame p, in units of d.scale.
func (d *description) frameSamples(p *packetbuf.Packet) int64 {
	switch d.codec {
	case packetbuf.AC3:
		return 1536
	case packetbuf.AAC:
		return d.frame
	}
	n, _ := codec.AudioFrameDuration(p)
	return int64(n)
}

// Object type indications of esds (ISO/IEC 14496-1, 7.2.6.6).
const (
	mpeg4Audio = 0x40
	mpeg2Audio = 0x69
	mpeg1Audio = 0x6b
)

// esds returns the box with the configuration of MPEG audio (ISO/IEC 14496-14, 5.6).
func esds(object byte, specific []byte) []byte {
	var w boxes
	at := w.beginFullBox("esds", 0, 0)
	config := 13
	if specific != nil {
		config += 5 + len(specific)
	}
	w.descriptor(3, 3+5+config+5+1)
	w.u16(0) // ES_ID
	w.u8(0)
	w.descriptor(4, config)
	w.u8(object)
	w.u8(5<<2 | 1)            // an audio stream
	w.bytes(make([]byte, 11)) // buffer size and bit rates: unknown
	if specific != nil {
		w.descriptor(5, len(specific))
		w.bytes(specific)
	}
	w.descriptor(6, 1)
	w.u8(2)
	w.endBox(at)
	return w.b
}

// descriptor appends the header of a descriptor (ISO/IEC 14496-1).
func (w *boxes) descriptor(tag byte, size int) {
	w.u8(tag)
	for shift := 21; shift > 0; shift -= 7 {
		w.u8(0x80 | byte(size>>shift)) //nolint:gosec // seven bits at a time
	}
	w.u8(byte(size & 0x7f))
}
