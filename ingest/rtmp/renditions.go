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
	// maxRenditions bounds the streams that one publisher can feed beside its own.
	maxRenditions = 8
	// refusedRetry is the time after which a rendition that was refused is tried again.
	refusedRetry = 10 * time.Second
)

// renditions are the video tracks of a multitrack publisher but track 0: each is a stream of
// its own, with the audio of track 0. The goroutine that reads owns them.
type renditions struct {
	all         map[uint8]*rendition
	audioConfig *packetbuf.Packet
}

// rendition is one of them. It is published at its first keyframe.
type rendition struct {
	id     uint8
	config *packetbuf.Packet // of its video; nil: none so far
	sink   ingest.Sink       // nil: it is not published
	closed *atomic.Pointer[renditionEnd]
	tried  time.Time // when it was last published, or refused
}

// renditionEnd is why a stream has closed its rendition.
type renditionEnd struct {
	cause  ingest.Cause
	reason string
}

// writeOther takes a packet of a track that does not feed the publisher's own stream.
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

// publishRendition asks for admission as for another publisher. It returns whether the
// rendition was admitted.
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

// of returns the rendition that a packet belongs to, nil for a packet that feeds none.
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

// writeAudio gives all renditions a packet of audio.
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

// write gives the rendition's stream a packet of its own, since every stream numbers what it
// gets.
func (l *rendition) write(p *packetbuf.Packet) {
	if l.closed.Load() != nil {
		return
	}
	if err := l.sink.Write(clonePacket(p)); err != nil {
		l.closed.CompareAndSwap(nil, &renditionEnd{cause: ingest.Kick, reason: err.Error()})
	}
}

// clonePacket returns another packet with the same payload.
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

// renditionSession is a rendition as its stream sees it.
type renditionSession struct {
	publisher *session
	id        uint8
	closed    *atomic.Pointer[renditionEnd]
}

// ID implements ingest.Session.
func (s *renditionSession) ID() string { return s.publisher.ID() + "~" + strconv.Itoa(int(s.id)) }

// Close implements ingest.Session: the publisher and its other tracks go on.
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
