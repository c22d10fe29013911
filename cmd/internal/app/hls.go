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

// wireHLS makes what cuts streams into chunks, and what serves them as HLS.
func (a *App) wireHLS() {
	a.feeds = cmaf.New(cmaf.Options{Open: a.relay.feed, Reopen: again, Limits: a.settings.chunks, SilentTrack: true, Memory: a.relay.memory.Budget, Log: component(a.log, "cmaf")})
	a.hls = hls.New(hls.Options{
		Admission: a.admission, Sessions: a.admission, HTTP: webAnswers{a.settings}, Metrics: a.viewers(), Feeds: a.feeds,
		Settings: a.settings.hls, Renditions: a.renditions, Memory: a.relay.memory.Budget, Log: component(a.log, "hls"),
		Restarted: func(ctx context.Context, stream string) bool {
			a.settings.returning.Wait(ctx, stream)
			return a.settings.returning.Restarted(time.Now(), stream)
		},
	})
}

// renditions are the streams beside a stream that are renditions of it. Those that are made of
// it on demand are wanted, and are among them once they are there.
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
		_, _ = a.rendered.Want(name + "~" + r.Name) // or somebody else publishes it
	}
	return out
}

// live is told that a stream has gone live.
func (a *App) live(name string) {
	a.routes.Live(name)
	a.hls.Live(name)
}

// feed is a feed's place on a stream: nobody's who is counted as a viewer.
func (r *relay) feed(_ context.Context, name string, newest bool) (egress.Subscription, error) {
	s := r.hub.Find(name)
	if s == nil {
		return nil, notThere(name)
	}
	from := uint64(1) // the oldest that the buffer has: a playlist that is full at once
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

// again tells whether a place has ended and the stream goes on.
func again(err error) bool {
	var end *stream.EndError
	return errors.As(err, &end) && end.Again
}

// endReason returns why a stream has ended, if err of its reader says that it has.
func endReason(err error) (reason string, ended bool) {
	var end *stream.EndError
	if !errors.As(err, &end) {
		return "", false
	}
	return end.Reason, true
}

// chunks is how much a feed holds of a stream.
func (s *settings) chunks(name string) cmaf.Limits {
	c := s.get().Stream(name)
	return cmaf.Limits{Duration: c.Buffer.Duration, Bytes: int(c.Buffer.Bytes), Lag: c.Viewer.Lag}
}

// hls is how a stream is cut for HLS.
func (s *settings) hls(name string) hls.Settings {
	c := s.get().Stream(name)
	return hls.Settings{
		Segment: c.HLS.Segment, Part: c.HLS.Part, Window: c.HLS.Window, Always: c.HLS.Start == "always", Bytes: int(c.Buffer.Bytes),
		WriteTimeout: c.Viewer.WriteTimeout,
	}
}

// serveHLS serves a file of HLS; false where the path is none.
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
