package rtmp

import (
	"errors"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/holdfast-live/holdfast/ingest"
	"github.com/holdfast-live/holdfast/packetbuf"
	"github.com/holdfast-live/holdfast/packetbuf/flv"
)

const (
	// maxRenditions bounds the streams that one push can feed beside its own.
	maxRenditions = 8
	// refusedFor is how long a rendition is left alone that was refused.
	refusedFor = 10 * time.Second
)

// renditions are the pictures of a multitrack push beside those of track 0: each is a stream of
// its own, with the sound of track 0. They belong to the goroutine that reads.
type renditions struct {
	all         map[uint8]*rendition
	soundConfig *packetbuf.Packet
}

// rendition is one of them. It is published at its first keyframe.
type rendition struct {
	id     uint8
	config *packetbuf.Packet // of its pictures; nil: none so far
	sink   ingest.Sink       // nil: it is not published
	closed *atomic.Pointer[ending]
	tried  time.Time
}

// other takes a packet of a track that does not feed the push's own stream.
func (c *conn) other(p *publication, n flv.Numbered) {
	l := p.renditions.at(n)
	if l == nil {
		p.intake.Repairs.Note(n.Packet.Track, packetbuf.OtherTrack)
		return
	}
	if n.Packet.Kind == packetbuf.Config {
		l.config = n.Packet
	}
	l.leave()
	if l.sink == nil {
		if n.Packet.Kind != packetbuf.Key || n.Packet.Arrived.Sub(l.tried) < refusedFor || !c.publishRendition(p, l, n.Packet.Arrived) {
			return
		}
		for _, config := range []*packetbuf.Packet{l.config, p.renditions.soundConfig} {
			if config != nil {
				l.write(config)
			}
		}
	}
	l.write(n.Packet)
}

// publishRendition asks for admission of a rendition, as for a push of its own.
func (c *conn) publishRendition(p *publication, l *rendition, now time.Time) bool {
	l.tried, l.closed = now, &atomic.Pointer[ending]{}
	r := p.request
	r.Name = r.Name + "~" + strconv.Itoa(int(l.id))
	r.Session = &renditionSession{p.session, l.id, l.closed}
	sink, err := c.srv.o.Access.Publish(c.ctx, r)
	var refusal *ingest.Refusal
	switch {
	case err == nil:
		l.sink = sink
		return true
	case errors.As(err, &refusal):
		c.log().Info("track not published", "stream", describe(r.App, r.Name), "reason", refusal.Reason)
	default:
		c.log().Error("track not published", "stream", describe(r.App, r.Name), "err", err)
	}
	return false
}

// at is the rendition that a packet belongs to; nil for one that none can be made of.
func (r *renditions) at(n flv.Numbered) *rendition {
	if n.Packet.Track != packetbuf.Video {
		return nil
	}
	l := r.all[n.ID]
	if l == nil && len(r.all) < maxRenditions {
		if r.all == nil {
			r.all = map[uint8]*rendition{}
		}
		l = &rendition{id: n.ID}
		r.all[n.ID] = l
	}
	return l
}

// sound gives all renditions a packet of the sound.
func (r *renditions) sound(p *packetbuf.Packet) {
	if p.Kind == packetbuf.Config {
		r.soundConfig = again(p)
	}
	for _, l := range r.all {
		if l.leave(); l.sink != nil {
			l.write(p)
		}
	}
}

// write gives a rendition's stream a packet: one of its own, as each stream keeps what it gets.
func (l *rendition) write(p *packetbuf.Packet) {
	if l.closed.Load() != nil {
		return
	}
	if err := l.sink.Write(again(p)); err != nil {
		l.closed.CompareAndSwap(nil, &ending{cause: ingest.Kick, reason: err.Error()})
	}
}

// again is another packet with the same payload.
func again(p *packetbuf.Packet) *packetbuf.Packet {
	return &packetbuf.Packet{
		Track: p.Track, Codec: p.Codec, Kind: p.Kind, DTS: p.DTS, CTO: p.CTO, Arrived: p.Arrived, Payload: p.Payload, Beside: p.Beside, Recovery: p.Recovery,
	}
}

// leave ends a rendition that its stream has closed.
func (l *rendition) leave() {
	if l.sink == nil {
		return
	}
	if why := l.closed.Load(); why != nil {
		l.sink.End(why.cause, why.reason)
		l.sink = nil
	}
}

// end ends all renditions.
func (r *renditions) end(cause ingest.Cause, detail string) {
	for _, l := range r.all {
		if l.leave(); l.sink != nil {
			l.sink.End(cause, detail)
			l.sink = nil
		}
	}
}

// renditionSession is a rendition as its stream sees it.
type renditionSession struct {
	push   *session
	id     uint8
	closed *atomic.Pointer[ending]
}

// ID implements ingest.Session.
func (s *renditionSession) ID() string { return s.push.id + "~" + strconv.Itoa(int(s.id)) }

// Close implements ingest.Session: the push and its other tracks go on.
func (s *renditionSession) Close(cause ingest.Cause, reason string) {
	s.closed.CompareAndSwap(nil, &ending{cause: cause, reason: reason})
}

// RTT implements ingest.Session.
func (s *renditionSession) RTT() (srtt, rttvar time.Duration) { return s.push.RTT() }

// Unread implements ingest.Backlogger.
func (s *renditionSession) Unread() bool { return s.push.Unread() }

// Repairs implements ingest.RepairReporter.
func (s *renditionSession) Repairs() []packetbuf.Repair { return s.push.Repairs() }

// Heartbeat implements ingest.Beater.
func (s *renditionSession) Heartbeat() time.Duration { return s.push.Heartbeat() }
