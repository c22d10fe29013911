package repair

import (
	"math"
	"time"

	"github.com/holdfast-live/holdfast/packetbuf"
	"github.com/holdfast-live/holdfast/packetbuf/codec"
)

// Raw AAC frames do not contain their sample rate. Without a configuration it is measured from the
// timestamps of at least minFrames frames over at least minSpan. If the timestamps do not match any
// rate, the measurement continues for up to maxFrames frames.
const (
	minFrames = 16
	maxFrames = 128
	minSpan   = 300 * time.Millisecond
	tolerance = 0.02 // neighbouring rates differ by at least 8 %
)

// Audio repairs one audio track. Its zero value is not usable; see NewAudio.
type Audio struct {
	counts  *packetbuf.RepairCounts
	codec   packetbuf.Codec
	inForce *packetbuf.Packet

	measuredFrames int           // AAC frames since first, without a configuration
	firstDTS       time.Duration // timestamp of the first AAC frame
	gaveUp         bool          // maxFrames frames matched no rate
}

// NewAudio returns an Audio that adds its repairs to the counts c.
func NewAudio(c *packetbuf.RepairCounts) *Audio { return &Audio{counts: c} }

func (a *Audio) note(r packetbuf.RepairReason) { a.counts.Note(packetbuf.Audio, r) }

// Take repairs the next packet of the track and appends the resulting packets to dst, in order.
func (a *Audio) Take(dst []*packetbuf.Packet, p *packetbuf.Packet) []*packetbuf.Packet {
	if p.Codec != a.codec {
		*a = Audio{counts: a.counts, codec: p.Codec}
	}
	if p.Codec == packetbuf.AAC {
		if p.Kind == packetbuf.Config {
			return a.takeAACConfig(dst, p)
		}
		if frames, ok := codec.SplitADTS(p.Payload); ok {
			return a.takeADTS(dst, p, frames)
		}
	}
	switch {
	case p.Kind == packetbuf.Config:
		a.inForce = p
	case a.inForce == nil && needsConfig(p.Codec):
		config := a.deriveConfig(p)
		if config == nil {
			return dst
		}
		a.note(packetbuf.NoConfig)
		dst = a.appendConfig(dst, p, config)
	}
	return append(dst, p)
}

// needsConfig reports whether frames of a codec need a configuration to be decoded.
func needsConfig(c packetbuf.Codec) bool {
	return c == packetbuf.AAC || c == packetbuf.Opus || c == packetbuf.FLAC
}

// appendConfig sets the configuration in force from packet p on, and appends it to dst.
func (a *Audio) appendConfig(dst []*packetbuf.Packet, p *packetbuf.Packet, config []byte) []*packetbuf.Packet {
	a.inForce = &packetbuf.Packet{
		Track: packetbuf.Audio, Codec: p.Codec, Kind: packetbuf.Config, DTS: p.DTS, Arrived: p.Arrived, Payload: config,
	}
	return append(dst, a.inForce)
}

// takeAACConfig handles an AAC sequence header. Some encoders send an ADTS header instead, which it
// converts.
func (a *Audio) takeAACConfig(dst []*packetbuf.Packet, p *packetbuf.Packet) []*packetbuf.Packet {
	if c, ok := codec.ADTSConfig(p.Payload); ok {
		a.note(packetbuf.ADTS)
		return a.appendConfig(dst, p, c.Append(nil))
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

// takeADTS handles a message of AAC frames with ADTS headers. If no configuration or a different one is
// in force, it derives the configuration from the headers.
func (a *Audio) takeADTS(dst []*packetbuf.Packet, p *packetbuf.Packet, frames []codec.ADTSFrame) []*packetbuf.Packet {
	a.note(packetbuf.ADTS)
	for i, f := range frames {
		offset := time.Duration(i) * time.Duration(f.Config.FrameSamples) * time.Second / time.Duration(f.Config.SampleRate)
		frame := &packetbuf.Packet{
			Track: p.Track, Codec: p.Codec, Kind: p.Kind, DTS: p.DTS + offset.Truncate(time.Millisecond),
			Arrived: p.Arrived, Payload: f.Payload,
		}
		if !a.matchesConfig(f.Config) {
			dst = a.appendConfig(dst, frame, f.Config.Append(nil))
		}
		dst = append(dst, frame)
	}
	return dst
}

// matchesConfig reports whether the configuration in force matches that of an ADTS header. It compares
// only the core coder, because an ADTS header describes nothing else.
func (a *Audio) matchesConfig(o codec.AAC) bool {
	if a.inForce == nil {
		return false
	}
	c, err := codec.ParseAAC(a.inForce.Payload)
	return err == nil && c.ObjectType == o.ObjectType && c.SampleRate == o.SampleRate &&
		(c.Channels == o.Channels || o.Channels == 0)
}

// deriveConfig returns a configuration derived from a frame, and for AAC also from the timestamps of the
// frames before it. It returns nil if that is impossible, or not yet possible.
func (a *Audio) deriveConfig(p *packetbuf.Packet) []byte {
	switch p.Codec {
	case packetbuf.Opus:
		if _, err := codec.OpusSamples(p.Payload); err == nil {
			const preSkip = 312 // the value of libopus
			return codec.OpusHead{Channels: codec.OpusChannels(p.Payload), PreSkip: preSkip, Rate: codec.OpusRate}.Append(nil)
		}
	case packetbuf.AAC:
		if rate := a.measureRate(p.DTS); rate > 0 {
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

// measureRate adds the timestamp of an AAC frame to the measurement. It returns the standard sample rate
// that the timestamps match, or 0 while they match none.
func (a *Audio) measureRate(dts time.Duration) int {
	if a.measuredFrames == 0 || dts < a.firstDTS {
		a.firstDTS, a.measuredFrames = dts, 1
		return 0
	}
	n, span := a.measuredFrames, dts-a.firstDTS
	a.measuredFrames++
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
		a.gaveUp, a.measuredFrames = true, 0
	}
	return 0
}
