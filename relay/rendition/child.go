package rendition

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/holdfast-live/holdfast/ingest"
	"github.com/holdfast-live/holdfast/packetbuf"
	"github.com/holdfast-live/holdfast/packetbuf/flv"
	"github.com/holdfast-live/holdfast/packetbuf/panics"
	wire "github.com/holdfast-live/holdfast/packetbuf/rtmp"
)

// Why a child ends, beside what its process or its stream has to say.
var (
	errExit    = errors.New("ffmpeg ended")
	errSilent  = errors.New("ffmpeg produced no output")
	errBehind  = errors.New("ffmpeg is too slow")
	errChanged = errors.New("what is to be made, or is made of, has changed")
	errTap     = errors.New("the stream has ended or changed its codec")
)

// child is one run of the program, from the stream to the rendition. It is the publisher's
// session.
type child struct {
	m         *making
	id        string
	rendition Rendition
	tap       Tap
	process   *process
	clock     clock
	ctx       context.Context
	cancel    context.CancelFunc

	mu     sync.Mutex // guards all below
	why    error      // the first reason to end
	cause  ingest.Cause
	asked  time.Time // since when the child has a picture to answer; zero: it has not
	last   time.Time // when it is killed that was told to end; zero: it was not
	behind time.Time // since when what it takes is old; zero: it is not
}

// newChild makes a child of what is configured now. m.mu is held.
func newChild(m *making, tap Tap) *child {
	c := &child{m: m, id: fmt.Sprintf("%s-%d", ingest.Transcode, m.of.sessions.Add(1)), rendition: m.rendition, tap: tap}
	c.ctx, c.cancel = context.WithCancel(m.ctx)
	return c
}

// run runs the child to its end and returns why it ended.
func (c *child) run() error {
	defer c.cancel()
	var err error
	if c.process, err = start(c.m.program, arguments(c.rendition), c.m.of.o.Memory); err != nil {
		return err
	}
	c.process.giveWay()
	defer context.AfterFunc(c.ctx, c.process.kill)()
	var feeding sync.WaitGroup
	feeding.Go(func() {
		err := panics.Run(func() error { c.feed(); return nil })
		if panics.Report(c.m.log, "transcode input", err) {
			c.stop(err)
		}
	})
	pub := &publication{c: c}
	err = panics.Run(func() error { return c.take(pub) })
	panics.Report(c.m.log, "transcode output", err)
	if errors.Is(err, errExit) {
		c.process.awaitExit(exitWait)
	}
	c.stop(err)
	c.process.end()
	feeding.Wait()
	cause, why := c.ending()
	c.m.feeds.Store(false)
	pub.end(cause, why.Error())
	return why
}

// stop ends the child. The first reason counts. It does not wait.
func (c *child) stop(why error) {
	c.because(why)
	c.cancel()
}

func (c *child) because(why error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.why == nil {
		c.why = why
	}
}

// ending is why the child ended, and what the stream is told of it: an end, if that is what it
// is; else a break, after which another child may go on.
func (c *child) ending() (ingest.Cause, error) {
	c.mu.Lock()
	why, cause := c.why, c.cause
	c.mu.Unlock()
	if over := context.Cause(c.m.ctx); over != nil {
		if errors.Is(over, errClosing) {
			return ingest.Shutdown, over
		}
		return ingest.Unpublish, over
	}
	switch {
	case cause != "":
		return cause, why
	case errors.Is(why, errTap) && !c.m.parentLives():
		return ingest.Unpublish, why
	case errors.Is(why, errSilent), errors.Is(why, errBehind):
		return ingest.Silence, why
	case errors.Is(why, flv.ErrMalformed):
		return ingest.Protocol, why
	}
	return ingest.EOF, why
}

// feed has the child read the stream. At the stream's end, or where the child cannot go on
// with it, the child is told so and may say its last words.
func (c *child) feed() {
	f := feed{c: c}
	err := f.run()
	c.because(err)
	_ = c.process.stdin.Close()
	c.mu.Lock()
	c.last = time.Now().Add(c.m.of.timing.drain)
	c.mu.Unlock()
}

// take publishes what the child writes, until it does not any more.
func (c *child) take(pub *publication) error {
	tags := flv.NewReader(bufio.NewReaderSize(c.process.stdout, 64<<10), 0)
	for {
		tag, err := tags.Next()
		switch {
		case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
			return errExit
		case err != nil:
			return err
		}
		if err := c.tag(pub, tag); err != nil {
			return err
		}
	}
}

func (c *child) tag(pub *publication, tag flv.RawTag) error {
	track, ok := flv.TrackOf(tag.Type)
	if !ok || track == packetbuf.Data && wire.ValidateAMF(tag.Body) != nil {
		return nil
	}
	now := time.Now()
	packets, err := pub.intake.Take(now, track, tag.Timestamp, tag.Body)
	if err != nil {
		return err
	}
	if len(packets) == 0 {
		packets, _ = pub.intake.Flush(time.Time{}) // a child writes whole pictures
	}
	for _, p := range packets {
		p.DTS, p.Arrived = c.clock.from(tag.Timestamp), now
		if p.Track == packetbuf.Video && p.Media() {
			c.mu.Lock()
			c.asked = time.Time{}
			c.mu.Unlock()
		}
		if err := pub.write(p); err != nil {
			return err
		}
	}
	return nil
}

// look looks whether the child does what it should.
func (c *child) look(now time.Time) {
	hang := c.m.of.timing.hang
	c.mu.Lock()
	silent := !c.asked.IsZero() && now.Sub(c.asked) >= hang
	behind := !c.behind.IsZero() && now.Sub(c.behind) >= hang
	over := !c.last.IsZero() && now.After(c.last)
	c.mu.Unlock()
	switch {
	case silent:
		c.stop(errSilent)
	case behind:
		c.stop(errBehind)
	case over:
		c.stop(errExit) // there is a reason already
	}
}

// failure returns how the child failed. It is called after run, with what that returned.
func (c *child) failure(err error) *failure {
	f := &failure{err: err, said: c.process.said(), memory: c.m.of.o.Memory}
	if errors.Is(err, errExit) {
		f.exit = c.process.exit()
	}
	return f
}

// ID implements ingest.Session.
func (c *child) ID() string { return c.id }

// Close implements ingest.Session.
func (c *child) Close(cause ingest.Cause, reason string) {
	why := fmt.Errorf("the stream closed the session: %s", reason)
	if cause == ingest.Takeover {
		why = errYield
	}
	c.mu.Lock()
	if c.why == nil {
		c.why, c.cause = why, cause
	}
	c.mu.Unlock()
	c.cancel()
}

// RTT implements ingest.Session. A pipe has none.
func (c *child) RTT() (srtt, rttvar time.Duration) { return 0, 0 }
