package cmaf

import (
	"github.com/holdfast-live/holdfast/packetbuf"
	"github.com/holdfast-live/holdfast/relay/egress"
)

// waiter is a place that knows of tracks which may still come.
type waiter interface {
	// Awaits reports whether a track that the stream does not have may still come.
	Awaits(track packetbuf.Track) bool
}

// keyRequester is a place that asks the publisher for a keyframe.
type keyRequester interface{ RequestKey() bool }

// expect notes which tracks the stream has.
func (c *cutter) expect(place egress.Subscription) {
	c.awaits, c.needKey = nil, nil
	if k, ok := place.(keyRequester); ok {
		c.needKey = k.RequestKey
	}
	if w, ok := place.(waiter); ok {
		c.awaits = w.Awaits
	}
	c.expects = [2]bool{place.Has(packetbuf.Video), place.Has(packetbuf.Audio)}
}

// ready reports whether everything that the first init section describes is there.
func (c *cutter) ready(p *packetbuf.Packet) bool {
	wait := settle
	video := c.in[video].is == nil && c.awaits != nil && c.awaits(packetbuf.Video)
	if video {
		wait = settleVideo
	}
	if p.DTS-c.held[0].DTS >= wait {
		return true
	}
	for tr := range c.in {
		if c.expects[tr] && c.in[tr].is == nil {
			return false
		}
	}
	// Audio that comes a moment later is better than a silent track in its place.
	silent := c.silentTrack && c.in[audio].is == nil && !c.in[audio].foreign
	return !video && !silent
}

func (c *cutter) begin() {
	c.begun = true
	for _, p := range c.held {
		c.take(p)
	}
	c.held = nil
	c.begun = c.info != nil // else nothing could be carried so far
}
