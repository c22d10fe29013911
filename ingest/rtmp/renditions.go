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
	// maxRenditions bounds the streams that one publisher can feed in addition to its own.
	maxRenditions = 8
	// refusedRetry is how long to wait before publishing a rendition again that was refused.
	refusedRetry = 10 * time.Second
)

// renditions holds the video tracks of a multitrack publisher, except track 0. Each is published as
// a stream of its own, with the audio of track 0. It is used only by the goroutine that reads the
// connection.
type renditions struct {
	all         map[uint8]*rendition
	audioConfig *packetbuf.Packet
}

// rendition is a video track that is published as a stream of its own, from its first keyframe on.
type rendition struct {
	id     uint8
	config *packetbuf.Packet // of the video track; nil if none has arrived
	sink   ingest.Sink       // nil while the rendition is not published
	closed *atomic.Pointer[renditionEnd]
	tried  time.Time // when publishing was last tried
}

// renditionEnd is the reason why a stream has closed its rendition.
type renditionEnd struct {
	cause  ingest.Cause
	reason string
}

// writeOther writes a packet of another track to the rendition of that track, which it publishes if
// needed. A packet of a track without a rendition is dropped, and counted as a repair.
func (p *publisher) writeOther(n flv.Numbered) {
	l := p.renditions.of(n)
	if l == nil {
		p.intake.Repairs.Note(n.Packet.Track, packetbuf.OtherTrack)
		return
	}
	if n.Packet.Kind == packetbuf.Config {
		l.config = n.Packet
	}
	l.endIfClosed()
	if l.sink == nil {
		if n.Packet.Kind != packetbuf.Key || n.Packet.Arrived.Sub(l.tried) < refusedRetry || !p.publishRendition(l, n.Packet.Arrived) {
			return
		}
		for _, config := range []*packetbuf.Packet{l.config, p.renditions.audioConfig} {
			if config != nil {
				l.write(config)
			}
		}
	}
	l.write(n.Packet)
}

// publishRendition publishes a rendition. Access admits it like a publisher of its own.
// publishRendition reports whether the rendition was admitted.
func (p *publisher) publishRendition(l *rendition, now time.Time) bool {
	l.tried, l.closed = now, &atomic.Pointer[renditionEnd]{}
	r := p.request
	r.Name = r.Name + "~" + strconv.Itoa(int(l.id))
	r.Session = &renditionSession{p.session, l.id, l.closed}
	sink, err := p.srv.opts.Access.Publish(p.ctx, r)
	var refusal *ingest.Refusal
	switch {
	case err == nil:
		l.sink = sink
		return true
	case errors.As(err, &refusal):
		p.srv.log(r).Info("track not published", "reason", refusal.Reason)
	default:
		p.srv.log(r).Error("track not published", "err", err)
	}
	return false
}

// of returns the rendition of a packet's track, and creates it if needed. It returns nil for tracks
// other than video, and if there are too many renditions.
func (r *renditions) of(n flv.Numbered) *rendition {
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

// writeAudio writes an audio packet to all renditions.
func (r *renditions) writeAudio(p *packetbuf.Packet) {
	if p.Kind == packetbuf.Config {
		r.audioConfig = clonePacket(p)
	}
	for _, l := range r.all {
		if l.endIfClosed(); l.sink != nil {
			l.write(p)
		}
	}
}

// write writes a copy of a packet to the rendition's stream. Each stream needs its own copy,
// because it sets the packet's sequence number.
func (l *rendition) write(p *packetbuf.Packet) {
	if l.closed.Load() != nil {
		return
	}
	if err := l.sink.Write(clonePacket(p)); err != nil {
		l.closed.CompareAndSwap(nil, &renditionEnd{cause: ingest.Kick, reason: err.Error()})
	}
}

// clonePacket returns a copy of a packet that shares its payload.
func clonePacket(p *packetbuf.Packet) *packetbuf.Packet {
	return &packetbuf.Packet{
		Track: p.Track, Codec: p.Codec, Kind: p.Kind, DTS: p.DTS, CTO: p.CTO, Arrived: p.Arrived, Payload: p.Payload, Beside: p.Beside, Recovery: p.Recovery,
	}
}

// endIfClosed ends a rendition that its stream has closed.
func (l *rendition) endIfClosed() {
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
		if l.endIfClosed(); l.sink != nil {
			l.sink.End(cause, detail)
			l.sink = nil
		}
	}
}

// renditionSession is the ingest.Session of a rendition.
type renditionSession struct {
	publisher *session
	id        uint8
	closed    *atomic.Pointer[renditionEnd]
}

// ID implements ingest.Session.
func (s *renditionSession) ID() string { return s.publisher.ID() + "~" + strconv.Itoa(int(s.id)) }

// Close implements ingest.Session. The publisher and its other tracks continue.
func (s *renditionSession) Close(cause ingest.Cause, reason string) {
	s.closed.CompareAndSwap(nil, &renditionEnd{cause: cause, reason: reason})
}

// RTT implements ingest.Session.
func (s *renditionSession) RTT() (srtt, rttvar time.Duration) { return s.publisher.RTT() }

// Unread implements ingest.Backlogger.
func (s *renditionSession) Unread() bool { return s.publisher.Unread() }

// Repairs implements ingest.RepairReporter.
func (s *renditionSession) Repairs() []packetbuf.Repair { return s.publisher.Repairs() }

// Heartbeat implements ingest.Beater.
func (s *renditionSession) Heartbeat() time.Duration { return s.publisher.Heartbeat() }
