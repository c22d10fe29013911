// Package testmedia holds a short clip for demonstrations and tests. Its subdirectories hold generated
// media (gen), faulty networks (faultnet), a test runner for scripts (story), the end-to-end tests (e2e)
// and measuring tools.
package testmedia

import (
	"bytes"
	_ "embed" // for clip.flv
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/holdfast-live/holdfast/packetbuf"
	"github.com/holdfast-live/holdfast/packetbuf/flv"
)

// clipFLV is made by make-clip.
//
//go:embed clip.flv
var clipFLV []byte

// The length of the clip. Video and audio both fill ClipDuration exactly, so a loop that adds it to all
// timestamps continues both tracks without a gap, an overlap or drift.
const (
	ClipDuration    = 8 * time.Second
	ClipFrames      = 200 // 640x360 H.264 High, 25 per second, a keyframe each second, no B-frames
	ClipAudioFrames = 375 // AAC-LC frames of 1024 samples, 48 kHz, stereo
)

// ClipFLV returns the clip as an FLV file. The caller must not change it.
func ClipFLV() []byte { return clipFLV }

// Clip returns the packets of the clip in file order: metadata and configuration, then video and audio
// frames from DTS 0. The caller may change the packets, but not their payloads, which are shared.
func Clip() []*packetbuf.Packet {
	packets, err := ReadFLV(clipFLV)
	if err != nil {
		panic(fmt.Sprintf("embedded clip: %v", err)) // tests read the same bytes
	}
	return packets
}

// ReadFLV returns the packets of an FLV file. It returns an error if the file is malformed.
func ReadFLV(file []byte) ([]*packetbuf.Packet, error) {
	var packets []*packetbuf.Packet
	for r := flv.NewReader(bytes.NewReader(file), 0); ; {
		tag, err := r.Next()
		if errors.Is(err, io.EOF) {
			return packets, nil
		}
		if err != nil {
			return nil, err
		}
		p, err := tag.Packet()
		if err != nil {
			return nil, err
		}
		if p != nil {
			packets = append(packets, p)
		}
	}
}

// Loop repeats the clip with increasing timestamps.
type Loop struct {
	clip        []*packetbuf.Packet
	offset      time.Duration // added to the timestamps of this round
	next        int
	headersSent bool // metadata and configuration have been returned
}

// NewLoop returns a loop whose first video frame has the DTS start.
func NewLoop(start time.Duration) *Loop { return &Loop{clip: Clip(), offset: start} }

// Next returns the next packet. The caller may change the packet, but not its payload. Metadata and
// configuration are returned once, at the start.
func (l *Loop) Next() *packetbuf.Packet {
	for {
		if l.next == len(l.clip) {
			l.next, l.headersSent = 0, true
			l.offset += ClipDuration
		}
		c := l.clip[l.next]
		l.next++
		if l.headersSent && !c.Media() {
			continue
		}
		return &packetbuf.Packet{
			Track: c.Track, Codec: c.Codec, Kind: c.Kind,
			DTS: l.offset + c.DTS, CTO: c.CTO, Payload: c.Payload,
		}
	}
}
