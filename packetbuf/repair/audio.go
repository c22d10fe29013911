package repair

import (
	"math"
	"time"

	"github.com/holdfast-live/holdfast/packetbuf"
	"github.com/holdfast-live/holdfast/packetbuf/codec"
)

// Raw AAC frames do not say their sample rate. Without a configuration it is measured from their
// timestamps, over at least minFrames frames and minSpan and, where these do not agree with any
// rate, up to maxFrames frames.
const (
	minFrames = 16
	maxFrames = 128
	minSpan   = 300 * time.Millisecond
	tolerance = 0.02 // neighbouring rates differ by at least 8 %
)

// Audio repairs one track of audio. Its zero value is not usable; see NewAudio.
type Audio struct {
	counts  *packetbuf.RepairCounts
	codec   packetbuf.Codec
	inForce *packetbuf.Packet

	frames int           // AAC frames since first, without a configuration
	first  time.Duration // timestamp of the first of them
	gaveUp bool          // they keep to no rate
}

// NewAudio returns an Audio that counts into c.
func NewAudio(c *packetbuf.RepairCounts) *Audio { return &Audio{counts: c} }

func (a *Audio) note(r packetbuf.RepairReason) { a.counts.Note(packetbuf.Audio, r) }

// Take takes the next packet of the track and appends to dst what comes of it, in order.
func (a *Audio) Take(dst []*packetbuf.Packet, p *packetbuf.Packet) []*packetbuf.Packet {
	if p.Codec != a.codec {
		*a = Audio{counts: a.counts, codec: p.Codec}
	}
	if p.Codec == packetbuf.AAC {
		if p.Kind == packetbuf.Config {
			return a.configureAAC(dst, p)
		}
		if frames, ok := codec.SplitADTS(p.Payload); ok {
			return a.adts(dst, p, frames)
		}
	}
	switch {
	case p.Kind == packetbuf.Config:
		a.inForce = p
	case a.inForce == nil && needsConfig(p.Codec):
		config := a.derive(p)
		if config == nil {
			return dst
		}
		a.note(packetbuf.NoConfig)
		dst = a.configure(dst, p, config)
	}
	return append(dst, p)
}

// needsConfig reports whether frames of a codec cannot be decoded without a configuration.
func needsConfig(c packetbuf.Codec) bool {
	return c == packetbuf.AAC || c == packetbuf.Opus || c == packetbuf.FLAC
}

// configure puts a configuration in force from p on.
func (a *Audio) configure(dst []*packetbuf.Packet, p *packetbuf.Packet, config []byte) []*packetbuf.Packet {
	a.inForce = &packetbuf.Packet{
		Track: packetbuf.Audio, Codec: p.Codec, Kind: packetbuf.Config, DTS: p.DTS, Arrived: p.Arrived, Payload: config,
	}
	return append(dst, a.inForce)
}

// configureAAC takes a sequence header. Some encoders send an ADTS header as one.
func (a *Audio) configureAAC(dst []*packetbuf.Packet, p *packetbuf.Packet) []*packetbuf.Packet {
	if c, ok := codec.ADTSConfig(p.Payload); ok {
		a.note(packetbuf.ADTS)
		return a.configure(dst, p, c.Append(nil))
	}
	if _, err := codec.ParseAAC(p.Payload); err != nil {
		a.note(packetbuf.BadConfig)
		if a.inForce != nil {
			return dst
		}
	}
	a.inForce = p
	return append(dst, p)
}

// adts takes the frames of a message that have ADTS headers. These say the configuration too: it
// is used where none is in force, or another one.
func (a *Audio) adts(dst []*packetbuf.Packet, p *packetbuf.Packet, frames []codec.ADTSFrame) []*packetbuf.Packet {
	a.note(packetbuf.ADTS)
	for i, f := range frames {
		offset := time.Duration(i) * time.Duration(f.Config.FrameSamples) * time.Second / time.Duration(f.Config.SampleRate)
		frame := &packetbuf.Packet{
			Track: p.Track, Codec: p.Codec, Kind: p.Kind, DTS: p.DTS + offset.Truncate(time.Millisecond),
			Arrived: p.Arrived, Payload: f.Payload,
		}
		if !a.agrees(f.Config) {
			dst = a.configure(dst, frame, f.Config.Append(nil))
		}
		dst = append(dst, frame)
	}
	return dst
}

// agrees reports whether the configuration in force is that of an ADTS header, which cannot say
// more than the core coder's.
func (a *Audio) agrees(o codec.AAC) bool {
	if a.inForce == nil {
		return false
	}
	c, err := codec.ParseAAC(a.inForce.Payload)
	return err == nil && c.ObjectType == o.ObjectType && c.SampleRate == o.SampleRate &&
		(c.Channels == o.Channels || o.Channels == 0)
}

// derive makes a configuration of a frame, and for AAC of those before it; nil where it cannot,
// or not yet.
func (a *Audio) derive(p *packetbuf.Packet) []byte {
	switch p.Codec {
	case packetbuf.Opus:
		if _, err := codec.OpusSamples(p.Payload); err == nil {
			const preSkip = 312 // what libopus has
			return codec.OpusHead{Channels: codec.OpusChannels(p.Payload), PreSkip: preSkip, Rate: codec.OpusRate}.Append(nil)
		}
	case packetbuf.AAC:
		if rate := a.measure(p.DTS); rate > 0 {
			if channels, ok := codec.AACFrameChannels(p.Payload); ok {
				return codec.AAC{ObjectType: codec.AACLC, SampleRate: rate, Channels: channels, FrameSamples: 1024}.Append(nil)
			}
		} else if !a.gaveUp {
			return nil
		}
	}
	a.note(packetbuf.NoParameterSets)
	return nil
}

// measure returns the sample rate that the timestamps of AAC frames keep to; 0: none so far.
func (a *Audio) measure(dts time.Duration) int {
	if a.frames == 0 || dts < a.first {
		a.first, a.frames = dts, 1
		return 0
	}
	n, span := a.frames, dts-a.first
	a.frames++
	if n < minFrames || span < minSpan {
		a.gaveUp = a.gaveUp || n >= maxFrames
		return 0
	}
	rate := float64(n) * 1024 / span.Seconds()
	nearest := codec.NearestAACRate(rate)
	if math.Abs(rate/float64(nearest)-1) <= tolerance {
		return nearest
	}
	if n >= maxFrames {
		a.gaveUp, a.frames = true, 0
	}
	return 0
}
