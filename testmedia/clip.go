// Package testmedia holds a short clip for demonstrations and tests. Beside it stand a
// generator of packets (gen), faulty networks (faultnet) and a runner of stories
// (scenario).
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

// The clip's measures. Pictures and audio frames both fill ClipDuration exactly, so a loop
// that adds it to all timestamps continues both tracks without gap, overlap or drift.
const (
	ClipDuration = 8 * time.Second
	ClipPictures = 200 // 640x360 H.264 High, 25 per second, a keyframe each second, no B-frames
	ClipSounds   = 375 // AAC-LC frames of 1024 samples, 48 kHz, stereo
)

// ClipFLV is the clip as a file. It must not be changed.
func ClipFLV() []byte { return clipFLV }

// Clip is the clip's packets in the order of the file: metadata and configurations, then
// pictures and audio frames from DTS 0 on. The packets are the caller's own, their payloads
// shared.
func Clip() []*packetbuf.Packet {
	packets, err := ReadFLV(clipFLV)
	if err != nil {
		panic(fmt.Sprintf("embedded clip: %v", err)) // a test reads the same bytes
	}
	return packets
}

// ReadFLV returns the packets of an FLV file.
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

// Loop is the clip again and again on one rising clock.
type Loop struct {
	clip []*packetbuf.Packet
	base time.Duration // what the present round's timestamps are moved by
	next int
	once bool // metadata and configurations are through
}

// NewLoop starts a loop whose first picture has the DTS start.
func NewLoop(start time.Duration) *Loop { return &Loop{clip: Clip(), base: start} }

// Next is the next packet, the caller's own but for its payload. Metadata and
// configurations come once, at the start.
func (l *Loop) Next() *packetbuf.Packet {
	for {
		if l.next == len(l.clip) {
			l.next, l.once = 0, true
			l.base += ClipDuration
		}
		c := l.clip[l.next]
		l.next++
		if l.once && !c.Media() {
			continue
		}
		return &packetbuf.Packet{
			Track: c.Track, Codec: c.Codec, Kind: c.Kind,
			DTS: l.base + c.DTS, CTO: c.CTO, Payload: c.Payload,
		}
	}
}
