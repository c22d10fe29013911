package rtmpconn

import (
	"time"

	"github.com/holdfast-live/holdfast/ingest"
	"github.com/holdfast-live/holdfast/packetbuf/panics"
)

// stop sets why the connection ends, if nothing has before, and wakes its reader, which ends
// it. It does not wait and may be called from any goroutine.
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

// setReadDeadline sets the deadline unless the connection is ending; the zero time is none.
func (c *Conn) setReadDeadline(t time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ending == nil {
		_ = c.nc.SetReadDeadline(t)
	}
}

// admitted ends the time for the handshake. From here on the stream judges silence, and each
// write has a deadline of its own.
func (c *Conn) admitted() {
	c.setReadDeadline(time.Time{})
	c.w.setTimeout(c.opts.WriteTimeout)
}

// idle starts the time for the handshake again, for a peer that no longer publishes or plays.
func (c *Conn) idle() { c.setReadDeadline(time.Now().Add(c.opts.HandshakeTimeout)) }

// end settles why the connection ends: by what stop was told, else by err. It ends a publish
// in the goroutine that took its media. Only the first call has an effect.
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

// linger tells the peer why the connection ends, and waits a while for it to close: closing
// with bytes unread would be a reset, which discards the last messages.
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

// close frees everything, and waits for what the connection has started.
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

// guard, deferred, keeps a panic within this connection: it ends the connection and becomes
// the error that err points to. The log has its stack.
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
