package app

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/holdfast-live/holdfast/ingest"
	"github.com/holdfast-live/holdfast/relay/egress"
	"github.com/holdfast-live/holdfast/relay/egress/cmaf"
	"github.com/holdfast-live/holdfast/relay/egress/hls"
	"github.com/holdfast-live/holdfast/relay/lifecycle"
	"github.com/holdfast-live/holdfast/relay/stream"
)

// wireHLS creates the feeds of fMP4 chunks and the HLS handler.
func (a *App) wireHLS() {
	a.feeds = cmaf.New(cmaf.Options{Open: a.relay.feed, Reopen: streamContinues, Limits: a.settings.chunks, SilentTrack: true, Memory: a.relay.memory.Budget, Log: component(a.log, "cmaf")})
	a.hls = hls.New(hls.Options{
		Admission: a.admission, Sessions: a.admission, HTTP: webAnswers{a.settings}, Metrics: a.viewers(), Feeds: a.feeds,
		Settings: a.settings.hls, Renditions: a.renditions, Memory: a.relay.memory.Budget, Log: component(a.log, "hls"),
		Restarted: func(ctx context.Context, stream string) bool {
			a.settings.returning.Wait(ctx, stream)
			return a.settings.returning.Restarted(time.Now(), stream)
		},
	})
}

// renditions returns the names of a stream's live renditions. It also requests the configured renditions,
// which are transcoded on demand.
func (a *App) renditions(name string) (out []string) {
	if strings.Contains(name, "~") {
		return nil
	}
	for _, s := range a.relay.hub.Renditions(name) {
		if state := s.State(); state == lifecycle.Live || state == lifecycle.Suspect || state == lifecycle.Held {
			out = append(out, s.Name())
		}
	}
	for _, r := range a.rendered.Of(name) {
		_, _ = a.rendered.Want(name + "~" + r.Name) // it fails if another publisher has that name
	}
	return out
}

// live informs the routes and HLS that a stream has gone live.
func (a *App) live(name string) {
	a.routes.Live(name)
	a.hls.Live(name)
}

// feed subscribes a feed of fMP4 chunks to the stream name. The feed starts at the newest keyframe if
// newest is set, otherwise at the oldest packet in the buffer. It does not count as a viewer.
func (r *relay) feed(_ context.Context, name string, newest bool) (egress.Subscription, error) {
	s := r.hub.Find(name)
	if s == nil {
		return nil, notThere(name)
	}
	from := uint64(1) // the oldest packet in the buffer, for a full playlist at once
	if newest {
		from = 0
	}
	place, err := s.Tap(from)
	if err != nil {
		return nil, notThere(name)
	}
	place.WantRepeats()
	return place, nil
}

func notThere(name string) error {
	return &ingest.Refusal{
		NotLive: true, Reason: "the stream " + name + " is not live", Hint: "publish to it first, or try again later", RetryAfter: 2 * time.Second,
	}
}

// streamContinues reports whether err means that a subscription has ended although the stream continues.
func streamContinues(err error) bool {
	var end *stream.EndError
	return errors.As(err, &end) && end.Again
}

// endReason returns the reason why a stream has ended. ended is false if err, an error of the stream's
// reader, does not mean that the stream has ended.
func endReason(err error) (reason string, ended bool) {
	var end *stream.EndError
	if !errors.As(err, &end) {
		return "", false
	}
	return end.Reason, true
}

// chunks returns the limits of the chunks that a stream's feed holds.
func (s *settings) chunks(name string) cmaf.Limits {
	c := s.get().Stream(name)
	return cmaf.Limits{Duration: c.Buffer.Duration, Bytes: int(c.Buffer.Bytes), Lag: c.Viewer.Lag}
}

// hls returns the HLS settings of a stream.
func (s *settings) hls(name string) hls.Settings {
	c := s.get().Stream(name)
	return hls.Settings{
		Segment: c.HLS.Segment, Part: c.HLS.Part, Window: c.HLS.Window, Always: c.HLS.Start == "always", Bytes: int(c.Buffer.Bytes),
		WriteTimeout: c.Viewer.WriteTimeout,
	}
}

// serveHLS serves an HLS playlist or segment. It returns false if the path does not belong to HLS.
func (a *App) serveHLS(w http.ResponseWriter, r *http.Request) bool {
	_, _, _, ok := hls.Match(r.URL.Path)
	if !ok || !reads(w, r, "use GET") {
		return ok
	}
	if err := refused(r.Context()); err != nil {
		refuse(w, r, err)
		return true
	}
	a.hls.ServeHTTP(w, r)
	return true
}
