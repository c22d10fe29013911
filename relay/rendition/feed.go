package rendition

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/holdfast-live/holdfast/packetbuf"
	"github.com/holdfast-live/holdfast/packetbuf/codec"
	"github.com/holdfast-live/holdfast/packetbuf/flv"
)

// errNoVideo means that the stream has no video to transcode.
var errNoVideo = errors.New("the stream has no video")

// errTooLarge means that decoding the video would need too much memory.
var errTooLarge = errors.New("the video is too large to transcode")

// checkSize returns an error if a video configuration declares frames larger than maxPixels. Frames
// whose size it does not declare are checked by the child's decoder.
func checkSize(p *packetbuf.Packet) error {
	if p == nil || p.Track != packetbuf.Video {
		return nil
	}
	info, err := codec.Describe(p)
	if err != nil {
		return nil //nolint:nilerr // the child reports what is wrong
	}
	width, height := info.Width, info.Height
	if c, err := codec.ParseAVCConfig(p.Payload); p.Codec == packetbuf.H264 && err == nil {
		for _, nal := range c.SPS { // decoders also allocate the cropped area
			if s, err := codec.ParseSPS(nal); err == nil {
				width, height = max(width, 16*s.WidthMBs), max(height, 16*s.HeightMBs())
			}
		}
	}
	if int64(width)*int64(height) > maxPixels {
		return fmt.Errorf("%w: %dx%d, at most 4096x4096 or as many pixels", errTooLarge, width, height)
	}
	return nil
}

// feed writes a stream to a child. Configurations and metadata are sent first; other data packets
// are dropped.
type feed struct {
	child     *child
	configs   packetbuf.Configs // configurations that the child has
	started   bool              // the child has received media
	audioSeen bool              // audio has arrived, or the feed no longer waits for it
	first     time.Time         // arrival of the first packets
	kept      []*packetbuf.Packet
	buf       []byte
}

// run writes to the child until the stream or the child ends, and returns the reason.
func (f *feed) run() error {
	for {
		packets, err := f.child.tap.Read(f.child.ctx)
		if err != nil {
			return fmt.Errorf("%w: %w", errTap, err)
		}
		packets = f.gather(time.Now(), packets)
		f.buf = f.buf[:0]
		pictures := false
		for _, p := range packets {
			if err := f.add(p); err != nil {
				return err
			}
			pictures = pictures || p.Track == packetbuf.Video && p.Media()
		}
		if pictures {
			f.expectOutput(packets[len(packets)-1])
		}
		if _, err := f.child.process.stdin.Write(f.buf); err != nil {
			return fmt.Errorf("%w: %w", errExit, err)
		}
	}
}

// audioWait is how long a child waits for audio that must be bridged first.
const audioWait = 700 * time.Millisecond

// gather holds packets back until audio has arrived, if the stream has audio, because a child that
// has started without audio cannot add it later. It then returns the packets with the configurations
// first.
func (f *feed) gather(now time.Time, packets []*packetbuf.Packet) []*packetbuf.Packet {
	if f.audioSeen {
		return packets
	}
	if f.first.IsZero() {
		f.first = now
	}
	tap, ok := f.child.tap.(interface{ Has(packetbuf.Track) bool })
	f.audioSeen = !ok || !tap.Has(packetbuf.Audio) || now.Sub(f.first) >= audioWait ||
		slices.ContainsFunc(packets, func(p *packetbuf.Packet) bool { return p.Track == packetbuf.Audio })
	f.kept = append(f.kept, packets...)
	if !f.audioSeen {
		return nil
	}
	packets, f.kept = f.kept, nil
	slices.SortStableFunc(packets, func(a, b *packetbuf.Packet) int {
		return int(min(a.Kind, packetbuf.Key)) - int(min(b.Kind, packetbuf.Key))
	})
	return packets
}

// add adds a packet to the bytes of the next write.
func (f *feed) add(p *packetbuf.Packet) error {
	switch {
	case p.Kind == packetbuf.Config:
		if p.Track != packetbuf.Data && f.started && !same(f.configs[p.Track], p) {
			return fmt.Errorf("%w: another %s configuration", errChanged, p.Track)
		}
		if err := checkSize(p); err != nil {
			return err
		}
		f.configs[p.Track] = p
		return nil
	case p.Track == packetbuf.Data:
		return nil
	}
	if !f.started {
		if err := f.writeHeader(p); err != nil {
			return err
		}
	}
	if p.Track == packetbuf.Audio && f.configs[packetbuf.Audio] == nil && !f.child.transcode.bareAudio {
		f.child.transcode.bareAudio = true // the audio has no configuration; the next child starts with audio
		return fmt.Errorf("%w: audio began", errChanged)
	}
	ms, ok, err := f.child.clock.to(p.DTS)
	if err != nil || !ok {
		return err
	}
	return f.append(p, ms)
}

// same reports whether a child that started with configuration had can continue with p.
func same(had, p *packetbuf.Packet) bool {
	return had != nil && had.Codec == p.Codec && bytes.Equal(had.Payload, p.Payload)
}

// writeHeader appends the header and the configurations for the child. p is its first media packet.
func (f *feed) writeHeader(p *packetbuf.Packet) error {
	if f.configs[packetbuf.Video] == nil && p.Track != packetbuf.Video {
		return errNoVideo
	}
	f.started = true
	f.buf = append(f.buf, flv.Header(true, f.configs[packetbuf.Audio] != nil || f.child.transcode.bareAudio)...)
	for _, tr := range []packetbuf.Track{packetbuf.Data, packetbuf.Video, packetbuf.Audio} {
		if c := f.configs[tr]; c != nil {
			if err := f.append(c, 0); err != nil {
				return err
			}
		}
	}
	return nil
}

func (f *feed) append(p *packetbuf.Packet, ms uint32) error {
	body, err := flv.AppendBody(nil, p)
	if err != nil {
		return err
	}
	f.buf, err = flv.AppendTag(f.buf, flv.TagType(p.Track), ms, body)
	return err
}

// expectOutput records that output is due for video that was sent, and whether the child is behind.
// newest is the newest packet sent. The packets at the start of a subscription are old too, but the
// child soon catches up.
func (f *feed) expectOutput(newest *packetbuf.Packet) {
	now := time.Now()
	c := f.child
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.owedSince.IsZero() {
		c.owedSince = now
	}
	switch {
	case now.Sub(newest.Arrived) <= c.transcode.renditions.timing.late:
		c.behindSince = time.Time{}
	case c.behindSince.IsZero():
		c.behindSince = now
	}
}
