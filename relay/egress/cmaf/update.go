package cmaf

import (
	"bytes"

	"github.com/holdfast-live/holdfast/packetbuf"
)

// configure records a configuration, which applies to the samples of its track that follow.
func (c *cutter) configure(p *packetbuf.Packet) {
	t := &c.tracks[p.Track]
	if t.config != nil && t.config.Codec == p.Codec && bytes.Equal(t.config.Payload, p.Payload) && (p.Track == packetbuf.Video || t.desc != nil) {
		return
	}
	t.config = p
	if p.Track == packetbuf.Video { // applies from the next keyframe
		t.stale = true
		if t.desc != nil && t.desc.codec != p.Codec {
			t.desc = nil
		}
		return
	}
	t.desc, _ = describe(p, nil) // nil if it cannot be parsed
}

// updateDescription updates the description of the track of sample p, before p is processed.
func (c *cutter) updateDescription(p *packetbuf.Packet) {
	t := &c.tracks[p.Track]
	switch {
	case p.Track == packetbuf.Video:
		if t.stale && p.Kind == packetbuf.Key && t.config.Codec == p.Codec {
			t.stale = false
			t.desc, _ = describe(t.config, p)
		}
	case selfDescribed(p.Codec):
		if d, err := describe(p, nil); err == nil && !d.same(t.desc) {
			t.desc = d
		}
	case t.desc != nil && t.desc.codec != p.Codec:
		t.desc = nil
	}
}

// checkAudio marks audio as gone when it has been missing for too long and cannot be replaced by
// silence. It removes the mark when audio returns.
func (c *cutter) checkAudio(p *packetbuf.Packet) {
	t := &c.tracks[audio]
	switch {
	case p.Track == packetbuf.Audio:
		t.gone = false
		if v := &c.tracks[video]; p.Flags&packetbuf.Splice != 0 {
			v.lastDTS = max(v.lastDTS, p.DTS)
		}
	case p.Flags&packetbuf.Splice != 0:
		t.gone = false
		t.lastDTS = max(t.lastDTS, p.DTS)
	case t.started && !t.gone && !c.audioGap.Able() && p.DTS-t.lastDTS > max(absentAfter, 3*c.tracks[video].interval):
		t.gone = true
		if c.warn != nil && c.inForce[audio] != nil {
			c.warn(c.inForce[audio].codec)
		}
	}
}

// wantedTracks returns the tracks for a new init section. It keeps a track that players already
// have, if its missing media can be replaced.
func (c *cutter) wantedTracks() (w trackSet) {
	for tr := range c.tracks {
		if !c.tracks[tr].gone {
			w[tr] = c.tracks[tr].desc
		}
	}
	if w[video] == nil {
		w[video] = c.inForce[video]
	}
	switch {
	case w[audio] != nil || w[video] == nil:
	case c.inForce[audio] != nil && c.audioGap.Able():
		w[audio] = c.inForce[audio]
	case c.silentTrack && (!c.tracks[audio].unsupported || c.inForce[audio] != nil):
		w[audio] = describeSilence()
	}
	return w
}

// updateInit emits a new init section before p if the tracks have changed. If there is video, it
// waits for a keyframe; changed audio waits for at most maxRejoinWait.
func (c *cutter) updateInit(p *packetbuf.Packet) {
	w := c.wantedTracks()
	if w.empty() || w.same(c.inForce) {
		return
	}
	switch {
	case p.Track == packetbuf.Video && p.Kind != packetbuf.Key:
		return
	case p.Track == packetbuf.Audio && c.inForce[video] != nil && p.DTS-c.keyDTS < maxRejoinWait:
		return
	}
	if c.info != nil {
		c.addSilence(c.audioGap.Fill(p.DTS))
		c.extendAudio(p.DTS)
	}
	c.setLastDuration(p.DTS)
	c.placeQueued(true)
	c.closeChunk(p.DTS)
	c.discontinuity = c.discontinuity || c.info != nil
	if !w[audio].same(c.inForce[audio]) {
		c.startAudio(w[audio], p.DTS)
	}
	c.inForce, c.info = w, w.info()
	c.wall.observe(p)
	c.emit(&Chunk{
		Seq: c.seq, Init: true, Data: w.initSection(), Info: c.info, Start: p.DTS, Wall: c.wall.timeOf(p.DTS), Arrived: p.Arrived,
	})
	c.seq++
}
