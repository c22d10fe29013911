package app

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/holdfast-live/holdfast/packetbuf"
	"github.com/holdfast-live/holdfast/qos/prom"
	"github.com/holdfast-live/holdfast/relay/admission"
	"github.com/holdfast-live/holdfast/relay/egress"
	"github.com/holdfast-live/holdfast/relay/hub"
	"github.com/holdfast-live/holdfast/relay/stream"
)

// streams adapts the hub to admission.Streams.
type streams struct {
	hub       *hub.Hub
	returning *hub.Returning
}

// Expects implements admission.Streams.
func (s streams) Expects(name, protocol string) error { return s.hub.Expects(name, protocol) }

// ExpectedBack implements admission.Streams.
func (s streams) ExpectedBack(name string) bool { return s.returning.Left(time.Now(), name) > 0 }

// Life implements admission.Streams.
func (s streams) Life(name string) uint64 {
	if found := s.hub.Find(name); found != nil {
		return found.Life()
	}
	return 0
}

var begins = map[egress.Begin]stream.Begin{
	egress.AtKeyframe: stream.AtKeyframe, egress.AtRecovery: stream.AtRecovery, egress.Anywhere: stream.Anywhere,
}

// Subscribe implements admission.Streams.
func (s streams) Subscribe(ctx context.Context, app, name, protocol string, at admission.Position, audio ...packetbuf.Codec) (admission.Subscription, bool, error) {
	r, exact, err := s.hub.Resume(ctx, app, name, protocol, stream.Position{
		Origin: stream.Origin{Life: at.Origin.Life, Seq: at.Origin.Seq}, Track: at.Track, DTS: at.DTS, Seq: at.Seq, Begin: begins[at.Begin],
	}, audio...)
	if err != nil {
		return nil, false, err
	}
	return subscription{r}, exact, nil
}

// subscription is a stream's reader. It implements admission.Subscription and whep.Subscription.
type subscription struct{ *stream.Reader }

// Origin implements admission.Subscription.
func (s subscription) Origin() admission.Origin {
	o := s.Reader.Origin()
	return admission.Origin{Life: o.Life, Seq: o.Seq}
}

// viewerMetrics counts the requests of viewers and the bytes sent to them. It implements egress.Metrics.
type viewerMetrics struct {
	*prom.Metrics
	admission *admission.Admission
	sent      map[string]*atomic.Uint64
}

func (a *App) viewers() viewerMetrics { return viewerMetrics{a.metrics, a.admission, a.relay.sent} }

// SentBytes implements egress.Metrics.
func (m viewerMetrics) SentBytes(protocol string) *atomic.Uint64 { return m.sent[protocol] }

// FirstMedia implements egress.Metrics.
func (m viewerMetrics) FirstMedia(protocol string, took time.Duration) { m.Started(protocol, took) }

// Joined implements egress.Metrics.
func (m viewerMetrics) Joined(protocol string, err error) { m.admission.CountJoin(protocol, err) }

// Resumed implements egress.Metrics.
func (m viewerMetrics) Resumed(protocol, outcome string) { m.ViewerResumed(protocol, outcome) }
