package whep

import (
	"errors"
	"time"

	"github.com/pion/rtcp"

	"github.com/holdfast-live/holdfast/packetbuf"
	"github.com/holdfast-live/holdfast/packetbuf/panics"
	"github.com/holdfast-live/holdfast/relay/delay"
	"github.com/holdfast-live/holdfast/relay/egress"
)

const (
	// reportEvery is how often a viewer gets sender reports.
	reportEvery = time.Second
	// pleadEvery is how often a viewer's wish for a keyframe is heeded.
	pleadEvery = time.Second
	// stale is how old sound may be that is sent: behind a keyframe from which a viewer begins
	// stands sound that belongs to pictures that it runs through.
	stale = 300 * time.Millisecond
)

var (
	errUnconnected = errors.New("no connection came about")
	errCodecs      = errors.New("the stream has changed to a codec that was not agreed on")
)

// run sends the stream until the viewer or the stream has gone.
func (v *viewer) run() {
	err := panics.Run(v.serve)
	panics.Report(v.log, "viewer session", err)
	switch {
	case v.failed.Load():
		v.log.Info("viewer dropped", "cause", "ice", "reason", "nothing came from it for too long")
	default:
		v.log.Debug("viewer left", "reason", err)
	}
	v.end()
}

func (v *viewer) serve() error {
	deadline := time.NewTimer(v.srv.o.Connect)
	defer deadline.Stop()
	select {
	case <-v.connected:
	case <-deadline.C:
		v.log.Info("whep gave up", "reason", errUnconnected, "hint", "check that UDP reaches webrtc.udp_listen, and webrtc.public_ips")
		return errUnconnected
	case <-v.ctx.Done():
		return v.ctx.Err()
	}
	v.place.Skip()
	skips, counted := egress.Skips(v.place)
	for {
		packets, err := v.place.Read(v.ctx)
		if err != nil {
			return err
		}
		now := time.Now()
		if counted && skips() > 0 {
			v.skips.Total(now, skips())
		}
		for _, p := range packets {
			if wait := v.pace.wait(now, p); wait > 0 {
				if delay.Sleep(v.ctx, wait) != nil {
					return v.ctx.Err()
				}
				now = time.Now()
			}
			v.put(now, p)
			if v.strange {
				return errCodecs
			}
			if v.told.IsZero() {
				v.report(now)
			}
		}
		v.report(now)
		v.recover(now)
	}
}

// put sends one packet.
func (v *viewer) put(now time.Time, p *packetbuf.Packet) {
	t := v.video
	if p.Track == packetbuf.Audio {
		t = v.audio
	}
	switch {
	case p.Track == packetbuf.Data:
		return
	case t == nil:
		return
	case p.Kind == packetbuf.Config:
		t.configure(p)
		return
	case p.Track == packetbuf.Audio && now.Sub(p.Arrived) > stale:
		return
	case t.takes != p.Codec:
		v.strange = p.Track == packetbuf.Video
		return
	}
	if v.epoch.IsZero() {
		v.epoch = now.Add(-p.PTS())
	}
	n := t.send(p)
	v.srv.sent.Add(uint64(n)) //nolint:gosec // a count
	if n > 0 && p.Track == packetbuf.Video && p.Kind == packetbuf.Key {
		v.waiting = false
	}
	if n > 0 && !v.started {
		v.started = true
		v.srv.o.Metrics.FirstMedia(Protocol, now.Sub(v.begun))
	}
}

// report sends sender reports, the first with the first media: until then a browser would not
// know how sound and pictures belong together.
func (v *viewer) report(now time.Time) {
	if v.epoch.IsZero() || now.Sub(v.told) < reportEvery {
		return
	}
	var out []rtcp.Packet
	for _, t := range []*track{v.video, v.audio} {
		if t != nil {
			if r := t.report(v.epoch); r != nil {
				out = append(out, r)
			}
		}
	}
	if len(out) > 0 {
		v.told = now
		_ = v.peer.WriteRTCP(out) // an error is the peer's end, of which its state tells
	}
}

// recover gives a viewer that has lost the picture another beginning: a new keyframe, where the
// publisher can be asked for one and heeds it, else the newest that there is, once more.
func (v *viewer) recover(now time.Time) {
	if now.Sub(v.pleaded) < pleadEvery || !v.lost.Swap(false) {
		return
	}
	v.pleaded = now
	asked := v.place.RequestKey()
	if (!asked || v.waiting) && v.place.Rewind() {
		v.pace = pace{}
	}
	v.waiting = asked
}
