package whip

import (
	"bytes"
	"errors"
	"sync/atomic"
	"time"

	"github.com/pion/rtp"

	"github.com/holdfast-live/holdfast/ingest"
	"github.com/holdfast-live/holdfast/packetbuf"
	"github.com/holdfast-live/holdfast/packetbuf/codec"
)

// publication is a stream that a session publishes: the session's own stream, or a rendition. The
// session's lock guards it.
type publication struct {
	session *session
	sink    ingest.Sink
	configs [packetbuf.NumTracks][]byte // configurations last written to the sink
	ended   bool
}

// mediaUnit is the content of a packet. Each stream gets its own packet, because it sets the
// sequence number.
type mediaUnit struct {
	track   packetbuf.Track
	codec   packetbuf.Codec
	kind    packetbuf.Kind
	dts     time.Duration
	payload []byte
}

func (m mediaUnit) packet(now time.Time, kind packetbuf.Kind, payload []byte) *packetbuf.Packet {
	return &packetbuf.Packet{Track: m.track, Codec: m.codec, Kind: kind, DTS: m.dts, Arrived: now, Payload: payload}
}

// write writes a packet to the stream, after the configuration if that has changed.
func (p *publication) write(now time.Time, m mediaUnit, config []byte) error {
	if config != nil && !bytes.Equal(config, p.configs[m.track]) {
		p.configs[m.track] = config
		if err := p.sink.Write(m.packet(now, packetbuf.Config, config)); err != nil {
			return err
		}
	}
	return p.sink.Write(m.packet(now, m.kind, m.payload))
}

func (p *publication) end(cause ingest.Cause, detail string) {
	if !p.ended {
		p.ended = true
		p.sink.End(cause, detail)
	}
}

// opusConfig is the Opus configuration for containers. Opus over WebRTC can always be decoded to
// two channels (RFC 7587, 4.1).
var opusConfig = codec.OpusHead{Channels: 2, PreSkip: 312, Rate: codec.OpusRate}.Append(nil)

// writeAudio writes an audio packet to the stream and to all renditions.
func (s *session) writeAudio(now time.Time, t *track, p *rtp.Packet) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	m := mediaUnit{packetbuf.Audio, s.offer.audio, packetbuf.Delta, t.clock.timeOf(now, p.Timestamp), p.Payload}
	if _, err := codec.OpusSamples(p.Payload); err != nil {
		return nil
	}
	for _, l := range s.layers.all {
		l.write(now, m, opusConfig)
	}
	return s.main.write(now, m, opusConfig)
}

// writeVideo writes an access unit to the rendition of its layer and, if the layer is the current
// one, to the stream.
func (s *session) writeVideo(now time.Time, t *track, u accessUnit) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	l := t.layer
	l.record(now, &u)
	m := mediaUnit{packetbuf.Video, s.offer.video, u.kind, t.clock.timeOf(now, u.timestamp), u.payload}
	if l.config == nil { // no decoder could decode the access unit
		if u.kind != packetbuf.Key {
			return nil
		}
		l.keyWanted.Store(true)
		if l.keysWithoutSets++; l.keysWithoutSets == 2 { // the first may have lost the packet with its parameter sets
			s.log.Warn("pictures without parameter sets", "codec", s.offer.video.String(),
				"hint", "have the encoder send them with each keyframe, or in the offer (GStreamer: rtph264pay config-interval=-1)")
		}
		return nil
	}
	if l.rid != "" {
		if u.kind == packetbuf.Key {
			s.publishRendition(now, l)
		}
		l.write(now, m, l.config)
	}
	if u.kind == packetbuf.Key && s.layers.current != l && s.layers.better(now, l) {
		s.log.Debug("another layer feeds the stream", "rid", l.rid, "pixels", l.pixels)
		s.layers.current = l
	}
	if s.layers.current != l {
		return nil
	}
	return s.main.write(now, m, l.config)
}

// rendition is the publication of a layer as a stream of its own, in addition to the session's
// stream.
type rendition struct {
	pub     *publication
	closed  *atomic.Pointer[ending] // why the stream closed the rendition; nil if it did not
	triedAt time.Time
}

// republishAfter is how long to wait before publishing a rendition again that was refused.
const republishAfter = 10 * time.Second

// publishRendition publishes the rendition of a layer, unless it is published already or was
// refused recently.
func (s *session) publishRendition(now time.Time, l *layer) {
	l.endIfClosed()
	if l.pub != nil || now.Sub(l.triedAt) < republishAfter {
		return
	}
	l.triedAt, l.closed = now, &atomic.Pointer[ending]{}
	r := s.request
	r.Name = r.Name + "~" + l.rid
	r.Session = &layerSession{s, l, l.closed}
	sink, err := s.srv.options.Access.Publish(s.ctx, r)
	if err != nil {
		var refusal *ingest.Refusal
		if !errors.As(err, &refusal) {
			s.log.Error("layer not published", "rid", l.rid, "err", err)
			return
		}
		s.log.Info("layer not published", "rid", l.rid, "reason", refusal.Reason)
		return
	}
	l.pub = &publication{session: s, sink: sink}
}

// write writes a packet to the rendition's stream. If the stream does not accept it, the rendition
// ends.
func (r *rendition) write(now time.Time, m mediaUnit, config []byte) {
	if r.pub == nil || r.closed.Load() != nil {
		return
	}
	if err := r.pub.write(now, m, config); err != nil {
		r.closed.CompareAndSwap(nil, &ending{ingest.Kick, err.Error()})
	}
}

// endIfClosed ends a rendition that its stream has closed.
func (r *rendition) endIfClosed() {
	if r.pub == nil {
		return
	}
	if why := r.closed.Load(); why != nil {
		r.pub.end(why.cause, why.detail)
		r.pub = nil
	}
}

// endClosed ends the renditions that their streams have closed.
func (l *layers) endClosed() {
	for _, one := range l.all {
		one.rendition.endIfClosed()
	}
}

// endAll ends all renditions.
func (l *layers) endAll(cause ingest.Cause, detail string) {
	for _, one := range l.all {
		if one.pub != nil {
			one.pub.end(cause, detail)
			one.pub = nil
		}
	}
}

// layerSession is the ingest.Session of a rendition.
type layerSession struct {
	s      *session
	layer  *layer
	closed *atomic.Pointer[ending]
}

// ID implements ingest.Session.
func (l *layerSession) ID() string { return l.s.id + "~" + l.layer.rid }

// Close implements ingest.Session. The other layers continue.
func (l *layerSession) Close(cause ingest.Cause, reason string) {
	l.closed.CompareAndSwap(nil, &ending{cause, reason})
}

// RTT implements ingest.Session.
func (l *layerSession) RTT() (srtt, rttvar time.Duration) { return l.s.RTT() }

// RequestKey implements ingest.KeyRequester. The loop of the WHIP session sends the request.
func (l *layerSession) RequestKey() { l.layer.keyWanted.Store(true) }
