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
	// reportEvery is the interval between sender reports.
	reportEvery = time.Second
	// keyRequestInterval is the minimum interval between keyframe requests for a viewer.
	keyRequestInterval = time.Second
	// maxAudioAge is the maximum age of audio that is sent. A viewer begins at a keyframe, and gets
	// the video after it faster than real time. The old audio of that time is not sent.
	maxAudioAge = 300 * time.Millisecond
)

var (
	errUnconnected = errors.New("peer did not connect in time")
	errCodecs      = errors.New("stream changed to a codec that was not negotiated")
)

// run sends the stream until the viewer leaves or the stream ends, then closes the viewer.
func (v *viewer) run() {
	err := panics.Run(v.serve)
	panics.Report(v.log, "viewer session", err)
	switch {
	case v.iceFailed.Load():
		v.log.Info("viewer dropped", "cause", "ice", "reason", "no ICE response for too long")
	default:
		v.log.Debug("viewer left", "reason", err)
	}
	v.close()
}

func (v *viewer) serve() error {
	deadline := time.NewTimer(v.server.opts.Connect)
	defer deadline.Stop()
	select {
	case <-v.connected:
	case <-deadline.C:
		v.log.Info("viewer did not connect", "reason", errUnconnected, "hint", "check that UDP reaches webrtc.udp_listen, and webrtc.public_ips")
		return errUnconnected
	case <-v.ctx.Done():
		return v.ctx.Err()
	}
	v.sub.Skip()
	skips, counted := egress.Skips(v.sub)
	for {
		packets, err := v.sub.Read(v.ctx)
		if err != nil {
			return err
		}
		now := time.Now()
		if counted && skips() > 0 {
			v.skips.Total(now, skips())
		}
		for _, p := range packets {
			if wait := v.pacer.wait(now, p); wait > 0 {
				if delay.Sleep(v.ctx, wait) != nil {
					return v.ctx.Err()
				}
				now = time.Now()
			}
			v.sendPacket(now, p)
			if v.unsupported {
				return errCodecs
			}
			if v.reported.IsZero() {
				v.report(now)
			}
		}
		v.report(now)
		v.handleLoss(now)
	}
}

// sendPacket sends one packet, if the viewer receives its track.
func (v *viewer) sendPacket(now time.Time, p *packetbuf.Packet) {
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
	case p.Track == packetbuf.Audio && now.Sub(p.Arrived) > maxAudioAge:
		return
	case t.accepts != p.Codec:
		v.unsupported = p.Track == packetbuf.Video
		return
	}
	if v.epoch.IsZero() {
		v.epoch = now.Add(-p.PTS())
	}
	n := t.send(p)
	v.server.sent.Add(uint64(n)) //nolint:gosec // a count
	if n > 0 && p.Track == packetbuf.Video && p.Kind == packetbuf.Key {
		v.awaitingKey = false
	}
	if n > 0 && !v.started {
		v.started = true
		v.server.opts.Metrics.FirstMedia(Protocol, now.Sub(v.start))
	}
}

// report sends sender reports when they are due at time now. The first is sent with the first
// media, because browsers cannot synchronize audio and video without one.
func (v *viewer) report(now time.Time) {
	if v.epoch.IsZero() || now.Sub(v.reported) < reportEvery {
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
		v.reported = now
		_ = v.peer.WriteRTCP(out) // the peer's state reports its end
	}
}

// handleLoss handles a viewer's request for a keyframe, which means that the viewer has lost video.
// It requests a keyframe from the publisher. If that is not possible, or the previous request had
// no effect, it repeats the newest keyframe and the frames after it.
func (v *viewer) handleLoss(now time.Time) {
	if now.Sub(v.keyRequested) < keyRequestInterval || !v.keyframeWanted.Swap(false) {
		return
	}
	v.keyRequested = now
	asked := v.sub.RequestKey()
	if (!asked || v.awaitingKey) && v.sub.Rewind() {
		v.pacer = pacer{}
	}
	v.awaitingKey = asked
}
