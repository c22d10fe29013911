package stream

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

// slateMost is how long a slate may be, in bytes: it stays in memory.
const slateMost = 64 << 20

// Slate is a clip that is played, again and again, while a stream is held. It is not changed once
// it has been read.
type Slate struct {
	name    string
	configs packetbuf.Configs
	picture codec.Info
	sound   codec.Info // without a codec: it has none
	packets []*packetbuf.Packet
	length  time.Duration // of one round
	reorder time.Duration // the largest composition offset
}

// ReadSlate reads a clip in FLV: H.264 that begins with an IDR picture and, or not, AAC. name is
// what it is called in errors.
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
			err = s.takeAll(packets)
		}
		if err != nil {
			return nil, fmt.Errorf("slate %s: %w", name, err)
		}
	}
	packets, _ := in.Flush(time.Time{})
	if err := s.takeAll(packets); err != nil {
		return nil, fmt.Errorf("slate %s: %w", name, err)
	}
	if err := s.finish(); err != nil {
		return nil, fmt.Errorf("slate %s: %w", name, err)
	}
	return s, nil
}

func (s *Slate) takeAll(packets []*packetbuf.Packet) error {
	for _, p := range packets {
		if err := s.take(p); err != nil {
			return err
		}
	}
	return nil
}

func (s *Slate) take(p *packetbuf.Packet) (err error) {
	switch had := s.configs[p.Track]; {
	case p.Kind == packetbuf.Config && had != nil && had.Codec == p.Codec && bytes.Equal(had.Payload, p.Payload):
		return nil // it is told once more, or more is said beside it
	case p.Kind == packetbuf.Config && had != nil:
		return errors.New("its configuration changes")
	case p.Kind == packetbuf.Config:
		s.configs[p.Track] = p
		info := &s.picture
		if p.Track == packetbuf.Audio {
			info = &s.sound
		}
		*info, err = codec.Describe(p)
		return err
	case p.Codec != packetbuf.H264 && p.Codec != packetbuf.AAC:
		return fmt.Errorf("%s; a slate has H.264 and AAC", p.Codec)
	}
	s.packets = append(s.packets, p)
	return nil
}

// finish has the slate begin at 0, and finds its length: that of its pictures. Sound beyond that
// is left out.
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
		return errors.New("it has to begin with an IDR picture of H.264, and to have more than one picture")
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

// Fits tells what would have to change for the slate to be played on a stream whose tracks are
// these; nil if it can be.
func (s *Slate) Fits(tracks packetbuf.Configs) error {
	var faults []error
	differ := func(what string, has, needs any) {
		if has != needs {
			faults = append(faults, fmt.Errorf("%s %v instead of %v", what, needs, has))
		}
	}
	if c := tracks[packetbuf.Video]; c == nil {
		faults = append(faults, errors.New("a stream with pictures"))
	} else if live, err := codec.Describe(c); err != nil {
		faults = append(faults, err)
	} else {
		differ("codec", s.picture.Codec, live.Codec)
		differ("width", s.picture.Width, live.Width)
		differ("height", s.picture.Height, live.Height)
		differ("profile", s.picture.Profile, live.Profile)
	}
	if c := tracks[packetbuf.Audio]; c != nil && s.configs[packetbuf.Audio] != nil {
		live, err := codec.Describe(c)
		if err != nil {
			faults = append(faults, err)
		}
		differ("codec of the sound", s.sound.Codec, live.Codec)
		differ("sample rate", s.sound.SampleRate, live.SampleRate)
		differ("channels", s.sound.Channels, live.Channels)
	}
	if len(faults) > 0 {
		return fmt.Errorf("slate %s would need: %w", s.name, errors.Join(faults...))
	}
	return nil
}

// playing is a slate that is on.
type playing struct {
	*Slate
	base  time.Duration // where this round begins
	at    int           // of the next packet
	mute  bool          // the stream has no sound, or the slate's is not its own
	begun bool
}

// dts is where the next packet stands.
func (v *playing) dts() time.Duration { return v.base + v.packets[v.at].DTS }

func (v *playing) due(clock time.Duration) bool { return v.dts()+v.reorder <= clock }

// newPlaying prepares the slate that is configured, behind what the stream has; nil where there is
// none or it does not fit. s.mu is held.
func (s *Stream) newPlaying(last time.Duration) *playing {
	slate := s.cfg.Load().Slate
	if slate == nil {
		return nil
	}
	if err := slate.Fits(s.sent); err != nil {
		s.out.queue = append(s.out.queue, func() {
			s.opts.Log.Warn("held with the last picture instead of the slate", "reason", err)
		})
		return nil
	}
	return &playing{
		Slate: slate, base: (last + s.clock.Step(packetbuf.Video)).Truncate(time.Millisecond) + time.Millisecond,
		mute: s.sent[packetbuf.Audio] == nil || slate.configs[packetbuf.Audio] == nil,
	}
}

// fillSlate gives viewers the slate's next packet. To them it is another session.
func (s *Stream) fillSlate(now time.Time) {
	v := s.filler.slate
	next := v.packets[v.at]
	p := &packetbuf.Packet{Track: next.Track, Codec: next.Codec, Kind: next.Kind, Payload: next.Payload, DTS: v.dts(), CTO: next.CTO}
	if !v.begun {
		v.begun = true
		s.epoch++
		s.slates++
		s.frozen = false
		p.Flags |= packetbuf.Splice
		for _, tr := range []packetbuf.Track{packetbuf.Video, packetbuf.Audio} {
			if c := v.configs[tr]; c != nil && !s.sent[tr].SameConfig(c) && (tr == packetbuf.Video || !v.mute) {
				s.appendConfig(now, c)
			}
		}
		repeatParameterSets(p, s.sent[packetbuf.Video])
	}
	if p.Track == packetbuf.Video || !v.mute {
		s.fillWith(now, p)
	}
	if v.at++; v.at == len(v.packets) {
		v.at, v.base = 0, v.base+v.length
	}
}
