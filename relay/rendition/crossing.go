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

// aacPriming is how many samples ffmpeg's encoder makes before those that it was given.
const aacPriming = 1024

// owes is how much sound a program may keep before it has to answer: a pause of the stream
// leaves the last of it unanswered.
const owes = sampleRate

// errRefused: the stream does not take what the bridge makes.
var errRefused = errors.New("the stream does not take the bridge's sound")

// running is a program that runs.
type running struct {
	in   io.WriteCloser
	out  io.Reader
	kill func()          // does not wait, and may be called at any time
	end  func()          // kills, and waits until nothing is left
	said func() []string // its last words
	exit func() string   // how it exited by itself, after end; nil: that is not known

	awaitExit func(time.Duration) // gives it time to exit by itself; nil: it is killed at once
}

// launch runs the program that the operator has. It gives way to nobody: it takes little, and
// viewers hear what it does.
func launch(program string, args []string, memory int64) (*running, error) {
	p, err := start(program, args, memory)
	if err != nil {
		return nil, err
	}
	return &running{in: p.stdin, out: p.stdout, kill: p.kill, end: p.end, said: p.said, exit: p.exit, awaitExit: p.awaitExit}, nil
}

// crossing is one run of a bridge's program.
type crossing struct {
	b      *bridge
	tap    Tap
	to     Bridged
	entry  entry
	ctx    context.Context
	cancel context.CancelCauseFunc // with why it ends; the first reason counts
	run    *running                // nil before the first frame
	buf    []byte

	mu    sync.Mutex // guards what follows
	given int64      // samples, at sampleRate
	made  int64
	asked time.Time // since when it owes an answer; zero: it does not
}

// feed runs the program on what the tap has, until one of them ends, and returns why.
func (c *crossing) feed() error {
	var taking sync.WaitGroup
	defer func() {
		if c.run != nil {
			c.cancel(errClosing)
			c.run.end()
			taking.Wait()
			c.b.ended(c.run)
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
			if err := c.begin(); err != nil {
				return err
			}
			defer context.AfterFunc(c.ctx, c.run.kill)()
			taking.Go(func() {
				err := panics.Run(c.take)
				panics.Report(c.b.log, "audio bridge output", err)
				c.stop(err)
			})
		}
		c.ask()
		if _, err := c.run.in.Write(c.buf); err != nil {
			c.stop(fmt.Errorf("%w: %w", errExit, err))
			return context.Cause(c.ctx)
		}
	}
}

// stop ends the crossing. A program that has ended by itself is given time to exit before it is
// killed.
func (c *crossing) stop(why error) {
	if errors.Is(why, errExit) && c.run.awaitExit != nil {
		c.run.awaitExit(exitWait)
	}
	c.cancel(why)
}

// add makes what is written next of the sound among packets.
func (c *crossing) add(packets []*packetbuf.Packet) error {
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

// begin starts the program for the sound that has come.
func (c *crossing) begin() error {
	source := c.entry.codec
	if bridged(source) != c.b.to {
		return errObsolete
	}
	program, err := c.b.of.find()
	if err != nil {
		return err
	}
	if c.run, err = c.b.of.launch(program, bridgeArguments(&c.entry, c.b.to)); err != nil {
		return err
	}
	c.b.begins(source)
	return nil
}

// bridged is what sound is put into.
func bridged(source packetbuf.Codec) packetbuf.Codec {
	if source == packetbuf.Opus {
		return packetbuf.AAC
	}
	return packetbuf.Opus
}

// take gives the stream what the program makes, until there is no more of it.
func (c *crossing) take() error {
	out := bufio.NewReader(c.run.out)
	var err error
	if c.b.to == packetbuf.Opus {
		err = c.takeOpus(ogg.NewReader(out))
	} else {
		err = c.takeAAC(codec.NewADTSReader(out))
	}
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return errExit
	}
	return err
}

func (c *crossing) takeOpus(r *ogg.Reader) error {
	total := int64(0)
	for told := false; ; {
		packet, err := r.Next()
		if err != nil {
			return err
		}
		if !told {
			told = true
			if err := c.put(packetbuf.Config, r.Head().Append(nil), 0); err != nil {
				return err
			}
		}
		samples, err := codec.OpusSamples(packet)
		if err != nil {
			return err
		}
		if err := c.put(packetbuf.Delta, packet, total-int64(r.Head().PreSkip)); err != nil {
			return err
		}
		total += int64(samples)
	}
}

func (c *crossing) takeAAC(r *codec.ADTSReader) error {
	total := int64(-aacPriming)
	for config := (codec.AAC{}); ; {
		frame, err := r.Next()
		if err != nil {
			return err
		}
		if frame.Config != config {
			config = frame.Config
			if err := c.put(packetbuf.Config, config.Append(nil), 0); err != nil {
				return err
			}
		}
		if err := c.put(packetbuf.Delta, frame.Payload, total); err != nil {
			return err
		}
		total += int64(config.FrameSamples)
	}
}

// put gives the stream a configuration, or the frame that begins with the sample of that index.
func (c *crossing) put(kind packetbuf.Kind, payload []byte, index int64) error {
	p := &packetbuf.Packet{Track: packetbuf.Audio, Codec: c.b.to, Kind: kind, Payload: payload}
	if kind != packetbuf.Config {
		p.DTS = c.entry.clock.at(index)
		c.answer(index)
	}
	kept, err := c.to.Bridge(p)
	if err != nil {
		return fmt.Errorf("%w: %w", errRefused, err)
	}
	c.b.count(kept)
	return nil
}

// ask notes what the program is given.
func (c *crossing) ask() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.given = c.entry.index()
	if c.asked.IsZero() && c.given-c.made > owes {
		c.asked = time.Now()
	}
}

// answer notes that the program has come so far.
func (c *crossing) answer(index int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.made, c.asked = index, time.Time{}
	if c.given-c.made > owes {
		c.asked = time.Now()
	}
}

// look ends a program that keeps its answer for too long.
func (c *crossing) look(now time.Time, hang time.Duration) {
	c.mu.Lock()
	silent := !c.asked.IsZero() && now.Sub(c.asked) >= hang
	c.mu.Unlock()
	if silent {
		c.cancel(errSilent)
	}
}
