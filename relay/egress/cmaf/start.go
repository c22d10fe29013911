package cmaf

import (
	"github.com/holdfast-live/holdfast/packetbuf"
	"github.com/holdfast-live/holdfast/relay/egress"
)

// trackWaiter is a subscription that knows which tracks may still arrive.
type trackWaiter interface {
	// Awaits reports whether a track that the stream does not have may still arrive.
	Awaits(track packetbuf.Track) bool
}

// keyRequester is a subscription that can request a keyframe from the publisher.
type keyRequester interface{ RequestKey() bool }

// expectTracks records which tracks the stream has, and how to find out which may still arrive.
func (c *cutter) expectTracks(sub egress.Subscription) {
	c.awaits, c.requestKey = nil, nil
	if k, ok := sub.(keyRequester); ok {
		c.requestKey = k.RequestKey
	}
	if w, ok := sub.(trackWaiter); ok {
		c.awaits = w.Awaits
	}
	c.expects = [2]bool{sub.Has(packetbuf.Video), sub.Has(packetbuf.Audio)}
}

// ready reports whether output can start: all tracks for the first init section have arrived, or
// the wait for them is over.
func (c *cutter) ready(p *packetbuf.Packet) bool {
	wait := startWait
	video := c.tracks[video].desc == nil && c.awaits != nil && c.awaits(packetbuf.Video)
	if video {
		wait = startWaitVideo
	}
	if p.DTS-c.startQueue[0].DTS >= wait {
		return true
	}
	for tr := range c.tracks {
		if c.expects[tr] && c.tracks[tr].desc == nil {
			return false
		}
	}
	// Wait for audio that arrives a little later rather than announce a silent track.
	silent := c.silentTrack && c.tracks[audio].desc == nil && !c.tracks[audio].unsupported
	return !video && !silent
}

func (c *cutter) startOutput() {
	c.started = true
	for _, p := range c.startQueue {
		c.process(p)
	}
	c.startQueue = nil
	c.started = c.info != nil // false if no track was supported so far
}
