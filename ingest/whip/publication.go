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

// publication is a stream that a session publishes: its own, or a rendition. The session's lock guards
// it.
type publication struct {
	session *session
	sink    ingest.Sink
	configs [packetbuf.NumTracks][]byte // as written to the sink
	gone    bool
}

// media is the content of a packet. Each stream gets a packet of its own.
type media struct {
	track   packetbuf.Track
	codec   packetbuf.Codec
	kind    packetbuf.Kind
	dts     time.Duration
	payload []byte
}

func (m media) packet(now time.Time, kind packetbuf.Kind, payload []byte) *packetbuf.Packet {
	return &packetbuf.Packet{Track: m.track, Codec: m.codec, Kind: kind, DTS: m.dts, Arrived: now, Payload: payload}
}

// write writes a packet to the stream, preceded by the configuration if that is new.
func (p *publication) write(now time.Time, m media, config []byte) error {
	if config != nil && !bytes.Equal(config, p.configs[m.track]) {
		p.configs[m.track] = config
		if err := p.sink.Write(m.packet(now, packetbuf.Config, config)); err != nil {
			return err
		}
	}
	return p.sink.Write(m.packet(now, m.kind, m.payload))
}

func (p *publication) end(cause ingest.Cause, detail string) {
	if !p.gone {
		p.gone = true
		p.sink.End(cause, detail)
	}
}

// opusConfig is the configuration for containers. Opus over WebRTC can always be decoded to two channels
// (RFC 7587, 4.1).
var opusConfig = codec.OpusHead{Channels: 2, PreSkip: 312, Rate: codec.OpusRate}.Append(nil)

// sound writes a packet of audio to the stream and to the renditions.
func (s *session) sound(now time.Time, t *track, p *rtp.Packet) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	m := media{packetbuf.Audio, s.offer.audio, packetbuf.Delta, t.clock.at(now, p.Timestamp), p.Payload}
	if _, err := codec.OpusSamples(p.Payload); err != nil {
		return nil
	}
	for _, l := range s.layers.all {
		l.put(now, m, opusConfig)
	}
	return s.main.write(now, m, opusConfig)
}

// picture writes an access unit to the stream, if it is of the current layer, and to the layer's
// rendition.
func (s *session) picture(now time.Time, t *track, u accessUnit) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	l := t.layer
	l.note(now, &u)
	m := media{packetbuf.Video, s.offer.video, u.kind, t.clock.at(now, u.timestamp), u.payload}
	if l.config == nil { // no decoder could decode it
		if u.kind != packetbuf.Key {
			return nil
		}
		l.wanted.Store(true)
		if l.bare++; l.bare == 2 { // the first may have lost the packet with its parameter sets
			s.log.Warn("pictures without parameter sets", "codec", s.offer.video.String(),
				"hint", "have the encoder send them with each keyframe, or in the offer (GStreamer: rtph264pay config-interval=-1)")
		}
		return nil
	}
	if l.rid != "" {
		if u.kind == packetbuf.Key {
			s.publish(now, l)
		}
		l.put(now, m, l.config)
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

// rendition publishes a layer as a stream of its own, in addition to the session's stream.
type rendition struct {
	pub    *publication
	closed *atomic.Pointer[ending] // why the stream closed it; nil if it did not
	tried  time.Time
}

// refusedFor is how long to wait before publishing a rendition again that was refused.
const refusedFor = 10 * time.Second

// publish publishes a layer's rendition if it is not published.
func (s *session) publish(now time.Time, l *layer) {
	l.leave()
	if l.pub != nil || now.Sub(l.tried) < refusedFor {
		return
	}
	l.tried, l.closed = now, &atomic.Pointer[ending]{}
	r := s.request
	r.Name = r.Name + "~" + l.rid
	r.Session = &layerSession{s, l, l.closed}
	sink, err := s.srv.o.Access.Publish(s.ctx, r)
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

// put writes a packet to the rendition. If the stream does not accept it, the rendition ends.
func (r *rendition) put(now time.Time, m media, config []byte) {
	if r.pub == nil || r.closed.Load() != nil {
		return
	}
	if err := r.pub.write(now, m, config); err != nil {
		r.closed.CompareAndSwap(nil, &ending{ingest.Kick, err.Error()})
	}
}

// leave ends a rendition that its stream has closed.
func (r *rendition) leave() {
	if r.pub == nil {
		return
	}
	if why := r.closed.Load(); why != nil {
		r.pub.end(why.cause, why.detail)
		r.pub = nil
	}
}

// leave ends the renditions that their streams have closed.
func (l *layers) leave() {
	for _, one := range l.all {
		one.rendition.leave()
	}
}

// end ends all renditions.
func (l *layers) end(cause ingest.Cause, detail string) {
	for _, one := range l.all {
		if one.pub != nil {
			one.pub.end(cause, detail)
			one.pub = nil
		}
	}
}

// layerSession is the Session of a rendition.
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

// RequestKey implements ingest.KeyRequester. The session's loop sends the request.
func (l *layerSession) RequestKey() { l.layer.wanted.Store(true) }
