// Package api is what operators and probes ask over HTTP: health, streams, events, metrics.
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

// Stream is a stream as the API shows it.
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
	// Publishers are all pushes: that which feeds the stream, one about to, and one held warm.
	Publishers []Push         `json:"publishers"`
	Viewers    map[string]int `json:"viewers"`
	Breaks     map[string]int `json:"breaks"`
	Sessions   uint32         `json:"sessions"`          // publisher sessions that fed it so far
	Ceiling    float64        `json:"ceiling,omitempty"` // bit/s that the publisher is to stay below
	Cap        float64        `json:"cap,omitempty"`     // the same, as the operator has asked
	Received   uint64         `json:"received_bytes"`    // media from publishers
	Sent       uint64         `json:"sent_bytes"`        // media to viewers over RTMP, HTTP-FLV and WebRTC
	Buffer     Buffer         `json:"buffer"`
	// RoutesDown is how many pushes and pulls of it no route carries, in lists of streams.
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

// Publisher is a push as the API shows it.
type Publisher struct {
	Session   string    `json:"session"`
	Protocol  string    `json:"protocol"`
	Remote    string    `json:"remote"`
	Agent     string    `json:"agent,omitempty"`
	Since     time.Time `json:"since"`
	Bitrate   float64   `json:"bitrate"`       // bit/s
	Sound     float64   `json:"sound_bitrate"` // of that
	FrameRate float64   `json:"frame_rate"`
	RTT       float64   `json:"rtt_seconds"`
	Gap       float64   `json:"gap_seconds"`
	Quiet     float64   `json:"quiet_seconds"`
	BFrames   bool      `json:"b_frames,omitempty"` // left out for WHEP, whose viewers see a lower frame rate
	Repairs   []Repair  `json:"repairs,omitempty"`
}

// Repair is what the relay has to repair in a push's media, or leaves out of it.
type Repair struct {
	Track   string `json:"track"`
	Reason  string `json:"reason"` // as in holdfast_media_repairs_total
	Count   uint64 `json:"count"`
	Problem string `json:"problem"`
	Hint    string `json:"hint"` // what the encoder should do
}

// Push is a push with its part in the stream.
type Push struct {
	Role   string `json:"role"`   // primary or backup
	Active bool   `json:"active"` // it feeds the stream
	Ready  bool   `json:"ready"`  // it does, or could take over at once
	// ReturnsIn is how long a primary that is held warm has to be healthy yet before it gets the
	// stream back.
	ReturnsIn *float64 `json:"returns_in_seconds,omitempty"`
	Publisher
}

// Buffer is what a stream's ring holds.
type Buffer struct {
	Seconds float64 `json:"seconds"`
	Bytes   int     `json:"bytes"`
	Packets int     `json:"packets"`
	GOPs    int     `json:"gops"`
}

// Relay is what the API asks the relay for.
type Relay interface {
	// Streams are all streams, by name, and Briefs the same in short.
	Streams() []Stream
	Briefs() []Brief
	// Stream returns one stream; ok is false if there is none of that name.
	Stream(name string) (s Stream, ok bool)
	// Kick ends the push of a stream; false if there is none.
	Kick(name string) bool
	// Cap asks a stream's publisher for at most so many bits per second; 0 lifts it. asked tells
	// whether somebody publishes who can be asked, ok is false if there is no such stream.
	Cap(name string, bits float64) (asked, ok bool)
	// Ready is nil if the relay takes publishers and viewers.
	Ready() error
}

// Options are what the handler needs.
type Options struct {
	Relay  Relay
	Routes Routes
	Events *Events
	// Histories of the streams; nil: none.
	Histories *Histories
	Memory    func() Memory // nil: it is not known
	Watch     func() Watch  // where viewers are served; nil: nobody knows
	// Preview makes a stream's newest keyframe a picture. An error that is an *ingest.Refusal says
	// why there is none; nil: it cannot.
	Preview func(ctx context.Context, stream string) (Picture, error)
	// Pass makes a play token for a stream, and returns when it expires; no token where everyone may
	// play it. nil: it cannot.
	Pass    func(stream string) (token string, until time.Time, err error)
	Drain   func() // has the relay end as SIGTERM does; it does not wait. nil: it cannot
	Metrics http.Handler
	Token   func() string // Bearer, for all but the probes; empty: none asked
	// Guessed is told of each request with a wrong token, and returns when it is time to answer it; nil:
	// at once.
	Guessed func(ctx context.Context, remote string)
	Version string
}

// New returns the handler of the admin address.
func New(o Options) http.Handler {
	if o.Histories == nil {
		o.Histories = NewHistories(nil)
	}
	guarded := http.NewServeMux()
	guarded.HandleFunc("GET /{$}", index(o.Version))
	guarded.HandleFunc("GET /api/v1/openapi.json", document)
	guarded.HandleFunc("GET /api/v1/relay", about(o))
	guarded.HandleFunc("POST /api/v1/drain", drain(o.Drain))
	guarded.HandleFunc("GET /api/v1/streams", streams(o.Relay, o.Routes))
	guarded.HandleFunc("GET /api/v1/streams/{app}/{name}", one(o.Relay))
	guarded.HandleFunc("GET /api/v1/streams/{app}/{name}/log", o.Events.shelf.log)
	guarded.HandleFunc("GET /api/v1/streams/{app}/{name}/history", history(o.Relay, o.Histories, &o.Events.shelf))
	guarded.Handle("GET /api/v1/streams/{app}/{name}/preview", working(preview(o.Preview)))
	guarded.HandleFunc("POST /api/v1/streams/{app}/{name}/watch", pass(o.Pass))
	guarded.HandleFunc("DELETE /api/v1/streams/{app}/{name}/publisher", kick(o.Relay))
	guarded.HandleFunc("PUT /api/v1/streams/{app}/{name}/ceiling", ceiling(o.Relay))
	guarded.HandleFunc("DELETE /api/v1/streams/{app}/{name}/ceiling", ceiling(o.Relay))
	routes(guarded, o.Routes)
	guarded.Handle("GET /api/v1/events", o.Events)
	guarded.HandleFunc("GET /api/v1/stat/nginx-rtmp", stat(o.Relay, o.Version))
	guarded.Handle("GET /metrics", o.Metrics)
	guarded.Handle("GET /debug/pprof/", working(pprof.Index))
	guarded.Handle("GET /debug/pprof/cmdline", working(pprof.Cmdline))
	guarded.Handle("GET /debug/pprof/profile", working(pprof.Profile))
	guarded.Handle("GET /debug/pprof/symbol", working(pprof.Symbol))
	guarded.Handle("GET /debug/pprof/trace", working(pprof.Trace))

	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) {
		reply(w, http.StatusOK, map[string]string{"status": "ok"})
	})
	mux.HandleFunc("GET /readyz", ready(o.Relay))
	api, page := authorized(o, sameOrigin(explained(guarded))), console.Handler()
	mux.Handle("GET /console/", page)
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		if forPeople(r) {
			page.ServeHTTP(w, r)
			return
		}
		api.ServeHTTP(w, r)
	})
	return mux
}

// forPeople tells whether a browser asks for the first page: it gets the console, which holds no
// data, and programs the list of what there is.
func forPeople(r *http.Request) bool {
	return r.URL.Path == "/" && (r.Method == http.MethodGet || r.Method == http.MethodHead) &&
		strings.Contains(r.Header.Get("Accept"), "text/html")
}

// explained answers what no route of mux matches with a problem instead of a bare status.
func explained(mux *http.ServeMux) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		other, pattern := mux.Handler(r)
		if pattern != "" {
			mux.ServeHTTP(w, r)
			return
		}
		s := status{header: w.Header()}
		other.ServeHTTP(&s, r)
		if s.code == http.StatusMethodNotAllowed {
			Problem(w, s.code, r.Method+" is not for this address", "use "+w.Header().Get("Allow"))
			return
		}
		Problem(w, http.StatusNotFound, "there is nothing here", "GET / lists what there is")
	})
}

// status takes an answer's status and header and drops its body.
type status struct {
	header http.Header
	code   int
}

func (s *status) Header() http.Header         { return s.header }
func (s *status) WriteHeader(code int)        { s.code = code }
func (s *status) Write(p []byte) (int, error) { return len(p), nil }

func index(version string) http.HandlerFunc {
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

func one(relay Relay) http.HandlerFunc {
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
			Problem(w, http.StatusNotFound, "nobody publishes to "+name, "GET /api/v1/streams lists who does")
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

// literal tells whether a Host is an address or localhost. Any other name may be one that a
// page on the internet has had resolved to this machine's loopback, to ask in its browser's
// stead.
func literal(hostport string) bool {
	host, _, err := net.SplitHostPort(hostport)
	if err != nil {
		host = strings.Trim(hostport, "[]")
	}
	_, err = netip.ParseAddr(host)
	return err == nil || host == "localhost"
}

// authorized asks for the token in a time that does not depend on where it differs.
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
		} else if !literal(r.Host) {
			Problem(w, http.StatusForbidden, "without a token the admin address answers to no name but localhost", "use http://127.0.0.1, or set admin.token")
			return
		}
		w.Header().Set("Cache-Control", "no-store")
		w.Header().Set("X-Content-Type-Options", "nosniff")
		next.ServeHTTP(w, r)
	})
}

// bearer is the request's token, or nothing.
func bearer(r *http.Request) string {
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return ""
	}
	return token
}
