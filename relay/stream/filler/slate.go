package filler

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/holdfast-live/holdfast/packetbuf"
	"github.com/holdfast-live/holdfast/packetbuf/codec"
	"github.com/holdfast-live/holdfast/packetbuf/flv"
)

// slateMost bounds the size of a slate in bytes, because the slate stays in memory.
const slateMost = 64 << 20

// Slate is a clip that is played in a loop while a stream is held. It is immutable.
type Slate struct {
	name    string
	configs packetbuf.Configs
	video   codec.Info
	audio   codec.Info // NoCodec if the slate has no audio
	packets []*packetbuf.Packet
	length  time.Duration // of one round of the loop
	reorder time.Duration // the largest composition offset
}

// ReadSlate reads a clip in FLV: H.264 that starts with an IDR frame, with or without AAC. name
// identifies the clip in errors.
func ReadSlate(name string, r io.Reader) (*Slate, error) {
	s := &Slate{name: name}
	limited := &io.LimitedReader{R: r, N: slateMost}
	file := flv.NewReader(bufio.NewReader(limited), 0)
	var in flv.Intake
	for {
		tag, err := file.Next()
		if errors.Is(err, io.EOF) && limited.N > 0 {
			break
		}
		if limited.N <= 0 {
			return nil, fmt.Errorf("slate %s: more than %d MiB", name, slateMost>>20)
		}
		if err != nil {
			return nil, fmt.Errorf("slate %s: not a FLV file: %w", name, err)
		}
		track, ok := flv.TrackOf(tag.Type)
		if !ok || track == packetbuf.Data {
			continue
		}
		packets, err := in.Take(time.Time{}, track, tag.Timestamp, tag.Body)
		if err == nil {
			err = s.addAll(packets)
		}
		if err != nil {
			return nil, fmt.Errorf("slate %s: %w", name, err)
		}
	}
	packets, _ := in.Flush(time.Time{})
	if err := s.addAll(packets); err != nil {
		return nil, fmt.Errorf("slate %s: %w", name, err)
	}
	if err := s.finish(); err != nil {
		return nil, fmt.Errorf("slate %s: %w", name, err)
	}
	return s, nil
}

func (s *Slate) addAll(packets []*packetbuf.Packet) error {
	for _, p := range packets {
		if err := s.add(p); err != nil {
			return err
		}
	}
	return nil
}

func (s *Slate) add(p *packetbuf.Packet) (err error) {
	switch had := s.configs[p.Track]; {
	case p.Kind == packetbuf.Config && had != nil && had.Codec == p.Codec && bytes.Equal(had.Payload, p.Payload):
		return nil // the same configuration again, perhaps with more metadata
	case p.Kind == packetbuf.Config && had != nil:
		return errors.New("its configuration changes")
	case p.Kind == packetbuf.Config:
		s.configs[p.Track] = p
		info := &s.video
		if p.Track == packetbuf.Audio {
			info = &s.audio
		}
		*info, err = codec.Describe(p)
		return err
	case p.Codec != packetbuf.H264 && p.Codec != packetbuf.AAC:
		return fmt.Errorf("%s; a slate has H.264 and AAC", p.Codec)
	}
	s.packets = append(s.packets, p)
	return nil
}

// finish shifts the slate to start at 0 and sets its length to that of its video. Audio beyond the
// length is dropped.
func (s *Slate) finish() error {
	var first, last *packetbuf.Packet
	n := 0
	for _, p := range s.packets {
		if p.Track == packetbuf.Video {
			if first == nil {
				first = p
			} else if p.DTS <= last.DTS {
				return errors.New("its decode times do not rise")
			}
			last = p
			n++
			s.reorder = max(s.reorder, p.CTO)
		}
	}
	if n < 2 || first.Kind != packetbuf.Key || !codec.AVCHas(first.Payload, 4, codec.NALIDR) {
		return errors.New("it must start with an IDR frame of H.264 and have more than one frame")
	}
	start := first.DTS
	s.length = (last.DTS - start) * time.Duration(n) / time.Duration(n-1)
	kept := s.packets[:0]
	for _, p := range s.packets {
		if p.DTS -= start; p.DTS >= 0 && p.DTS < s.length {
			kept = append(kept, p)
		}
	}
	s.packets = kept
	return nil
}

// Fits returns nil if the slate can be played on a stream with these configurations. Otherwise the
// error lists what would have to change in the slate.
func (s *Slate) Fits(tracks packetbuf.Configs) error {
	var faults []error
	differ := func(what string, has, needs any) {
		if has != needs {
			faults = append(faults, fmt.Errorf("%s %v instead of %v", what, needs, has))
		}
	}
	if c := tracks[packetbuf.Video]; c == nil {
		faults = append(faults, errors.New("a stream with video"))
	} else if live, err := codec.Describe(c); err != nil {
		faults = append(faults, err)
	} else {
		differ("codec", s.video.Codec, live.Codec)
		differ("width", s.video.Width, live.Width)
		differ("height", s.video.Height, live.Height)
		differ("profile", s.video.Profile, live.Profile)
	}
	if c := tracks[packetbuf.Audio]; c != nil && s.configs[packetbuf.Audio] != nil {
		live, err := codec.Describe(c)
		if err != nil {
			faults = append(faults, err)
		}
		differ("audio codec", s.audio.Codec, live.Codec)
		differ("sample rate", s.audio.SampleRate, live.SampleRate)
		differ("channels", s.audio.Channels, live.Channels)
	}
	if len(faults) > 0 {
		return fmt.Errorf("slate %s would need: %w", s.name, errors.Join(faults...))
	}
	return nil
}

// slatePlayer plays a slate.
type slatePlayer struct {
	*Slate
	had     packetbuf.Configs // the configurations that viewers have before the slate
	base    time.Duration     // position at which this round of the loop starts
	at      int               // index of the next packet
	mute    bool              // the slate's audio is not played: the stream or the slate has none
	started bool
}

// dts returns the DTS of the next packet.
func (v *slatePlayer) dts() time.Duration { return v.base + v.packets[v.at].DTS }

// due reports whether the next packet has a PTS at or before position video of the stream's clock.
func (v *slatePlayer) due(video time.Duration) bool { return v.dts()+v.reorder <= video }

// newSlatePlayer returns a player that starts the configured slate after the stream's newest packet.
// It returns nil if no slate is configured, and an error if the slate does not fit the stream.
func newSlatePlayer(h Held, newest time.Duration) (*slatePlayer, error) {
	if h.Slate == nil {
		return nil, nil
	}
	if err := h.Slate.Fits(h.Configs); err != nil {
		return nil, err
	}
	return &slatePlayer{
		Slate: h.Slate, had: h.Configs, base: (newest + h.VideoStep).Truncate(time.Millisecond) + time.Millisecond,
		mute: h.Configs[packetbuf.Audio] == nil || h.Slate.configs[packetbuf.Audio] == nil,
	}, nil
}

// addSlate adds the slate's next packet.
func (f *Filler) addSlate() {
	v := f.slate
	next := v.packets[v.at]
	if next.Track == packetbuf.Video || !v.mute {
		p := &packetbuf.Packet{Track: next.Track, Codec: next.Codec, Kind: next.Kind, Payload: next.Payload, DTS: v.dts(), CTO: next.CTO}
		if v.started {
			f.add(p)
		} else {
			f.startSlate(p)
		}
	}
	if v.at++; v.at == len(v.packets) {
		v.at, v.base = 0, v.base+v.length
	}
}

// startSlate adds the slate's first packet, after any configurations that are new to viewers.
func (f *Filler) startSlate(p *packetbuf.Packet) {
	v, first := f.slate, len(f.out)
	v.started = true
	for _, tr := range []packetbuf.Track{packetbuf.Video, packetbuf.Audio} {
		if c := v.configs[tr]; c != nil && !v.had[tr].SameConfig(c) && (tr == packetbuf.Video || !v.mute) {
			f.out = append(f.out, Packet{Packet: c})
		}
	}
	p.Flags |= packetbuf.Splice
	f.add(codec.WithParameterSets(p, v.configs[packetbuf.Video]))
	f.out[first].StartsSlate = true
}
