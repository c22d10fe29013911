// Package app creates the parts of the relay and connects them. It is the only package that imports all of
// them.
package app

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/holdfast-live/holdfast/cmd/internal/httpguard"
	"github.com/holdfast-live/holdfast/cmd/internal/loglimit"
	"github.com/holdfast-live/holdfast/cmd/internal/redact"
	"github.com/holdfast-live/holdfast/cmd/internal/statefile"
	"github.com/holdfast-live/holdfast/configs"
	"github.com/holdfast-live/holdfast/ingest"
	"github.com/holdfast-live/holdfast/ingest/rtmp"
	"github.com/holdfast-live/holdfast/packetbuf"
	"github.com/holdfast-live/holdfast/packetbuf/resume"
	"github.com/holdfast-live/holdfast/qos"
	"github.com/holdfast-live/holdfast/qos/policy"
	"github.com/holdfast-live/holdfast/qos/prom"
	"github.com/holdfast-live/holdfast/relay/admission"
	"github.com/holdfast-live/holdfast/relay/api"
	"github.com/holdfast-live/holdfast/relay/egress"
	"github.com/holdfast-live/holdfast/relay/egress/cmaf"
	"github.com/holdfast-live/holdfast/relay/egress/hls"
	"github.com/holdfast-live/holdfast/relay/egress/httpflv"
	"github.com/holdfast-live/holdfast/relay/egress/mse"
	egressrtmp "github.com/holdfast-live/holdfast/relay/egress/rtmp"
	"github.com/holdfast-live/holdfast/relay/egress/status"
	"github.com/holdfast-live/holdfast/relay/egress/whep"
	"github.com/holdfast-live/holdfast/relay/hook"
	"github.com/holdfast-live/holdfast/relay/hub"
	"github.com/holdfast-live/holdfast/relay/rendition"
	"github.com/holdfast-live/holdfast/relay/route"
	"github.com/holdfast-live/holdfast/relay/stream"
)

// Options configure an App.
type Options struct {
	Config  *configs.Config
	Log     *slog.Logger
	Level   *slog.LevelVar // level of Log; a reload sets it
	Version string
	Commit  string
}

// App is a relay. The order of calls is New, Start, any number of Reload, and Stop.
type App struct {
	log             *slog.Logger // removes secrets
	secrets         *redact.Secrets
	level           *slog.LevelVar
	settings        *settings
	relay           *relay
	events          *api.Events
	streamHistories *api.Histories
	flv             *httpflv.Handler
	feeds           *cmaf.Feeds // shared by all protocols that play chunks
	previews        *cmaf.Feeds // for the API
	hls             *hls.Handler
	mse             *mse.Handler
	states          *status.Handler
	slots           *ingest.Slots
	routes          *route.Routes
	rendered        *rendition.Renditions
	hooks           *hook.Hooks
	feeding         activeSessions
	admission       *admission.Admission
	sealer          *resume.Sealer        // seals resume tokens
	peers           atomic.Pointer[peers] // nil without WebRTC
	metrics         *prom.Metrics
	state           *statefile.File
	saving          func()                  // stops the periodic saving and saves the state once more
	names           *hub.LiveNames          // names of live streams, for the state file
	board           *status.Board           // states of streams for viewers
	rtmp            map[string]*rtmp.Server // by protocol
	http            *http.Server
	admin           *http.Server
	certs           map[string]*certificate // by the configuration key of the listener
	addrs           map[string]net.Addr     // by component
	serving         sync.WaitGroup
	started         stack         // the running parts, for Stop
	drain           chan struct{} // capacity 1: the operator has requested a drain
	failed          chan error
}

// New returns a relay with the given configuration, which must be valid. Stop must be called to release
// its resources.
func New(o Options) (*App, error) {
	a := newApp(o)
	if err := a.wire(o); err != nil {
		_ = a.started.stop(context.Background())
		return nil, err
	}
	return a, nil
}

func newApp(o Options) *App {
	secrets := &redact.Secrets{}
	secrets.Set(configuredSecrets(o.Config)...)
	o.Log = loglimit.New(secrets.Logger(o.Log))
	a := &App{
		log: o.Log, secrets: secrets, level: o.Level, settings: &settings{slates: slates{log: o.Log}}, events: api.NewEvents(), streamHistories: api.NewHistories(viewerProtocols()), rtmp: map[string]*rtmp.Server{},
		certs: map[string]*certificate{}, addrs: map[string]net.Addr{}, failed: make(chan error, 4), drain: make(chan struct{}, 1),
		names: hub.NewLiveNames(), board: status.NewBoard(),
	}
	a.settings.cfg.Store(o.Config)
	a.slots = newSlots(o.Config, a.settings)
	return a
}

// wire creates the parts of the relay. It pushes their stop functions on a stack in the order that shutdown
// requires: streams end while their viewers are still connected, so that viewers receive the reason.
func (a *App) wire(o Options) error {
	o.Log = a.log
	var err error
	if a.state, err = statefile.Load(o.Config.State.File, o.Log); err != nil {
		return err
	}
	a.started.push("admin", a.stopAdmin)
	a.started.pushFunc("events", a.events.Close)
	registry := prometheus.NewRegistry()
	a.metrics, err = prom.New(registry, prom.Labels{
		Publishers: []string{ingest.RTMP, ingest.RTMPS, ingest.WHIP, ingest.Pull, ingest.Transcode}, Viewers: viewerProtocols(),
		Outcomes: texts(ingest.Outcomes()), Causes: texts(ingest.Causes()), Joins: admission.JoinOutcomes(), Resumes: texts([]egress.Resumed{egress.Exact, egress.Keyframe, egress.Expired}),
		Dials: texts(qos.Outcomes()), Switches: policy.SwitchCauses(), Levels: policy.LevelCauses(),
	})
	if err != nil {
		return fmt.Errorf("register metrics: %w", err)
	}
	metrics, counters := a.metrics, &stream.Counters{}
	a.relay = &relay{counters: counters, sent: map[string]*atomic.Uint64{}, settings: a.settings, slots: a.slots, memory: newMemory(o.Config)}
	for _, p := range viewerProtocols() {
		a.relay.sent[p] = &atomic.Uint64{}
	}
	if err := a.wireHooks(registry); err != nil {
		return fmt.Errorf("register metrics: %w", err)
	}
	a.started.push("hooks", a.stopHooks)
	a.started.push("viewers", a.stopServers)
	wanted := &demand{}
	watching := &observer{
		metrics: metrics, events: a.events, log: component(o.Log, "stream"), states: a.board, live: a.live, hooks: a.hooks, secrets: a.secrets, feeding: &a.feeding,
		names: a.names, returning: &a.settings.returning,
		ended: func(name string) { a.routes.Ended(name) },
	}
	a.relay.hub = hub.New(hub.Options{
		Settings: a.settings, Demand: wanted, Memory: a.relay.memory.Budget, MaxStreams: o.Config.Limits.Streams, Counters: counters, Repairs: &a.relay.repairs,
		Log: component(o.Log, "stream"), Observer: watching,
		Bridge:     func(name string, to packetbuf.Codec) { a.relay.bridges.Want(name, to) },
		Bridgeable: func() bool { return a.relay.bridges.Able() }, Absent: a.absent,
	})
	a.started.pushFunc("streams", func() { a.relay.hub.Close("the relay is shutting down") })
	a.relay.bridges = rendition.NewBridges(rendition.BridgeOptions{Open: a.relay.open, Max: o.Config.Limits.Bridges, Memory: int64(o.Config.Limits.ChildMemory), Log: component(o.Log, "bridge")})
	a.started.pushFunc("bridges", a.relay.bridges.Close)
	if err := a.wireRoutes(wanted); err != nil {
		return err
	}
	a.started.push("routes", a.stopRoutes)
	registry.MustRegister(
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
		prom.BuildInfo(o.Version, o.Commit),
		prom.NewCollector(a.relay.snapshot, func() int { return a.settings.get().Metrics.Streams }),
	)
	if err := a.wireServers(metrics, registry, a.board, o.Version); err != nil {
		return err
	}
	// Playlists stop before the streams do, so that their viewers reconnect instead of seeing an end.
	a.started.pushFunc("playlists", a.stopPlaylists)
	return nil
}

func viewerProtocols() []string {
	return []string{"rtmp", "rtmps", httpflv.Protocol, hls.Protocol, mse.Protocol, whep.Protocol}
}

func component(log *slog.Logger, name string) *slog.Logger { return log.With("component", name) }

func texts[T ~string](values []T) []string {
	out := make([]string, len(values))
	for i, v := range values {
		out[i] = string(v)
	}
	return out
}

func (a *App) wireServers(metrics *prom.Metrics, registry *prometheus.Registry, board *status.Board, version string) error {
	cfg := a.settings.get()
	var err error
	if a.sealer, err = newSealer(cfg.Resume.Key, a.state, a.log); err != nil {
		return err
	}
	a.admission = admission.New(admission.Options{
		Rules: a.settings, Streams: streams{a.relay.hub, &a.settings.returning}, Publisher: a.relay.hub, Hooks: hookAccess{a.hooks}, Sealer: a.sealer,
		Metrics: metrics, Redact: a.secrets.Text, IsSecret: a.secrets.Is, SharedAddress: a.settings.sharedAddress, ConnectionLimit: refused,
		PushedFrom: a.routes.Pushes, Refused: logRefused(a.events, a.secrets), JoinRate: cfg.Limits.Joins, Log: a.log,
	})
	for _, protocol := range []string{ingest.RTMP, ingest.RTMPS} {
		players := egressrtmp.New(egressrtmp.Options{
			Admission: a.admission, Metrics: a.viewers(), Log: component(a.log, protocol),
			WriteTimeout: a.settings.viewerWriteTimeout, EndReason: endReason,
		})
		server, err := rtmp.New(rtmp.Options{
			Access: a.admission, Protocol: protocol, Slots: a.slots, Log: a.log, // the server adds its component
			HandshakeTimeout: cfg.Limits.HandshakeTimeout,
			Refused:          func(o ingest.Outcome) { metrics.Session(protocol, string(o)) },
			Repairs:          &a.relay.repairs,
			Reassembly:       a.relay.memory.reassembly,
			Heartbeat:        a.settings.heartbeat,
			SlowPublisher:    func(app, name string) bool { return a.settings.get().Stream(app + "/" + name).SlowPublisher },
			OnPlay:           players.Play,
		})
		if err != nil {
			return fmt.Errorf("%s: %w", protocol, err)
		}
		a.rtmp[protocol] = server
	}
	a.flv = httpflv.New(httpflv.Options{
		Admission: a.admission, HTTP: webAnswers{a.settings}, Metrics: a.viewers(), Log: component(a.log, "http"),
		WriteTimeout: a.settings.viewerWriteTimeout,
	})
	a.wireHLS()
	a.wirePreviews()
	a.wireStates(board)
	a.wireMSE(board)
	a.http = a.server("http", a.viewersHandler(a.flv))
	a.admin = a.server("admin", api.New(api.Options{
		Relay: a.relay, Memory: a.relay.memory.view, Routes: &routesView{routes: a.routes, secrets: a.secrets}, Events: a.events, Histories: a.streamHistories, Watch: a.viewerEndpoint, Preview: a.preview, Pass: a.pass, Drain: a.requestDrain, Version: version, Token: func() string { return a.settings.get().Admin.Token },
		Guessed: newGuesses(component(a.log, "admin")).wrong,
		Metrics: promhttp.HandlerFor(registry, promhttp.HandlerOpts{ErrorLog: slog.NewLogLogger(a.log.Handler(), slog.LevelError)}),
	}))
	return nil
}

// streamsPerConnection is the maximum number of requests at a time on an HTTP/2 connection. Without it,
// the limits on connections would not limit the number of viewers.
const streamsPerConnection = 32

// server returns an HTTP server with limits on time and memory per client.
func (a *App) server(name string, h http.Handler) *http.Server {
	patience := a.settings.get().Limits.HandshakeTimeout
	return &http.Server{
		Handler: httpguard.Handler(h, patience), ConnContext: connContext, ConnState: connState, ReadHeaderTimeout: patience, IdleTimeout: time.Minute,
		MaxHeaderBytes: 16 << 10, HTTP2: &http.HTTP2Config{MaxConcurrentStreams: streamsPerConnection},
		ErrorLog: slog.NewLogLogger(component(a.log, name).Handler(), slog.LevelDebug),
	}
}

// Addr returns the address on which a component listens: rtmp, rtmps, http, admin, webrtc or webrtc-tcp. It
// returns nil if the component does not listen.
func (a *App) Addr(component string) net.Addr { return a.addrs[component] }

// Stream returns the state of the named stream as in the API; ok is false if the stream does not exist.
func (a *App) Stream(name string) (s api.Stream, ok bool) { return a.relay.Stream(name) }

// Bridges returns the status of all audio bridges.
func (a *App) Bridges() []rendition.BridgeStatus { return a.relay.bridges.Status() }

// Failed returns a channel that receives the error of a listener that failed.
func (a *App) Failed() <-chan error { return a.failed }

// Reload applies a new configuration as far as possible without disconnecting clients. It
// returns the keys that took effect and those that need a restart.
func (a *App) Reload(cfg *configs.Config) (live, restart []string) {
	cfg, live, restart = configs.Reload(a.settings.get(), cfg)
	a.settings.cfg.Store(cfg)
	a.secrets.Set(configuredSecrets(cfg)...)
	a.level.Set(Level(cfg.Log.Level))
	a.relay.hub.Reload(cfg.Limits.Streams)
	a.relay.memory.reload(cfg)
	a.admission.SetJoinRate(cfg.Limits.Joins)
	a.reloadRoutes(cfg)
	a.hooks.Reload(hooks(cfg))
	for key, c := range a.certs {
		if err := c.load(); err != nil {
			a.log.Error("certificate not reloaded; the previous one stays in use", "key", key, "err", err)
		}
	}
	return live, restart
}

// Level returns the log level for its name in the configuration, or Info if the name is unknown.
func Level(name string) slog.Level {
	var l slog.Level
	if err := l.UnmarshalText([]byte(name)); err != nil {
		return slog.LevelInfo // the name was validated
	}
	return l
}
