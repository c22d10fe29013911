package rendition

import (
	"bytes"
	"errors"
	"fmt"
	"time"

	"github.com/holdfast-live/holdfast/packetbuf"
	"github.com/holdfast-live/holdfast/packetbuf/codec"
	"github.com/holdfast-live/holdfast/packetbuf/ogg"
)

// errUnbridged means that audio of the stream's codec cannot be transcoded.
var errUnbridged = errors.New("audio cannot be transcoded")

// Bounds of the slack, by which timestamps may deviate before they count as a gap. Between them the slack is
// three quarters of a frame, so that a lost frame is a gap.
const (
	minSlack = 8 * time.Millisecond
	maxSlack = 20 * time.Millisecond
)

// entry converts a stream's audio to input for ffmpeg: AAC as ADTS, Opus in Ogg, MP3 unchanged. It
// also sets the sample clock.
type entry struct {
	clock   sampleClock
	codec   packetbuf.Codec
	config  *packetbuf.Packet // may be nil
	started bool
	rate    int64 // rate of total, in Hz
	total   int64 // number of samples so far
	aac     codec.AAC
	mp3     codec.MP3
	ogg     *ogg.Writer
	// channels is the number of channels. exact reports whether ffmpeg knows the time of every frame;
	// see detectFormat.
	channels int
	exact    bool
}

// index returns the number of samples written so far, at sampleRate.
func (e *entry) index() int64 { return e.total * sampleRate / max(e.rate, 1) }

// add appends the ffmpeg input for an audio packet to dst. It skips malformed frames. The error
// wraps errChanged or errUnbridged.
func (e *entry) add(dst []byte, p *packetbuf.Packet) ([]byte, error) {
	if p.Kind == packetbuf.Config {
		if e.started && (e.config == nil || e.codec != p.Codec || !bytes.Equal(e.config.Payload, p.Payload)) {
			return dst, fmt.Errorf("%w: another configuration of %s", errChanged, p.Codec)
		}
		e.config = p
		return dst, nil
	}
	if !e.started {
		var err error
		if dst, err = e.detectFormat(dst, p); err != nil || !e.started {
			return dst, err
		}
	}
	if p.Codec != e.codec {
		return dst, fmt.Errorf("%w: %s after %s", errChanged, p.Codec, e.codec)
	}
	return e.frame(dst, p)
}

// detectFormat determines the audio format from the first frame.
//
// ffmpeg's probing is so limited that a long first AAC frame would get no timestamp. If possible, a
// short silent frame is therefore sent before it, which makes the time of every frame reliable.
func (e *entry) detectFormat(dst []byte, p *packetbuf.Packet) ([]byte, error) {
	if e.config != nil && e.config.Codec != p.Codec {
		e.config = nil
	}
	var err error
	switch p.Codec {
	case packetbuf.AAC:
		if e.config == nil {
			return dst, nil
		}
		if e.aac, err = codec.ParseAAC(e.config.Payload); err == nil {
			_, err = e.aac.AppendADTS(nil, 1)
		}
		e.rate, e.channels = int64(e.aac.SampleRate), e.aac.OutputChannels()
		if silence, ok := codec.Silence(e.config); ok && err == nil {
			e.exact, e.total = true, int64(e.aac.FrameSamples)
			dst, err = e.aac.AppendADTS(dst, len(silence))
			dst = append(dst, silence...)
		}
	case packetbuf.Opus:
		head := codec.OpusHead{Channels: codec.OpusChannels(p.Payload), Rate: codec.OpusRate}
		if e.config != nil {
			head, err = codec.ParseOpusHead(e.config.Payload)
		}
		head.PreSkip = 0 // live players do not skip it
		e.rate, e.channels, e.ogg, e.exact = codec.OpusRate, head.Channels, ogg.NewWriter(head), true
	case packetbuf.MP3:
		if e.mp3, err = codec.ParseMP3(p.Payload); err != nil {
			return dst, nil
		}
		e.rate, e.channels, e.exact = int64(e.mp3.SampleRate), e.mp3.Channels, true
	default:
		err = fmt.Errorf("it is %s", p.Codec)
	}
	if err != nil {
		return dst, fmt.Errorf("%w: %w", errUnbridged, err)
	}
	e.started, e.codec = true, p.Codec
	return dst, nil
}

func (e *entry) frame(dst []byte, p *packetbuf.Packet) ([]byte, error) {
	before, samples := len(dst), 0
	var err error
	switch e.codec {
	case packetbuf.AAC:
		samples = e.aac.FrameSamples
		if dst, err = e.aac.AppendADTS(dst, len(p.Payload)); err == nil {
			dst = append(dst, p.Payload...)
		}
	case packetbuf.Opus:
		if samples, err = codec.OpusSamples(p.Payload); err == nil {
			dst, err = e.ogg.Append(dst, p.Payload)
		}
	case packetbuf.MP3:
		if samples, err = e.mp3Samples(p.Payload); errors.Is(err, errChanged) {
			return dst, err
		}
		dst = append(dst, p.Payload...)
	}
	if err != nil {
		return dst[:before], nil
	}
	slack := 3 * time.Second / 4 * time.Duration(samples) / time.Duration(e.rate)
	e.clock.setTime(e.index(), p.DTS, min(max(slack, minSlack), maxSlack))
	e.total += int64(samples)
	return dst, nil
}

// mp3Samples returns the number of samples in complete MP3 frames. It rejects incomplete frames,
// after which ffmpeg would search for the next frame within another one.
func (e *entry) mp3Samples(frames []byte) (samples int, err error) {
	for {
		m, err := codec.ParseMP3(frames)
		switch {
		case err != nil:
			return 0, err
		case m.SampleRate != e.mp3.SampleRate || m.Channels != e.mp3.Channels:
			return 0, fmt.Errorf("%w: MP3 of %d Hz and %d channels", errChanged, m.SampleRate, m.Channels)
		case m.Length > len(frames):
			return 0, fmt.Errorf("MP3: %d bytes of %d", len(frames), m.Length)
		}
		samples += m.Samples
		if m.Length == 0 || m.Length == len(frames) {
			return samples, nil
		}
		frames = frames[m.Length:]
	}
}
