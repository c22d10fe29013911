package cmaf

import (
	"bytes"

	"github.com/holdfast-live/holdfast/packetbuf"
)

// configure notes a configuration. It comes into force at the track's next sample that it can.
func (c *cutter) configure(p *packetbuf.Packet) {
	t := &c.in[p.Track]
	if t.config != nil && t.config.Codec == p.Codec && bytes.Equal(t.config.Payload, p.Payload) && (p.Track == packetbuf.Video || t.is != nil) {
		return
	}
	t.config = p
	if p.Track == packetbuf.Video { // a keyframe brings it into force
		t.stale = true
		if t.is != nil && t.is.codec != p.Codec {
			t.is = nil
		}
		return
	}
	t.is, _ = describe(p, nil) // what cannot be read is as good as none
}

// introduce has the descriptions follow what the sample says.
func (c *cutter) introduce(p *packetbuf.Packet) {
	t := &c.in[p.Track]
	switch {
	case p.Track == packetbuf.Video:
		if t.stale && p.Kind == packetbuf.Key && t.config.Codec == p.Codec {
			t.stale = false
			t.is, _ = describe(t.config, p)
		}
	case selfDescribed(p.Codec):
		if d, err := describe(p, nil); err == nil && !d.same(t.is) {
			t.is = d
		}
	case t.is != nil && t.is.codec != p.Codec:
		t.is = nil
	}
}

// miss notes that audio has been away for so long that it has to go, or is back.
func (c *cutter) miss(p *packetbuf.Packet) {
	t := &c.in[audio]
	switch {
	case p.Track == packetbuf.Audio:
		t.gone = false
		if v := &c.in[video]; p.Flags&packetbuf.Splice != 0 {
			v.last = max(v.last, p.DTS)
		}
	case p.Flags&packetbuf.Splice != 0:
		t.gone = false
		t.last = max(t.last, p.DTS)
	case t.any && !t.gone && !c.gap.Able() && p.DTS-t.last > max(absence, 3*c.in[video].interval):
		t.gone = true
		if c.warn != nil && c.force[audio] != nil {
			c.warn(c.force[audio].codec)
		}
	}
}

// wanted are the tracks that an init section would name now. A track that players have is kept
// where something can stand in for it.
func (c *cutter) wanted() (w tracks) {
	for tr := range c.in {
		if !c.in[tr].gone {
			w[tr] = c.in[tr].is
		}
	}
	if w[video] == nil {
		w[video] = c.force[video]
	}
	switch {
	case w[audio] != nil || w[video] == nil:
	case c.force[audio] != nil && c.gap.Able():
		w[audio] = c.force[audio]
	case c.silentTrack && (!c.in[audio].foreign || c.force[audio] != nil):
		w[audio] = silentTrack()
	}
	return w
}

// renew puts a new init section in force at p, where the tracks have changed. Beside video that
// is a keyframe.
func (c *cutter) renew(p *packetbuf.Packet) {
	w := c.wanted()
	if w.none() || w.same(c.force) {
		return
	}
	switch {
	case p.Track == packetbuf.Video && p.Kind != packetbuf.Key:
		return
	case p.Track == packetbuf.Audio && c.force[video] != nil && p.DTS-c.key < rejoin:
		return
	}
	if c.info != nil {
		c.silence(c.gap.Fill(p.DTS))
		c.reach(p.DTS)
	}
	c.settle(p.DTS)
	c.drain(true)
	c.cut(p.DTS)
	c.broken = c.broken || c.info != nil
	if !w[audio].same(c.force[audio]) {
		c.follow(w[audio], p.DTS)
	}
	c.force, c.info = w, w.info()
	c.wall.see(p)
	c.emit(&Chunk{
		Seq: c.seq, Init: true, Data: w.initSection(), Info: c.info, Start: p.DTS, Wall: c.wall.at(p.DTS), Arrived: p.Arrived,
	})
	c.seq++
}
