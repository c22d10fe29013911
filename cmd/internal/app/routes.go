package app

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/holdfast-live/holdfast/configs"
	"github.com/holdfast-live/holdfast/packetbuf"
	"github.com/holdfast-live/holdfast/packetbuf/flv"
	"github.com/holdfast-live/holdfast/qos"
	"github.com/holdfast-live/holdfast/qos/policy"
	"github.com/holdfast-live/holdfast/relay/admission"
	"github.com/holdfast-live/holdfast/relay/hub"
	"github.com/holdfast-live/holdfast/relay/lifecycle"
	"github.com/holdfast-live/holdfast/relay/rendition"
	"github.com/holdfast-live/holdfast/relay/route"
	"github.com/holdfast-live/holdfast/relay/route/push"
	"github.com/holdfast-live/holdfast/relay/stream"
)

// measuredDuration is the duration of recent media from which a stream's bitrates are measured.
const measuredDuration = 10 * time.Second

// routeStreams adapts the relay's streams to route.Streams.
type routeStreams struct {
	hub        *hub.Hub
	renditions *rendition.Renditions
}

// Tap implements route.Streams.
func (c *routeStreams) Tap(name string, from uint64) (push.Tap, error) {
	s := c.hub.Find(name)
	if s == nil {
		return nil, push.ErrEnded
	}
	r, err := s.Tap(from, flv.AudioCodecs()...) // most RTMP destinations do not support Opus
	if err != nil {
		return nil, push.ErrEnded
	}
	return tap{r}, nil
}

// tap is a stream's reader for a push route. It converts the error at the end of the stream to one of
// package push.
type tap struct{ *stream.Reader }

func (t tap) Read(ctx context.Context) ([]*packetbuf.Packet, error) {
	packets, err := t.Reader.Read(ctx)
	var end *stream.EndError
	if errors.As(err, &end) {
		if end.Again {
			return packets, push.ErrChanged
		}
		return packets, push.ErrEnded
	}
	return packets, err
}

// Offers implements route.Streams.
func (c *routeStreams) Offers(name string) []push.Offer {
	now := time.Now()
	parent := c.hub.Find(name)
	if parent == nil {
		return nil
	}
	out := []push.Offer{{Offer: policy.Offer{Rates: rates(parent), Ready: true}, Stream: name}}
	live := map[string]bool{}
	for _, s := range c.hub.Renditions(name) {
		o := push.Offer{Offer: policy.Offer{Name: s.Name()[len(name)+1:], Rates: rates(s)}, Stream: s.Name()}
		state := s.State()
		o.Ready = (state == lifecycle.Live || state == lifecycle.Suspect) && o.Rates.Total() > 0
		if c.renditions.Makes(s.Name()) {
			o.Offset = -s.Origin() // its timestamps are the stream's own
		} else {
			o.Offset = parent.Clock(now) - s.Clock(now)
		}
		live[o.Name] = true
		out = append(out, o)
	}
	for _, r := range c.renditions.Of(name) {
		if !live[r.Name] {
			out = append(out, push.Offer{
				Offer: policy.Offer{Name: r.Name, Rates: expectedRates(r, out[0].Rates)}, Stream: name + "~" + r.Name,
			})
		}
	}
	return out
}

// rates returns the measured bitrates of a stream; zeros if it has no media yet.
func rates(s *stream.Stream) policy.Rates {
	w := s.Weigh(measuredDuration)
	if w.Span <= 0 || w.GOPs == 0 {
		return policy.Rates{}
	}
	perSecond := 8 / w.Span.Seconds()
	return policy.Rates{
		Key: float64(w.Key) * perSecond, Delta: float64(w.Delta) * perSecond, Disposable: float64(w.Disposable) * perSecond,
		Audio: float64(w.Audio) * perSecond, Keyframe: 8 * float64(w.Key) / float64(w.GOPs),
	}
}

// expectedRates returns the expected bitrates of a rendition that does not run yet. They are the
// rendition's configured video bitrate and the audio bitrate in of, the bitrates of the stream.
func expectedRates(r rendition.Rendition, of policy.Rates) policy.Rates {
	return policy.Rates{Delta: float64(r.Bits), Audio: of.Audio}
}

// Want implements route.Streams.
func (c *routeStreams) Want(name, rendition string) { c.renditions.Want(name + "~" + rendition) }

// Limit implements route.Streams.
func (c *routeStreams) Limit(name string, bits float64) {
	if s := c.hub.Find(name); s != nil {
		s.Limit(bits)
	}
}

// live returns the names of the streams that can be read now.
func (c *routeStreams) live() []string {
	var out []string
	for _, s := range c.hub.List() {
		if state := s.State(); state != lifecycle.Idle && state != lifecycle.Ended {
			out = append(out, s.Name())
		}
	}
	return out
}

// demand starts pulls and renditions on request.
type demand struct {
	routes     *route.Routes
	renditions *rendition.Renditions
	there      func(name string) bool // reports whether a stream exists
}

// Brings implements hub.Demand.
func (d *demand) Brings(name string) bool {
	if d.routes.Brings(name) {
		return true
	}
	parent, leaf, _ := strings.Cut(name, "~")
	made := slices.ContainsFunc(d.renditions.Of(parent), func(r rendition.Rendition) bool { return r.Name == leaf })
	return made && (d.there(parent) || d.routes.Brings(parent))
}

// Want implements hub.Demand. If the parent stream of a rendition does not exist, Want requests the parent.
// The hub calls Want again once the parent is live.
func (d *demand) Want(name string) (hopeless <-chan struct{}, ok bool) {
	if hopeless, ok := d.renditions.Want(name); ok {
		return hopeless, true
	}
	if hopeless, ok := d.routes.Want(name); ok {
		return hopeless, true
	}
	parent, leaf, _ := strings.Cut(name, "~")
	for _, r := range d.renditions.Of(parent) {
		if r.Name == leaf {
			return d.routes.Want(parent)
		}
	}
	return nil, false
}

// groups returns the configured groups of routes.
func groups(cfg *configs.Config) []route.Group {
	var out []route.Group
	for i := range cfg.Push {
		out = append(out, group(&cfg.Push[i], false))
	}
	for i := range cfg.Pull {
		out = append(out, group(&cfg.Pull[i], true))
	}
	return out
}

func group(g *configs.Group, pull bool) route.Group {
	out := route.Group{
		Name: g.Name, Pull: pull, OnDemand: g.OnDemand, Match: g.Match, GiveUp: g.Redial.GiveUp,
		Redial: policy.Backoff{Base: g.Redial.Base, Factor: g.Redial.Factor, Max: g.Redial.Max, Jitter: g.Redial.Jitter},
		After:  g.Failover.After, Rise: g.Failover.Rise, Probe: g.Failover.Probe, Missed: g.Replay == "missed", Redirects: g.Redirects == "any",
	}
	for _, r := range g.Routes {
		out.Routes = append(out.Routes, route.Route{Name: r.Name, URL: r.URL})
	}
	for _, rung := range g.Ladder {
		if place, err := policy.ParsePlace(rung); err == nil { // was validated
			out.Ladder = append(out.Ladder, place)
		}
	}
	return out
}

func breaker(cfg *configs.Config) policy.BreakerConfig {
	b := cfg.Breaker
	return policy.BreakerConfig{Fall: b.Fall, Rise: b.Rise, Dials: b.Dials, Every: b.Every}
}

// wireRoutes creates the routes and the renditions, and sets them in wanted.
func (a *App) wireRoutes(wanted *demand) error {
	cfg := a.settings.get()
	access := admission.New(admission.Options{Publisher: a.relay.hub, Metrics: a.metrics}) // the relay's own publishers need no key
	a.rendered = rendition.New(rendition.Options{
		Access: access, Max: cfg.Limits.Transcodes, Memory: int64(cfg.Limits.ChildMemory), Log: component(a.log, "rendition"),
		Tap: func(name string) (rendition.Tap, error) {
			s := a.relay.hub.Find(name)
			if s == nil {
				return nil, stream.ErrNotLive
			}
			return s.Tap(0, flv.AudioCodecs()...) // ffmpeg before 7 reads no other audio codecs in FLV
		},
		Of: a.settings.renditions, Audience: a.relay.hub.Audience,
		Taken: func(full string) bool {
			s := a.relay.hub.Find(full)
			return s != nil && (s.State() == lifecycle.Live || s.State() == lifecycle.Suspect)
		},
	})
	streams := &routeStreams{hub: a.relay.hub, renditions: a.rendered}
	var err error
	a.routes, err = route.New(route.Options{
		Streams: streams, Access: access, Audience: a.relay.hub.Audience, Live: streams.live,
		Silence: func(name string) time.Duration {
			if silence := a.settings.get().Stream(name).Silence; silence != configs.Auto {
				return time.Duration(silence)
			}
			return 0
		},
		Observer: &routeObserver{metrics: a.metrics, events: a.events, log: component(a.log, "route"), hooks: a.hooks, secrets: a.secrets, feeding: &a.feeding},
		Breaker:  breaker(cfg), History: a.histories(), Log: component(a.log, "route"), Repairs: &a.relay.repairs,
	})
	if err != nil {
		return err
	}
	wanted.routes, wanted.renditions = a.routes, a.rendered
	wanted.there = func(name string) bool { return a.relay.hub.Find(name) != nil }
	a.countGroups(cfg)
	a.relay.routes, a.saving = a.routes, func() {}
	return nil
}

// startRoutes starts the configured routes.
func (a *App) startRoutes() {
	cfg := a.settings.get()
	a.routes.Reload(groups(cfg), breaker(cfg))
	a.saving = a.save()
}

const (
	// saveEvery is the interval at which the state file is written.
	saveEvery = time.Minute
	// saveSoon is how soon it is written after a stream has gone live or ended, so that a crash does not
	// lose the change.
	saveSoon = 500 * time.Millisecond
)

// routesSection is the section of the state file with the routes' history.
const routesSection = "routes"

// histories returns the routes' histories in the state file. It returns nil if none are stored or they
// cannot be read.
func (a *App) histories() *qos.Histories {
	data := a.state.Section(routesSection)
	if data == nil {
		return nil
	}
	h, err := route.DecodeHistories(data, time.Now())
	if err != nil {
		a.log.Warn("history of routes unreadable; starting empty", "err", err)
		return nil
	}
	return h
}

// save starts to write the state file repeatedly, until the function stop is called, which writes it once
// more.
func (a *App) save() (stop func()) {
	write := func(routes bool) {
		data, err := a.streamsNow()
		if err == nil {
			a.state.Set(streamsSection, data)
		}
		if routes {
			data, err = a.routes.Histories()
			if err == nil {
				a.state.Set(routesSection, data)
			}
		}
		if err = errors.Join(err, a.state.Write()); err != nil {
			a.log.Error("state not saved", "err", err)
		}
	}
	done := make(chan struct{})
	var writing sync.WaitGroup
	writing.Go(func() {
		tick := time.NewTicker(saveEvery)
		defer tick.Stop()
		var soon <-chan time.Time
		for {
			select {
			case <-done:
				write(true)
				return
			case <-tick.C:
				write(true)
			case <-a.names.Changed():
				if soon == nil {
					soon = time.After(saveSoon)
				}
			case <-soon:
				soon = nil
				write(false)
			}
		}
	})
	return sync.OnceFunc(func() {
		close(done)
		writing.Wait()
	})
}

func (a *App) reloadRoutes(cfg *configs.Config) {
	a.countGroups(cfg)
	a.rendered.SetMax(cfg.Limits.Transcodes)
	a.rendered.Reconfigure()
	a.routes.Reload(groups(cfg), breaker(cfg))
}

// countGroups exports the metrics of all configured groups with value 0, before any event.
func (a *App) countGroups(cfg *configs.Config) {
	for _, g := range groups(cfg) {
		var names []string
		for _, r := range g.Routes {
			names = append(names, r.Name)
		}
		a.metrics.Group(g.Name, names)
	}
}

// stopRoutes stops the routes, saves the state and stops the renditions. It must be called while the
// streams still exist, so that pushes can end cleanly.
func (a *App) stopRoutes(ctx context.Context) error {
	a.routes.Close(ctx)
	a.saving()
	a.rendered.Close()
	return nil
}
