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

// Reasons why a child ends, other than those of its process or its stream.
var (
	errExit    = errors.New("ffmpeg ended")
	errSilent  = errors.New("ffmpeg produced no output")
	errBehind  = errors.New("ffmpeg is too slow")
	errChanged = errors.New("rendition or stream has changed")
	errTap     = errors.New("the stream has ended or changed its codec")
)

// child is one run of ffmpeg, which makes a rendition. It is also the publisher session of the
// rendition.
type child struct {
	transcode *transcode
	id        string
	rendition Rendition
	tap       Tap
	process   *process
	clock     clock
	ctx       context.Context
	cancel    context.CancelFunc

	mu          sync.Mutex // guards the fields below
	reason      error      // the first reason why the child ends
	cause       ingest.Cause
	owedSince   time.Time // since when output for video frames is due; zero: none is due
	killAt      time.Time // when to kill the child after its input has ended; zero before
	behindSince time.Time // since when the child reads packets late; zero: it does not
}

// newChild returns a child with the current configuration of m. m.mu is held.
func newChild(m *transcode, tap Tap) *child {
	c := &child{transcode: m, id: fmt.Sprintf("%s-%d", ingest.Transcode, m.renditions.sessions.Add(1)), rendition: m.rendition, tap: tap}
	c.ctx, c.cancel = context.WithCancel(m.ctx)
	return c
}

// run runs the child and returns why it ended.
func (c *child) run() error {
	defer c.cancel()
	var err error
	if c.process, err = start(c.transcode.program, arguments(c.rendition), c.transcode.renditions.o.Memory); err != nil {
		return err
	}
	c.process.giveWay()
	defer context.AfterFunc(c.ctx, c.process.kill)()
	var feeding sync.WaitGroup
	feeding.Go(func() {
		err := panics.Run(func() error { c.feed(); return nil })
		if panics.Report(c.transcode.log, "transcode input", err) {
			c.stop(err)
		}
	})
	pub := &publication{child: c}
	err = panics.Run(func() error { return c.publish(pub) })
	panics.Report(c.transcode.log, "transcode output", err)
	if errors.Is(err, errExit) {
		c.process.awaitExit(exitWait)
	}
	c.stop(err)
	c.process.stop()
	feeding.Wait()
	cause, why := c.endReason()
	c.transcode.publishing.Store(false)
	pub.endSession(cause, why.Error())
	return why
}

// stop ends the child without waiting. Only the first reason is kept.
func (c *child) stop(why error) {
	c.setReason(why)
	c.cancel()
}

func (c *child) setReason(why error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.reason == nil {
		c.reason = why
	}
}

// endReason returns the cause to report to the stream, and the reason why the child ended. The cause
// is an unpublish if the rendition has ended, otherwise a break, after which another child may
// continue.
func (c *child) endReason() (ingest.Cause, error) {
	c.mu.Lock()
	why, cause := c.reason, c.cause
	c.mu.Unlock()
	if over := context.Cause(c.transcode.ctx); over != nil {
		if errors.Is(over, errClosing) {
			return ingest.Shutdown, over
		}
		return ingest.Unpublish, over
	}
	switch {
	case cause != "":
		return cause, why
	case errors.Is(why, errTap) && !c.transcode.parentLives():
		return ingest.Unpublish, why
	case errors.Is(why, errSilent), errors.Is(why, errBehind):
		return ingest.Silence, why
	case errors.Is(why, flv.ErrMalformed):
		return ingest.Protocol, why
	}
	return ingest.EOF, why
}

// feed writes the stream to the child. When the stream ends or the child cannot continue with it,
// feed closes the child's input and gives it time to finish its output.
func (c *child) feed() {
	f := feed{child: c}
	err := f.run()
	c.setReason(err)
	_ = c.process.stdin.Close()
	c.mu.Lock()
	c.killAt = time.Now().Add(c.transcode.renditions.timing.drain)
	c.mu.Unlock()
}

// publish publishes the child's output until it ends.
func (c *child) publish(pub *publication) error {
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
		packets, _ = pub.intake.Flush(time.Time{}) // a child writes complete frames
	}
	for _, p := range packets {
		p.DTS, p.Arrived = c.clock.from(tag.Timestamp), now
		if p.Track == packetbuf.Video && p.Media() {
			c.mu.Lock()
			c.owedSince = time.Time{}
			c.mu.Unlock()
		}
		if err := pub.publish(p); err != nil {
			return err
		}
	}
	return nil
}

// check stops the child if it hangs or is too slow.
func (c *child) check(now time.Time) {
	hang := c.transcode.renditions.timing.hang
	c.mu.Lock()
	silent := !c.owedSince.IsZero() && now.Sub(c.owedSince) >= hang
	behind := !c.behindSince.IsZero() && now.Sub(c.behindSince) >= hang
	over := !c.killAt.IsZero() && now.After(c.killAt)
	c.mu.Unlock()
	switch {
	case silent:
		c.stop(errSilent)
	case behind:
		c.stop(errBehind)
	case over:
		c.stop(errExit) // the first reason is set already
	}
}

// failure returns the child's failure. It must be called after run, with the error that run
// returned.
func (c *child) failure(err error) *failure {
	f := &failure{err: err, output: c.process.output(), memory: c.transcode.renditions.o.Memory}
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
	if c.reason == nil {
		c.reason, c.cause = why, cause
	}
	c.mu.Unlock()
	c.cancel()
}

// RTT implements ingest.Session. A pipe has no round-trip time.
func (c *child) RTT() (srtt, rttvar time.Duration) { return 0, 0 }
