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

// breakage is a way in which pushes break.
type breakage struct {
	name string
	do   func(*demo, *link.Push)
}

// breakages are done in turn.
var breakages = []breakage{
	{"reset", func(d *demo, p *link.Push) {
		_ = d.socket.SetLinger(0) // close sends a reset then
		_ = p.Close()
	}},
	{"socket closed without unpublish", func(d *demo, p *link.Push) {
		_ = d.socket.CloseWrite() // first: with something unread, close alone would be a reset
		<-p.Done()
	}},
	{"hang: the socket stays open and nothing comes", func(*demo, *link.Push) {}},
}

// run pushes and breaks until ctx ends. Its error says that the relay never took the push.
func (d *demo) run(ctx context.Context) error {
	d.announce()
	push, err := d.dial(ctx)
	if err != nil {
		return ended(ctx, fmt.Errorf("the relay did not take the demo's push: %w", err))
	}
	defer func() { _ = push.Close() }()
	next := time.Now().Add(d.cadence.every)
	gone := (*outage)(nil) // the outage that is not over yet
	for turn := 0; ; turn++ {
		err := d.play(ctx, push, next, gone)
		if ctx.Err() != nil {
			return push.Unpublish()
		}
		gone = d.look()
		next = next.Add(d.cadence.every)
		if err == nil {
			b := breakages[turn%len(breakages)]
			b.do(d, push)
			d.noticed(ctx, gone, b.name)
		} else {
			d.say("the push ended: %v", err)
			next = time.Now().Add(d.cadence.gap + d.cadence.every)
		}
		redialled := d.redial(ctx, gone)
		if redialled == nil {
			return nil
		}
		_ = push.Close() // a hung one: the redial has taken the stream over
		push = redialled
	}
}

// ended is nil if ctx is what ended things.
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

// redial waits for the end of the gap and dials until the relay takes the push; nil once
// ctx has ended.
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
			d.say("the relay did not take the push; trying again every %v: %v", d.cadence.gap, err)
		}
	}
}

// play pushes the clip in real time, with timestamps from 0, until the moment of the next
// break; gone is over when the relay says so. An error is the end of the push, or ctx's.
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

// sleep tells whether ctx is still good after d.
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
