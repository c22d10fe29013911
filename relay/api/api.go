// Package api is the HTTP API for operators and probes: health, streams, events and metrics.
package api

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"net"
	"net/http"
	"net/http/pprof"
	"net/netip"
	"strings"
	"time"

	"github.com/holdfast-live/holdfast/relay/api/console"
)

// Stream is a stream in the API.
type Stream struct {
	Name      string     `json:"name"`
	State     string     `json:"state"`
	Since     time.Time  `json:"since"`
	HeldUntil *time.Time `json:"held_until,omitempty"`
	Cause     string     `json:"cause,omitempty"` // of the last break
	Clock     float64    `json:"clock_seconds"`
	Tracks    []Track    `json:"tracks"`
	Publisher *Publisher `json:"publisher"`
	Waiting   *Publisher `json:"waiting,omitempty"`
	// Publishers lists all publishers: the active one, one that is about to join, and the standby.
	Publishers []Push         `json:"publishers"`
	Viewers    map[string]int `json:"viewers"`
	Breaks     map[string]int `json:"breaks"`
	Sessions   uint32         `json:"sessions"`          // publisher sessions that have fed the stream so far
	Ceiling    float64        `json:"ceiling,omitempty"` // maximum bit/s requested from the publisher
	Cap        float64        `json:"cap,omitempty"`     // the part of it set by the operator, bit/s
	Received   uint64         `json:"received_bytes"`    // media from publishers
	Sent       uint64         `json:"sent_bytes"`        // media to viewers over RTMP, HTTP-FLV and WebRTC
	Buffer     Buffer         `json:"buffer"`
	// RoutesDown is the number of the stream's pushes and pulls that currently have no working route.
	// It is set only in lists of streams.
	RoutesDown int `json:"routes_down,omitempty"`
}

// Track is one track of a stream.
type Track struct {
	Codec      string  `json:"codec"`
	Profile    string  `json:"profile,omitempty"`
	Level      string  `json:"level,omitempty"`
	RFC6381    string  `json:"rfc6381,omitempty"`
	Width      int     `json:"width,omitempty"`
	Height     int     `json:"height,omitempty"`
	FrameRate  float64 `json:"frame_rate,omitempty"`
	SampleRate int     `json:"sample_rate,omitempty"`
	Channels   int     `json:"channels,omitempty"`
}

// Publisher is a publisher in the API.
type Publisher struct {
	Session   string    `json:"session"`
	Protocol  string    `json:"protocol"`
	Remote    string    `json:"remote"`
	Agent     string    `json:"agent,omitempty"`
	Since     time.Time `json:"since"`
	Bitrate   float64   `json:"bitrate"`       // bit/s
	Sound     float64   `json:"sound_bitrate"` // audio, part of Bitrate
	FrameRate float64   `json:"frame_rate"`
	RTT       float64   `json:"rtt_seconds"`
	Gap       float64   `json:"gap_seconds"`
	Quiet     float64   `json:"quiet_seconds"`
	BFrames   bool      `json:"b_frames,omitempty"` // dropped for WHEP, whose viewers get a lower frame rate
	Repairs   []Repair  `json:"repairs,omitempty"`
}

// Repair describes a problem in a publisher's media that the relay repairs or drops.
type Repair struct {
	Track   string `json:"track"`
	Reason  string `json:"reason"` // as in holdfast_media_repairs_total
	Count   uint64 `json:"count"`
	Problem string `json:"problem"`
	Hint    string `json:"hint"` // what the encoder should do
}

// Push is a publisher and its role in the stream.
type Push struct {
	Role   string `json:"role"`   // primary or backup
	Active bool   `json:"active"` // feeds the stream
	Ready  bool   `json:"ready"`  // whether it is active or could take over at once
	// ReturnsIn is how much longer a primary on standby must be healthy before it feeds the stream
	// again.
	ReturnsIn *float64 `json:"returns_in_seconds,omitempty"`
	Publisher
}

// Buffer is the content of a stream's ring.
type Buffer struct {
	Seconds float64 `json:"seconds"`
	Bytes   int     `json:"bytes"`
	Packets int     `json:"packets"`
	GOPs    int     `json:"gops"`
}

// Relay is the part of the relay that the API uses.
type Relay interface {
	// Streams returns all streams, sorted by name. Briefs returns the same in short form.
	Streams() []Stream
	Briefs() []Brief
	// Stream returns the named stream. ok is false if it does not exist.
	Stream(name string) (s Stream, ok bool)
	// Kick disconnects the publisher of a stream. It returns false if there is none.
	Kick(name string) bool
	// Cap asks a stream's publisher to stay below a bitrate, in bits per second; 0 removes the limit.
	// asked reports whether the publisher supports that. ok is false if the stream does not exist.
	Cap(name string, bits float64) (asked, ok bool)
	// Ready returns nil if the relay accepts publishers and viewers.
	Ready() error
}

// Options configures the handler.
type Options struct {
	Relay  Relay
	Routes Routes
	Events *Events
	// Histories holds the recent history of the streams. It may be nil.
	Histories *Histories
	Memory    func() Memory // may be nil
	Watch     func() Watch  // where viewers are served; may be nil
	// Preview returns a stream's newest keyframe. If it returns an *ingest.Refusal, that gives the
	// reason why there is none. Nil means that the relay cannot make previews.
	Preview func(ctx context.Context, stream string) (Picture, error)
	// Pass issues a play token for a stream, and returns when it expires. The token is empty if
	// everyone may play. Nil means that the relay cannot issue tokens.
	Pass    func(stream string) (token string, until time.Time, err error)
	Drain   func() // ends the relay as SIGTERM does, without waiting; may be nil
	Metrics http.Handler
	Token   func() string // bearer token for everything except the probes; empty if none is required
	// Guessed is called for each request with a wrong token. It may block to delay the answer. It may
	// be nil.
	Guessed func(ctx context.Context, remote string)
	Version string
}

// New returns the handler of the admin address.
func New(o Options) http.Handler {
	if o.Histories == nil {
		o.Histories = NewHistories(nil)
	}
	guarded := http.NewServeMux()
	guarded.HandleFunc("GET /{$}", endpointList(o.Version))
	guarded.HandleFunc("GET /api/v1/openapi.json", serveOpenAPI)
	guarded.HandleFunc("GET /api/v1/relay", about(o))
	guarded.HandleFunc("POST /api/v1/drain", drain(o.Drain))
	guarded.HandleFunc("GET /api/v1/streams", streams(o.Relay, o.Routes))
	guarded.HandleFunc("GET /api/v1/streams/{app}/{name}", getStream(o.Relay))
	guarded.HandleFunc("GET /api/v1/streams/{app}/{name}/log", o.Events.log.serveLog)
	guarded.HandleFunc("GET /api/v1/streams/{app}/{name}/history", history(o.Relay, o.Histories, &o.Events.log))
	guarded.Handle("GET /api/v1/streams/{app}/{name}/preview", rejectCrossOrigin(preview(o.Preview)))
	guarded.HandleFunc("POST /api/v1/streams/{app}/{name}/watch", pass(o.Pass))
	guarded.HandleFunc("DELETE /api/v1/streams/{app}/{name}/publisher", kick(o.Relay))
	guarded.HandleFunc("PUT /api/v1/streams/{app}/{name}/ceiling", ceiling(o.Relay))
	guarded.HandleFunc("DELETE /api/v1/streams/{app}/{name}/ceiling", ceiling(o.Relay))
	routes(guarded, o.Routes)
	guarded.Handle("GET /api/v1/events", o.Events)
	guarded.HandleFunc("GET /api/v1/stat/nginx-rtmp", stat(o.Relay, o.Version))
	guarded.Handle("GET /metrics", o.Metrics)
	guarded.Handle("GET /debug/pprof/", rejectCrossOrigin(pprof.Index))
	guarded.Handle("GET /debug/pprof/cmdline", rejectCrossOrigin(pprof.Cmdline))
	guarded.Handle("GET /debug/pprof/profile", rejectCrossOrigin(pprof.Profile))
	guarded.Handle("GET /debug/pprof/symbol", rejectCrossOrigin(pprof.Symbol))
	guarded.Handle("GET /debug/pprof/trace", rejectCrossOrigin(pprof.Trace))

	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) {
		reply(w, http.StatusOK, map[string]string{"status": "ok"})
	})
	mux.HandleFunc("GET /readyz", ready(o.Relay))
	api, page := authorized(o, sameOrigin(withProblems(guarded))), console.Handler()
	mux.Handle("GET /console/", page)
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		if wantsConsole(r) {
			page.ServeHTTP(w, r)
			return
		}
		api.ServeHTTP(w, r)
	})
	return mux
}

// wantsConsole reports whether a browser requests the root page. Browsers get the console, which
// contains no data; other clients get the list of endpoints.
func wantsConsole(r *http.Request) bool {
	return r.URL.Path == "/" && (r.Method == http.MethodGet || r.Method == http.MethodHead) &&
		strings.Contains(r.Header.Get("Accept"), "text/html")
}

// withProblems answers requests that match no route of mux with a JSON problem instead of a bare
// status.
func withProblems(mux *http.ServeMux) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		other, pattern := mux.Handler(r)
		if pattern != "" {
			mux.ServeHTTP(w, r)
			return
		}
		s := discardedResponse{header: w.Header()}
		other.ServeHTTP(&s, r)
		if s.code == http.StatusMethodNotAllowed {
			Problem(w, s.code, r.Method+" is not allowed here", "use "+w.Header().Get("Allow"))
			return
		}
		Problem(w, http.StatusNotFound, "not found", "GET / lists the endpoints")
	})
}

// discardedResponse records the status and header of a response and discards its body.
type discardedResponse struct {
	header http.Header
	code   int
}

func (s *discardedResponse) Header() http.Header         { return s.header }
func (s *discardedResponse) WriteHeader(code int)        { s.code = code }
func (s *discardedResponse) Write(p []byte) (int, error) { return len(p), nil }

func endpointList(version string) http.HandlerFunc {
	text := "Holdfast " + version + `

GET    /healthz                                  alive
GET    /readyz                                   takes publishers and viewers
GET    /metrics                                  for Prometheus
GET    /api/v1/openapi.json                      this, for programs
GET    /api/v1/relay                             the relay itself: its version, where viewers are served
POST   /api/v1/drain                             end the relay as SIGTERM does
GET    /api/v1/streams                           all streams; ?limit=&after=&search= for some, ?order=trouble&limit=&skip= for broken ones first
GET    /api/v1/streams/{app}/{name}              one stream
GET    /api/v1/streams/{app}/{name}/log          what happened to it; ?since=&until=&limit=
GET    /api/v1/streams/{app}/{name}/history      how it was in the last 15 minutes
GET    /api/v1/streams/{app}/{name}/preview      its newest keyframe, as a fragmented MP4
POST   /api/v1/streams/{app}/{name}/watch        a play token to watch it with, for an hour
DELETE /api/v1/streams/{app}/{name}/publisher    kick its publisher
PUT    /api/v1/streams/{app}/{name}/ceiling      ask its publisher for less: {"bitrate": 800000}; DELETE lifts it
GET    /api/v1/routes                            routes, their history, decisions and breakers; ?stream=
PUT    /api/v1/routes/{group}/{app}/{name}/route force a route: {"route": "a"}; DELETE takes it back
PUT    /api/v1/routes/{group}/{app}/{name}/rung  force a rung: {"rung": "audio"}; DELETE takes it back
POST   /api/v1/routes/{group}/{app}/{name}/reset forget a route's failures: {"route": "a"}
POST   /api/v1/breakers/{host:port}/reset        dial a host as if it had never failed
GET    /api/v1/events                            what happens, as server-sent events
GET    /api/v1/stat/nginx-rtmp                   the same as nginx-rtmp's /stat shows it, for NOALBS and the like
GET    /debug/pprof/                             profiles
`
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		_, _ = w.Write([]byte(text))
	}
}

func getStream(relay Relay) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		name := r.PathValue("app") + "/" + r.PathValue("name")
		s, ok := relay.Stream(name)
		if !ok {
			Problem(w, http.StatusNotFound, "there is no stream "+name, "GET /api/v1/streams lists them")
			return
		}
		reply(w, http.StatusOK, s)
	}
}

func kick(relay Relay) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		name := r.PathValue("app") + "/" + r.PathValue("name")
		if !relay.Kick(name) {
			Problem(w, http.StatusNotFound, "no publisher on "+name, "GET /api/v1/streams lists streams and their publishers")
			return
		}
		w.WriteHeader(http.StatusNoContent)
	}
}

func ready(relay Relay) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		if err := relay.Ready(); err != nil {
			Problem(w, http.StatusServiceUnavailable, err.Error(), "wait for it, or send the request to another relay")
			return
		}
		reply(w, http.StatusOK, map[string]string{"status": "ready"})
	}
}

// isLiteralHost reports whether a Host header is an IP address or localhost. Any other name may
// belong to a website that resolves it to this machine's loopback address, to send requests through
// its visitor's browser (DNS rebinding).
func isLiteralHost(hostport string) bool {
	host, _, err := net.SplitHostPort(hostport)
	if err != nil {
		host = strings.Trim(hostport, "[]")
	}
	_, err = netip.ParseAddr(host)
	return err == nil || host == "localhost"
}

// authorized requires the bearer token. It compares tokens in constant time.
func authorized(o Options, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if want := o.Token(); want != "" {
			got := bearer(r)
			a, b := sha256.Sum256([]byte(got)), sha256.Sum256([]byte(want))
			if subtle.ConstantTimeCompare(a[:], b[:]) != 1 {
				if got != "" && o.Guessed != nil {
					o.Guessed(r.Context(), r.RemoteAddr)
				}
				w.Header().Set("WWW-Authenticate", `Bearer realm="holdfast admin"`)
				Problem(w, http.StatusUnauthorized, "the admin address needs a token", "send Authorization: Bearer with admin.token")
				return
			}
		} else if !isLiteralHost(r.Host) {
			Problem(w, http.StatusForbidden, "without a token the admin address answers to no name but localhost", "use http://127.0.0.1, or set admin.token")
			return
		}
		w.Header().Set("Cache-Control", "no-store")
		w.Header().Set("X-Content-Type-Options", "nosniff")
		next.ServeHTTP(w, r)
	})
}

// bearer returns the request's bearer token, or "".
func bearer(r *http.Request) string {
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return ""
	}
	return token
}
