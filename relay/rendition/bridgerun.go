package rendition

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/holdfast-live/holdfast/packetbuf"
	"github.com/holdfast-live/holdfast/packetbuf/codec"
	"github.com/holdfast-live/holdfast/packetbuf/ogg"
	"github.com/holdfast-live/holdfast/packetbuf/panics"
)

// aacPriming is how many priming samples ffmpeg's AAC encoder outputs before the first input sample.
const aacPriming = 1024

// maxOwed is how much audio, in samples, ffmpeg may hold back before its output counts as overdue.
// While the stream pauses, ffmpeg holds back the end of its input.
const maxOwed = sampleRate

// errRefused means that the stream does not accept the bridge's audio.
var errRefused = errors.New("stream rejected the transcoded audio")

// running is a running ffmpeg process.
type running struct {
	in     io.WriteCloser
	out    io.Reader
	kill   func()          // does not wait; safe to call at any time
	end    func()          // kills the process and waits for it
	output func() []string // last lines of its standard error
	exit   func() string   // exit status, after end; nil if unknown

	awaitExit func(time.Duration) // lets the process exit by itself; if nil, it is killed at once
}

// launch starts the program. It does not lower the program's priority, because a bridge needs little
// CPU time and its delays are audible.
func launch(program string, args []string, memory int64) (*running, error) {
	p, err := start(program, args, memory)
	if err != nil {
		return nil, err
	}
	return &running{in: p.stdin, out: p.stdout, kill: p.kill, end: p.stop, output: p.output, exit: p.exit, awaitExit: p.awaitExit}, nil
}

// bridgeRun is one run of ffmpeg for a bridge.
type bridgeRun struct {
	bridge   *bridge
	tap      Tap
	receiver Bridged
	entry    entry
	ctx      context.Context
	cancel   context.CancelCauseFunc // called with the reason for the end; only the first counts
	run      *running                // nil before the first frame
	buf      []byte

	mu        sync.Mutex // guards the fields below
	written   int64      // samples written, at sampleRate
	readBack  int64      // samples read back, at sampleRate
	owedSince time.Time  // since when output is overdue; zero: it is not
}

// feed writes the tap's audio to ffmpeg until either ends, and returns the reason.
func (c *bridgeRun) feed() error {
	var taking sync.WaitGroup
	defer func() {
		if c.run != nil {
			c.cancel(errClosing)
			c.run.end()
			taking.Wait()
			c.bridge.recordEnd(c.run)
		}
	}()
	for {
		packets, err := c.tap.Read(c.ctx)
		if c.ctx.Err() != nil {
			return context.Cause(c.ctx)
		}
		if err != nil {
			return fmt.Errorf("%w: %w", errTap, err)
		}
		if err := c.add(packets); err != nil {
			return err
		}
		if len(c.buf) == 0 {
			continue
		}
		if c.run == nil {
			if err := c.startProgram(); err != nil {
				return err
			}
			defer context.AfterFunc(c.ctx, c.run.kill)()
			taking.Go(func() {
				err := panics.Run(c.publish)
				panics.Report(c.bridge.log, "audio bridge output", err)
				c.stop(err)
			})
		}
		c.recordInput()
		if _, err := c.run.in.Write(c.buf); err != nil {
			c.stop(fmt.Errorf("%w: %w", errExit, err))
			return context.Cause(c.ctx)
		}
	}
}

// stop ends the run. If ffmpeg has closed its output, stop gives it time to exit before it is
// killed.
func (c *bridgeRun) stop(why error) {
	if errors.Is(why, errExit) && c.run.awaitExit != nil {
		c.run.awaitExit(exitWait)
	}
	c.cancel(why)
}

// add converts the audio packets to input for ffmpeg.
func (c *bridgeRun) add(packets []*packetbuf.Packet) error {
	c.buf = c.buf[:0]
	for _, p := range packets {
		if p.Track != packetbuf.Audio {
			continue
		}
		var err error
		if c.buf, err = c.entry.add(c.buf, p); err != nil {
			return err
		}
	}
	return nil
}

// startProgram starts ffmpeg for the codec of the stream's audio.
func (c *bridgeRun) startProgram() error {
	source := c.entry.codec
	if bridged(source) != c.bridge.to {
		return errObsolete
	}
	program, err := c.bridge.bridges.find()
	if err != nil {
		return err
	}
	if c.run, err = c.bridge.bridges.launch(program, bridgeArguments(&c.entry, c.bridge.to)); err != nil {
		return err
	}
	c.bridge.setRunning(source)
	return nil
}

// bridged returns the codec to which audio of codec source is transcoded.
func bridged(source packetbuf.Codec) packetbuf.Codec {
	if source == packetbuf.Opus {
		return packetbuf.AAC
	}
	return packetbuf.Opus
}

// publish adds ffmpeg's output to the stream until the output ends.
func (c *bridgeRun) publish() error {
	out := bufio.NewReader(c.run.out)
	var err error
	if c.bridge.to == packetbuf.Opus {
		err = c.publishOpus(ogg.NewReader(out))
	} else {
		err = c.publishAAC(codec.NewADTSReader(out))
	}
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return errExit
	}
	return err
}

func (c *bridgeRun) publishOpus(r *ogg.Reader) error {
	total := int64(0)
	for configured := false; ; {
		packet, err := r.Next()
		if err != nil {
			return err
		}
		if !configured {
			configured = true
			if err := c.addToStream(packetbuf.Config, r.Head().Append(nil), 0); err != nil {
				return err
			}
		}
		samples, err := codec.OpusSamples(packet)
		if err != nil {
			return err
		}
		if err := c.addToStream(packetbuf.Delta, packet, total-int64(r.Head().PreSkip)); err != nil {
			return err
		}
		total += int64(samples)
	}
}

func (c *bridgeRun) publishAAC(r *codec.ADTSReader) error {
	total := int64(-aacPriming)
	for config := (codec.AAC{}); ; {
		frame, err := r.Next()
		if err != nil {
			return err
		}
		if frame.Config != config {
			config = frame.Config
			if err := c.addToStream(packetbuf.Config, config.Append(nil), 0); err != nil {
				return err
			}
		}
		if err := c.addToStream(packetbuf.Delta, frame.Payload, total); err != nil {
			return err
		}
		total += int64(config.FrameSamples)
	}
}

// addToStream adds a configuration, or the frame that begins at sample number index, to the stream.
func (c *bridgeRun) addToStream(kind packetbuf.Kind, payload []byte, index int64) error {
	p := &packetbuf.Packet{Track: packetbuf.Audio, Codec: c.bridge.to, Kind: kind, Payload: payload}
	if kind != packetbuf.Config {
		p.DTS = c.entry.clock.timeOf(index)
		c.recordOutput(index)
	}
	kept, err := c.receiver.Bridge(p)
	if err != nil {
		return fmt.Errorf("%w: %w", errRefused, err)
	}
	c.bridge.count(kept)
	return nil
}

// recordInput updates the number of samples written.
func (c *bridgeRun) recordInput() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.written = c.entry.index()
	if c.owedSince.IsZero() && c.written-c.readBack > maxOwed {
		c.owedSince = time.Now()
	}
}

// recordOutput records that ffmpeg's output has reached sample number index.
func (c *bridgeRun) recordOutput(index int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.readBack, c.owedSince = index, time.Time{}
	if c.written-c.readBack > maxOwed {
		c.owedSince = time.Now()
	}
}

// check ends the run if ffmpeg's output has been overdue for the duration hang.
func (c *bridgeRun) check(now time.Time, hang time.Duration) {
	c.mu.Lock()
	silent := !c.owedSince.IsZero() && now.Sub(c.owedSince) >= hang
	c.mu.Unlock()
	if silent {
		c.cancel(errSilent)
	}
}
