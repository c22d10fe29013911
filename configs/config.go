// Package configs loads and validates the configuration. A Config is not modified after it was loaded; a
// reload creates a new one.
package configs

import (
	"path"
	"strings"
	"time"
)

// Config is the complete configuration. The struct tags "key" contain the keys of the file.
type Config struct {
	RTMP    Listener    `key:"rtmp"`
	RTMPS   TLSListener `key:"rtmps"`
	HTTP    HTTP        `key:"http"`
	Admin   Admin       `key:"admin"`
	WebRTC  WebRTC      `key:"webrtc"`
	Log     Log         `key:"log"`
	Limits  Limits      `key:"limits"`
	Metrics Metrics     `key:"metrics"`
	Breaker Breaker     `key:"breaker"`
	Drain   Drain       `key:"drain"`
	State   State       `key:"state"`
	Resume  Resume      `key:"resume"`

	Defaults Stream  `key:"defaults"`
	Streams  []Match `key:"streams"`
	Push     []Group `key:"push"`
	Pull     []Group `key:"pull"`
	Hooks    []Hook  `key:"hooks"`
}

// Listener is a listen address. If it is empty, the listener is disabled.
type Listener struct {
	Listen string `key:"listen" kind:"address" help:"address of RTMP publish and play"`
}

// TLSListener is a listen address and its certificate.
type TLSListener struct {
	Listen string `key:"listen" kind:"address" help:"address of RTMPS; empty: off"`
	Cert   string `key:"cert" kind:"file" help:"certificate file, PEM"`
	Key    string `key:"key" kind:"file" help:"key file, PEM"`
}

// HTTP is the listener for viewers.
type HTTP struct {
	Listen         string   `key:"listen" kind:"address" help:"address of viewers over HTTP"`
	Cert           string   `key:"cert" kind:"file" help:"certificate file, PEM; with it HTTPS is served"`
	Key            string   `key:"key" kind:"file" help:"key file, PEM"`
	TrustedProxies []string `key:"trusted_proxies" help:"addresses or networks whose X-Forwarded-For and -Proto are believed"`
}

// Admin is the listener for operators.
type Admin struct {
	Listen string `key:"listen" kind:"address" help:"address of API, metrics, health and pprof"`
	Token  string `key:"token" help:"Bearer token of the admin address; required off loopback" secret:"true"`
	// TokenFile is the file from which Token is read.
	TokenFile string `key:"token_file" kind:"file" help:"file that holds admin.token"`
}

// WebRTC is the configuration of WebRTC media.
type WebRTC struct {
	UDPListen string   `key:"udp_listen" kind:"address" help:"UDP address of all WebRTC media"`
	TCPListen string   `key:"tcp_listen" kind:"address" help:"TCP address of ICE-TCP; empty: off"`
	PublicIPs []string `key:"public_ips" help:"addresses to announce behind NAT"`
	ICELite   bool     `key:"ice_lite" help:"answer connectivity checks and make none; for a relay with a public address"`
	// ICEServers are announced to publishers and viewers; the relay itself does not use them.
	ICEServers []ICEServer `key:"ice_servers"`
}

// ICEServer is a STUN or TURN server.
type ICEServer struct {
	URL        string `key:"url"`
	Username   string `key:"username"`
	Credential string `key:"credential" secret:"true"`
	// Secret is shared with the TURN server and replaces Credential. Each client then receives its own
	// username and credential, which expire after Lifetime. The username contains Username if that is set.
	Secret   string        `key:"secret" secret:"true"`
	Lifetime time.Duration `key:"lifetime"`
}

// defaultICEServer returns the defaults of an ICE server.
func defaultICEServer() ICEServer { return ICEServer{Lifetime: 24 * time.Hour} }

// Log is the configuration of the log.
type Log struct {
	Level  string `key:"level" help:"debug, info, warn or error"`
	Format string `key:"format" help:"text or json"`
}

// Limits are the limits on the resources that clients can use.
type Limits struct {
	Connections      int           `key:"connections" help:"connections at a time, publishers and viewers together"`
	PerAddress       int           `key:"per_address" help:"connections at a time from one address; 0: no limit"`
	Memory           AutoSize      `key:"memory" help:"bytes of media that all streams hold together; auto: 70 % of what the machine or the container has"`
	HandshakeTimeout time.Duration `key:"handshake_timeout" help:"time for everything before publish or play"`
	Joins            int           `key:"joins" help:"viewers who may join per second; more wait, and then are rejected; 0: no limit"`
	Streams          int           `key:"streams" help:"streams at a time"`
	Transcodes       int           `key:"transcodes" help:"renditions made at a time, by ffmpeg child processes; 0: none"`
	ChildMemory      Size          `key:"child_memory" help:"address space of one ffmpeg child process, on Linux; 0: no limit"`
	Bridges          int           `key:"bridges" help:"streams at a time whose audio ffmpeg child processes transcode to another codec"`
}

// Metrics configures the metrics, and so limits the cost of a scrape.
type Metrics struct {
	Streams int `key:"streams" help:"streams at a time that have metrics of their own; the others are summed as stream=other"`
}

// Breaker configures the circuit breakers. A circuit breaker limits the dials of all routes to one host
// while the host fails and when it recovers.
type Breaker struct {
	Fall  int           `key:"fall" help:"failed dials to a host, one after another, after which its routes take turns"`
	Rise  int           `key:"rise" help:"successful dials to a host after which its routes dial freely again"`
	Dials int           `key:"dials" help:"dials to one host at a time"`
	Every time.Duration `key:"every" help:"time between two dials to a host that fails, over all routes"`
}

// Drain configures the shutdown of the process.
type Drain struct {
	Timeout time.Duration `key:"timeout" help:"time to end what runs at SIGTERM"`
}

// State configures what survives a restart.
type State struct {
	File string `key:"file" kind:"file" help:"file for what survives a restart; empty: nothing does"`
	// Grace is how long after a restart viewers wait for streams that were live before it.
	Grace time.Duration `key:"grace" help:"how long viewers of streams that were live before a restart are kept waiting for them; 0: not at all"`
}

// Resume configures how viewers resume a session after a disconnect.
type Resume struct {
	Key string `key:"key" help:"32 bytes in base64, the same on all nodes that share viewers" secret:"true"`
}

// Stream is the configuration of a stream.
type Stream struct {
	Silence       AutoDuration  `key:"silence" help:"no media for this long on an open socket is a break; auto: by the publisher's rhythm"`
	Heartbeat     AutoDuration  `key:"heartbeat" help:"time between pings to publishers and viewers; auto: 2 to 30 s, by round trip, loss and jitter"`
	FirstMedia    time.Duration `key:"first_media" help:"how long a publisher may take before its first packet"`
	Hold          time.Duration `key:"hold" help:"how long viewers and buffer are kept after a break"`
	HoldUnpublish time.Duration `key:"hold_unpublish" help:"the same after a clean unpublish"`
	Takeover      string        `key:"takeover" help:"what a second push may do: auto, always or never"`
	BackupReturn  time.Duration `key:"backup_return" help:"how long the primary must be healthy before it gets the stream back"`
	// KeyframeInterval is how often a WHIP publisher is asked for a keyframe.
	KeyframeInterval time.Duration `key:"keyframe_interval" help:"how often a WHIP publisher is asked for a keyframe, at the least; 0: only on demand"`
	SlowPublisher    bool          `key:"slow_publisher" help:"may an RTMP publisher be slowed by reading slowly"`
	Filler           string        `key:"filler" help:"while held: freeze, none, or a FLV file to play"`
	Buffer           Buffer        `key:"buffer"`
	Viewer           Viewer        `key:"viewer"`
	PublishKeys      []string      `key:"publish_keys" help:"any of these lets publish; empty: open to everyone" secret:"true"`
	PublishKeysFile  string        `key:"publish_keys_file" kind:"file" help:"file that holds publish_keys, one a line"`
	PlaySecret       string        `key:"play_secret" help:"HMAC secret of play tokens; empty: open to everyone" secret:"true"`
	PlaySecretFile   string        `key:"play_secret_file" kind:"file" help:"file that holds play_secret"`
	PlayWait         time.Duration `key:"play_wait" help:"how long a play of a stream that is not live is kept waiting"`
	HLS              HLS           `key:"hls"`
	Transcode        []Rendition   `key:"transcode"`
}

// IsSlate reports whether the value of Stream.Filler names a file to play (a slate), that is, ends in .flv.
func IsSlate(filler string) bool { return strings.HasSuffix(filler, ".flv") }

// Buffer limits the size of a stream's buffer.
type Buffer struct {
	Duration time.Duration `key:"duration" help:"media time kept"`
	Bytes    Size          `key:"bytes" help:"bytes of media kept"`
}

// Viewer configures how a stream is sent to viewers.
type Viewer struct {
	Gather       AutoDuration  `key:"gather" help:"how long writes are collected; auto: 0 to 40ms by load"`
	Lag          time.Duration `key:"lag" help:"past it a viewer skips to the newest keyframe"`
	WriteTimeout time.Duration `key:"write_timeout" help:"a viewer that takes nothing for this long is dropped"`
}

// HLS configures a stream's HLS output.
type HLS struct {
	Segment time.Duration `key:"segment" help:"length of a segment"`
	Part    time.Duration `key:"part" help:"length of a part"`
	Window  int           `key:"window" help:"segments in the playlist"`
	Start   string        `key:"start" help:"on-request or always"`
}

// Rendition configures a lower rendition of a stream, which a child process transcodes.
type Rendition struct {
	Name   string `key:"name"`
	Height int    `key:"height"`
	Video  string `key:"video"` // bitrate, such as 600k
}

// Bits returns the video bitrate in bits per second.
func (r Rendition) Bits() int {
	n, _ := parseSize(r.Video) // was validated; k and M are thousands and millions
	return int(n)
}

// Match is the configuration of the streams that a pattern matches.
type Match struct {
	Match string `key:"match"`
	Stream
}

// Group is a group of routes. Each stream uses one of them at a time.
type Group struct {
	Match    string   `key:"match"`
	Name     string   `key:"name"`
	OnDemand bool     `key:"on_demand"`
	Routes   []Route  `key:"routes"`
	Redial   Redial   `key:"redial"`
	Failover Failover `key:"failover"`
	Replay   string   `key:"replay"`
	// Redirects is "host" if an HTTP response may redirect a pull only within the same host, or "any".
	Redirects string   `key:"redirects"`
	Ladder    []string `key:"ladder"`
}

// Route is one destination or source of a stream.
type Route struct {
	Name string `key:"name"`
	URL  string `key:"url"`
}

// Redial configures the redialing of a route.
type Redial struct {
	Base   time.Duration `key:"base"`
	Factor float64       `key:"factor"`
	Max    time.Duration `key:"max"`
	Jitter float64       `key:"jitter"`
	GiveUp int           `key:"give_up"`
}

// Failover configures when a group switches to another route and back.
type Failover struct {
	After time.Duration `key:"after"`
	Rise  time.Duration `key:"rise"`
	Probe time.Duration `key:"probe"`
}

// Default returns the default configuration.
func Default() Config {
	return Config{
		RTMP:    Listener{Listen: ":1935"},
		HTTP:    HTTP{Listen: ":8080"},
		Admin:   Admin{Listen: "127.0.0.1:8081"},
		WebRTC:  WebRTC{UDPListen: ":8189"},
		Log:     Log{Level: "info", Format: "text"},
		Limits:  Limits{Connections: 20000, PerAddress: 2000, Memory: AutoBytes, HandshakeTimeout: 5 * time.Second, Joins: 500, Streams: 2000, Transcodes: 4, ChildMemory: 2 << 30, Bridges: 100},
		Metrics: Metrics{Streams: 1000},
		Breaker: Breaker{Fall: 5, Rise: 2, Dials: 4, Every: 5 * time.Second},
		Drain:   Drain{Timeout: 10 * time.Second},
		State:   State{Grace: 30 * time.Second},
		Defaults: Stream{
			Silence: Auto, Heartbeat: Auto, FirstMedia: 10 * time.Second, Hold: 30 * time.Second, HoldUnpublish: 5 * time.Second,
			Takeover: "auto", BackupReturn: 10 * time.Second, Filler: "freeze", KeyframeInterval: 2 * time.Second,
			Buffer: Buffer{Duration: 20 * time.Second, Bytes: 64 << 20},
			Viewer: Viewer{Gather: Auto, Lag: 5 * time.Second, WriteTimeout: 10 * time.Second},
			HLS:    HLS{Segment: 2 * time.Second, Part: 200 * time.Millisecond, Window: 7, Start: "on-request"},
		},
	}
}

// defaultGroup returns the defaults of a route group.
func defaultGroup() Group {
	return Group{
		Redial:    Redial{Base: 500 * time.Millisecond, Factor: 2, Max: 30 * time.Second, Jitter: 0.5},
		Failover:  Failover{After: 2 * time.Second, Rise: 30 * time.Second, Probe: 5 * time.Second},
		Replay:    "edge",
		Redirects: "host",
		Ladder:    []string{"full", "rendition", "drop-disposable", "trim", "keyframes", "audio"},
	}
}

// Stream returns the configuration of the stream {app}/{name}: that of the first entry of streams whose
// pattern matches, otherwise the defaults. A rendition {name}~{rendition} has the configuration of the
// stream that it is made from.
func (c *Config) Stream(name string) *Stream {
	parent, _, _ := strings.Cut(name, "~")
	for i := range c.Streams {
		if ok, err := path.Match(c.Streams[i].Match, parent); err == nil && ok {
			return &c.Streams[i].Stream
		}
	}
	return &c.Defaults
}
