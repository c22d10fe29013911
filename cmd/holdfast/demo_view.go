package main

import (
	"context"
	"fmt"
	"time"
)

// outage is a break of the demo's publisher, with the state of the stream at its beginning.
type outage struct {
	began    time.Time
	viewers  int
	sessions uint32 // number of publisher sessions of the stream so far
}

// pollInterval is the interval at which the relay is polled.
const pollInterval = 20 * time.Millisecond

// observe returns the current state of the stream as the start of an outage.
func (d *demo) observe() *outage {
	o := &outage{began: time.Now()}
	if s, ok := d.relay.Stream(demoStream); ok {
		o.sessions = s.Sessions
	}
	o.viewers = d.viewers()
	return o
}

// viewers returns the number of viewers of the stream.
func (d *demo) viewers() (n int) {
	s, _ := d.relay.Stream(demoStream)
	for _, v := range s.Viewers {
		n += v
	}
	return n
}

// noticed waits until the relay detects the break o, but at most until the gap ends. It prints how long
// that took; how describes the break.
func (d *demo) noticed(ctx context.Context, o *outage, how string) {
	var took time.Duration
	for live := true; live; {
		s, ok := d.relay.Stream(demoStream)
		took = time.Since(o.began)
		if live = ok && (s.State == "live" || s.State == "suspect"); !live {
			break
		}
		if took > d.cadence.gap-pollInterval || !sleep(ctx, pollInterval) {
			d.printf("broke the push (%s); the relay has not noticed yet", how)
			return
		}
	}
	d.printf("broke the push (%s); the relay noticed %s; %s", how, after(took), d.watching(o.viewers))
}

func after(took time.Duration) string {
	if took < 100*time.Millisecond {
		return "at once"
	}
	return fmt.Sprintf("after %.1f s", took.Seconds())
}

// watching returns a text that describes what viewers see during an outage.
func (d *demo) watching(viewers int) string {
	shown := "the slate"
	switch d.settings().Filler {
	case "freeze":
		shown = "the last frame"
	case "none":
		shown = "nothing new"
	}
	switch viewers {
	case 0:
		return "there are no viewers yet"
	case 1:
		return "1 viewer keeps watching " + shown
	}
	return fmt.Sprintf("%d viewers keep watching %s", viewers, shown)
}

// back reports whether the stream is live again after the outage o. If so, it prints a message.
func (d *demo) back(o *outage) bool {
	s, ok := d.relay.Stream(demoStream)
	if !ok || s.State != "live" || s.Sessions == o.sessions {
		return false
	}
	d.printf("back after %.1f s; %s", time.Since(o.began).Seconds(), stayed(o.viewers, d.viewers()))
	return true
}

// stayed returns a text that compares the numbers of viewers before and after a break.
func stayed(before, now int) string {
	switch {
	case before == 0:
		return "there were no viewers"
	case now < before:
		return fmt.Sprintf("of %d viewers %d are left", before, now)
	case before == 1:
		return "the viewer stayed"
	}
	return fmt.Sprintf("all %d viewers stayed", before)
}
