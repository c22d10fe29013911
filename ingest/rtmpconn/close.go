package rtmpconn

import (
	"time"

	"github.com/holdfast-live/holdfast/ingest"
	"github.com/holdfast-live/holdfast/packetbuf/panics"
)

// stop makes the connection end for the reason e, unless it already has a reason to end. It wakes
// the reader, which then ends the connection. stop does not wait and may be called from any
// goroutine.
func (c *Conn) stop(e ending) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.stopLocked(e)
}

func (c *Conn) stopLocked(e ending) {
	if c.ending != nil {
		return
	}
	c.ending = &e
	c.cancel()
	if !c.lingering {
		_ = c.nc.SetReadDeadline(time.Unix(1, 0))
	}
}

// setReadDeadline sets the read deadline, unless the connection is ending. The zero Time means
// none.
func (c *Conn) setReadDeadline(t time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ending == nil {
		_ = c.nc.SetReadDeadline(t)
	}
}

// admitted removes the deadline of the handshake. From then on, the stream detects silence, and
// each write has its own deadline.
func (c *Conn) admitted() {
	c.setReadDeadline(time.Time{})
	c.w.setTimeout(c.opts.WriteTimeout)
}

// idle sets the read deadline of the handshake again, for a peer that has stopped publishing or
// playing.
func (c *Conn) idle() { c.setReadDeadline(time.Now().Add(c.opts.HandshakeTimeout)) }

// end determines why the connection ends, from err if stop has not been called, and ends a running
// publish. It must be called by the goroutine that reads the connection, like all methods of a
// Publisher. Only the first call has an effect.
func (c *Conn) end(err error) {
	if c.ended {
		return
	}
	c.ended = true
	c.stop(endingOf(err))
	c.mu.Lock()
	e := *c.ending
	c.mu.Unlock()
	if p := c.publish; p != nil {
		if !e.gone && !e.told {
			c.goodbye = status(p.stream, "error", publishCode(e.cause), e.reason)
		}
		c.unpublish(e.cause, e.reason)
	}
	c.log().Debug("connection ends", "cause", string(e.cause), "reason", e.reason)
}

// linger tells the peer why the connection ends, and waits up to Options.Linger for the peer to
// close it. Closing a connection with unread bytes would cause a TCP reset, which discards the last
// messages.
func (c *Conn) linger() {
	c.mu.Lock()
	e := *c.ending
	until := time.Now().Add(c.opts.Linger)
	if !e.gone {
		c.lingering = true
		_ = c.nc.SetDeadline(until)
	}
	c.mu.Unlock()
	if e.gone {
		return
	}
	if p := c.play; p != nil {
		p.stop()
		if !e.told {
			c.goodbye = p.player.goodbye(e.reason)
		}
	}
	c.w.setTimeout(c.opts.Linger)
	if c.goodbye != nil && c.w.write(c.goodbye) != nil {
		return
	}
	half, ok := c.nc.(interface{ CloseWrite() error })
	if !ok || half.CloseWrite() != nil {
		return
	}
	_ = c.nc.SetReadDeadline(until)
	for err := error(nil); err == nil; {
		_, err = c.nc.Read(c.r.buf)
	}
}

// close releases all resources, and waits for the goroutines that the connection has started.
func (c *Conn) close() {
	c.stop(ending{gone: true})
	_ = c.nc.Close()
	if c.play != nil {
		c.play.stop()
	}
	c.pings.stop()
	c.tasks.Wait()
	c.slot.Release()
}

// guard must be deferred. It recovers from a panic, logs it with its stack, ends the connection and
// sets the error that err points to. in names the operation for the log. err may be nil.
func (c *Conn) guard(in string, err *error) {
	v := recover()
	if v == nil {
		return
	}
	panics.ReportRecovered(c.log(), in, v)
	c.stop(ending{cause: ingest.Protocol, reason: errPanic.Error()})
	if err != nil {
		*err = errPanic
	}
}
