package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/holdfast-live/holdfast/relay/route/link"
	"github.com/holdfast-live/holdfast/testmedia"
)

// breakage is a kind of break.
type breakage struct {
	name string
	do   func(*demo, *link.Push)
}

// breakages lists the kinds of breaks that the demo causes in turn.
var breakages = []breakage{
	{"reset", func(d *demo, p *link.Push) {
		_ = d.socket.SetLinger(0) // makes Close send a reset
		_ = p.Close()
	}},
	{"socket closed without unpublish", func(d *demo, p *link.Push) {
		_ = d.socket.CloseWrite() // first, because Close alone would send a reset if data is unread
		<-p.Done()
	}},
	{"hang: the socket stays open and nothing is sent", func(*demo, *link.Push) {}},
}

// run publishes the demo's stream and breaks the connection repeatedly until ctx is done. It returns an
// error if the relay does not accept the first connection.
func (d *demo) run(ctx context.Context) error {
	d.announce()
	push, err := d.dial(ctx)
	if err != nil {
		return ended(ctx, fmt.Errorf("publish the demo's stream: %w", err))
	}
	defer func() { _ = push.Close() }()
	next := time.Now().Add(d.cadence.every)
	gone := (*outage)(nil) // the current outage
	for turn := 0; ; turn++ {
		err := d.play(ctx, push, next, gone)
		if ctx.Err() != nil {
			return push.Unpublish()
		}
		gone = d.observe()
		next = next.Add(d.cadence.every)
		if err == nil {
			b := breakages[turn%len(breakages)]
			b.do(d, push)
			d.noticed(ctx, gone, b.name)
		} else {
			d.printf("the push ended: %v", err)
			next = time.Now().Add(d.cadence.gap + d.cadence.every)
		}
		redialled := d.redial(ctx, gone)
		if redialled == nil {
			return nil
		}
		_ = push.Close() // it may hang; the new connection has taken over
		push = redialled
	}
}

// ended returns nil if ctx is done, otherwise err.
func ended(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return nil
	}
	return err
}

func (d *demo) dial(ctx context.Context) (*link.Push, error) {
	return link.Dial(ctx, link.Options{
		URL: d.pushURL(),
		Dialer: func(ctx context.Context, network, addr string) (net.Conn, error) {
			conn, err := (&net.Dialer{}).DialContext(ctx, network, addr)
			if tcp, ok := conn.(*net.TCPConn); ok {
				d.socket = tcp
			}
			return conn, err
		},
	})
}

// redial waits until the gap of the outage gone is over, then dials until the relay accepts the publisher.
// It returns nil if ctx is done before that.
func (d *demo) redial(ctx context.Context, gone *outage) *link.Push {
	wait := time.Until(gone.began.Add(d.cadence.gap))
	for said := ""; ; wait = d.cadence.gap {
		if !sleep(ctx, wait) {
			return nil
		}
		push, err := d.dial(ctx)
		if err == nil {
			return push
		}
		if ctx.Err() != nil {
			return nil
		}
		if said != err.Error() { // once for each reason
			said = err.Error()
			d.printf("the relay rejected the publisher; trying again every %v: %v", d.cadence.gap, err)
		}
	}
}

// play publishes the clip in real time, with timestamps from 0, up to the time until, and then returns nil.
// If the connection fails or ctx is done earlier, it returns the error. gone is the preceding outage or
// nil; play prints a message when the relay reports that it is over.
func (d *demo) play(ctx context.Context, push *link.Push, until time.Time, gone *outage) error {
	loop := testmedia.NewLoop(0)
	begun := time.Now()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		p := loop.Next()
		due := begun.Add(p.DTS)
		if due.After(until) {
			return nil
		}
		timer.Reset(time.Until(due))
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-push.Done():
			return push.Err()
		case <-timer.C:
		}
		if err := push.Write(p); err != nil {
			return errors.Join(err, ctx.Err())
		}
		if gone != nil && d.back(gone) {
			gone = nil
		}
	}
}

// sleep waits for the duration d. It returns false if ctx is done before that.
func sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}
