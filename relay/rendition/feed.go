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

// errNoPictures: there is nothing to make smaller.
var errNoPictures = errors.New("the stream has no pictures")

// errTooLarge: the pictures would take too much memory to decode.
var errTooLarge = errors.New("the pictures are too large to transcode")

// checkSize returns an error where a configuration of video says that its pictures are larger than
// a child decodes. What it does not say the child's decoder checks.
func checkSize(p *packetbuf.Packet) error {
	if p == nil || p.Track != packetbuf.Video {
		return nil
	}
	info, err := codec.Describe(p)
	if err != nil {
		return nil //nolint:nilerr // the child says what is wrong with it
	}
	width, height := info.Width, info.Height
	if c, err := codec.ParseAVCConfig(p.Payload); p.Codec == packetbuf.H264 && err == nil {
		for _, nal := range c.SPS { // decoders make room for what is cropped, too
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

// feed writes a stream to a child. Configuration and metadata come first; what is neither
// sound nor picture stays out.
type feed struct {
	c       *child
	configs packetbuf.Configs // what the child has
	begun   bool              // the child has had media
	heard   bool              // sound has come, or is not waited for
	first   time.Time         // when the first packets came
	kept    []*packetbuf.Packet
	buf     []byte
}

// run feeds the child until the stream or the child ends, and returns which.
func (f *feed) run() error {
	for {
		packets, err := f.c.tap.Read(f.c.ctx)
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
			f.ask(packets[len(packets)-1])
		}
		if _, err := f.c.process.stdin.Write(f.buf); err != nil {
			return fmt.Errorf("%w: %w", errExit, err)
		}
	}
}

// soundWait is how long a child waits for sound that has to be bridged first.
const soundWait = 700 * time.Millisecond

// gather keeps packets back until the stream's sound has shown itself, if it has some: a child
// that has begun without cannot take it up any more. What was kept comes with configuration
// first.
func (f *feed) gather(now time.Time, packets []*packetbuf.Packet) []*packetbuf.Packet {
	if f.heard {
		return packets
	}
	if f.first.IsZero() {
		f.first = now
	}
	tap, ok := f.c.tap.(interface{ Has(packetbuf.Track) bool })
	f.heard = !ok || !tap.Has(packetbuf.Audio) || now.Sub(f.first) >= soundWait ||
		slices.ContainsFunc(packets, func(p *packetbuf.Packet) bool { return p.Track == packetbuf.Audio })
	f.kept = append(f.kept, packets...)
	if !f.heard {
		return nil
	}
	packets, f.kept = f.kept, nil
	slices.SortStableFunc(packets, func(a, b *packetbuf.Packet) int {
		return int(min(a.Kind, packetbuf.Key)) - int(min(b.Kind, packetbuf.Key))
	})
	return packets
}

// add adds a packet to what is written next.
func (f *feed) add(p *packetbuf.Packet) error {
	switch {
	case p.Kind == packetbuf.Config:
		if p.Track != packetbuf.Data && f.begun && !same(f.configs[p.Track], p) {
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
	if !f.begun {
		if err := f.begin(p); err != nil {
			return err
		}
	}
	if p.Track == packetbuf.Audio && f.configs[packetbuf.Audio] == nil && !f.c.m.bare {
		f.c.m.bare = true // sound without configuration: the next child is told of it
		return fmt.Errorf("%w: sound began", errChanged)
	}
	ms, ok, err := f.c.clock.to(p.DTS)
	if err != nil || !ok {
		return err
	}
	return f.append(p, ms)
}

// same tells whether a child that has had one configuration can go on with another.
func same(had, p *packetbuf.Packet) bool {
	return had != nil && had.Codec == p.Codec && bytes.Equal(had.Payload, p.Payload)
}

// begin writes what the child begins with; p is its first media.
func (f *feed) begin(p *packetbuf.Packet) error {
	if f.configs[packetbuf.Video] == nil && p.Track != packetbuf.Video {
		return errNoPictures
	}
	f.begun = true
	f.buf = append(f.buf, flv.Header(true, f.configs[packetbuf.Audio] != nil || f.c.m.bare)...)
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

// ask notes that the child has pictures to answer, and whether it is behind: newest is the last
// of them. What a join begins with is old too, and soon caught up with.
func (f *feed) ask(newest *packetbuf.Packet) {
	now := time.Now()
	c := f.c
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.asked.IsZero() {
		c.asked = now
	}
	switch {
	case now.Sub(newest.Arrived) <= c.m.of.timing.late:
		c.behind = time.Time{}
	case c.behind.IsZero():
		c.behind = now
	}
}
