// Package configs is the configuration: what an operator may set, where it comes from and
// whether it is right. A Config is not changed once it was loaded; a reload makes another.
package configs

import (
	"path"
	"strings"
	"time"
)

// Config is the whole configuration. The mapstructure names are the keys.
type Config struct {
	RTMP   Listener    `mapstructure:"rtmp"`
	RTMPS  TLSListener `mapstructure:"rtmps"`
	HTTP   HTTP        `mapstructure:"http"`
	Admin  Admin       `mapstructure:"admin"`
	WebRTC WebRTC      `mapstructure:"webrtc"`
	Log    Log         `mapstructure:"log"`
	Limits Limits      `mapstructure:"limits"`
	Drain  Drain       `mapstructure:"drain"`
	State  State       `mapstructure:"state"`
	Resume Resume      `mapstructure:"resume"`

	Defaults Stream  `mapstructure:"defaults"`
	Streams  []Match `mapstructure:"streams"`
	Push     []Group `mapstructure:"push"`
	Pull     []Group `mapstructure:"pull"`
}

// Listener is a listen address; empty: off.
type Listener struct {
	Listen string `mapstructure:"listen" help:"address of RTMP publish and play"`
}

// TLSListener is a listen address with its certificate.
type TLSListener struct {
	Listen string `mapstructure:"listen" help:"address of RTMPS; empty: off"`
	Cert   string `mapstructure:"cert" help:"certificate file, PEM"`
	Key    string `mapstructure:"key" help:"key file, PEM"`
}

// HTTP is the viewers' address.
type HTTP struct {
	Listen         string   `mapstructure:"listen" help:"address of viewers over HTTP"`
	Cert           string   `mapstructure:"cert" help:"certificate file, PEM; with it HTTPS is served"`
	Key            string   `mapstructure:"key" help:"key file, PEM"`
	TrustedProxies []string `mapstructure:"trusted_proxies" help:"addresses or networks whose X-Forwarded-For and -Proto are believed"`
}

// Admin is the operators' address.
type Admin struct {
	Listen string `mapstructure:"listen" help:"address of API, metrics, health and pprof"`
	Token  string `mapstructure:"token" help:"Bearer token of the admin address; required off loopback" secret:"true"`
}

// WebRTC is where WebRTC media comes and goes.
type WebRTC struct {
	UDPListen string   `mapstructure:"udp_listen" help:"UDP address of all WebRTC media"`
	TCPListen string   `mapstructure:"tcp_listen" help:"TCP address of ICE-TCP; empty: off"`
	PublicIPs []string `mapstructure:"public_ips" help:"addresses to announce behind NAT"`
}

// Log is how the relay logs.
type Log struct {
	Level  string `mapstructure:"level" help:"debug, info, warn or error"`
	Format string `mapstructure:"format" help:"text or json"`
}

// Limits are what a stranger can take.
type Limits struct {
	Connections      int           `mapstructure:"connections" help:"connections at a time, publishers and viewers together"`
	PerAddress       int           `mapstructure:"per_address" help:"connections at a time from one address; 0: no limit"`
	HandshakeTimeout time.Duration `mapstructure:"handshake_timeout" help:"time for everything before publish or play"`
	Streams          int           `mapstructure:"streams" help:"streams at a time"`
}

// Drain is the end of the process.
type Drain struct {
	Timeout time.Duration `mapstructure:"timeout" help:"time to end what runs at SIGTERM"`
}

// State is what survives a restart.
type State struct {
	File string `mapstructure:"file" help:"file for what survives a restart; empty: nothing does"`
}

// Resume is about viewers that come back.
type Resume struct {
	Key string `mapstructure:"key" help:"32 bytes in base64, the same on all nodes that share viewers" secret:"true"`
}

// Stream is what can be set per stream.
type Stream struct {
	Silence       AutoDuration  `mapstructure:"silence" help:"no media for this long on an open socket is a break; auto: by the publisher's rhythm"`
	FirstMedia    time.Duration `mapstructure:"first_media" help:"how long a publisher may take before its first packet"`
	Hold          time.Duration `mapstructure:"hold" help:"how long viewers and buffer are kept after a break"`
	HoldUnpublish time.Duration `mapstructure:"hold_unpublish" help:"the same after a clean unpublish"`
	Takeover      string        `mapstructure:"takeover" help:"what a second push may do: auto, always or never"`
	BackupReturn  time.Duration `mapstructure:"backup_return" help:"how long the primary must be healthy before it gets the stream back"`
	SlowPublisher bool          `mapstructure:"slow_publisher" help:"may an RTMP publisher be slowed by reading slowly"`
	Filler        string        `mapstructure:"filler" help:"while held: freeze or none"`
	Buffer        Buffer        `mapstructure:"buffer"`
	Viewer        Viewer        `mapstructure:"viewer"`
	PublishKeys   []string      `mapstructure:"publish_keys" help:"any of these lets publish; empty: open to everyone" secret:"true"`
	PlaySecret    string        `mapstructure:"play_secret" help:"HMAC secret of play tokens; empty: open to everyone" secret:"true"`
	PlayWait      time.Duration `mapstructure:"play_wait" help:"how long a play of a stream that is not live is kept waiting"`
	HLS           HLS           `mapstructure:"hls"`
	Transcode     []Rendition   `mapstructure:"transcode"`
}

// Buffer bounds a stream's ring.
type Buffer struct {
	Duration time.Duration `mapstructure:"duration" help:"media time kept"`
	Bytes    Size          `mapstructure:"bytes" help:"bytes of media kept"`
}

// Viewer is how a stream's viewers are written to.
type Viewer struct {
	Gather       AutoDuration  `mapstructure:"gather" help:"how long writes are collected; auto: 0 to 40ms by load"`
	Lag          time.Duration `mapstructure:"lag" help:"past it a viewer skips to the newest keyframe"`
	WriteTimeout time.Duration `mapstructure:"write_timeout" help:"a viewer that takes nothing for this long is dropped"`
}

// HLS is how a stream is cut.
type HLS struct {
	Segment time.Duration `mapstructure:"segment" help:"length of a segment"`
	Part    time.Duration `mapstructure:"part" help:"length of a part"`
	Window  int           `mapstructure:"window" help:"segments in the playlist"`
	Start   string        `mapstructure:"start" help:"on-request or always"`
}

// Rendition is a lower version of a stream, made by a child process.
type Rendition struct {
	Name   string `mapstructure:"name"`
	Height int    `mapstructure:"height"`
	Video  string `mapstructure:"video"` // bitrate, such as 600k
}

// Match is what is set for the streams that a pattern matches.
type Match struct {
	Match  string `mapstructure:"match"`
	Stream `mapstructure:",squash"`
}

// Group is a group of routes, of which one is in use for each stream.
type Group struct {
	Match    string   `mapstructure:"match"`
	Name     string   `mapstructure:"name"`
	OnDemand bool     `mapstructure:"on_demand"`
	Routes   []Route  `mapstructure:"routes"`
	Redial   Redial   `mapstructure:"redial"`
	Failover Failover `mapstructure:"failover"`
	Replay   string   `mapstructure:"replay"`
	Ladder   []string `mapstructure:"ladder"`
}

// Route is one place where a stream goes to or comes from.
type Route struct {
	Name string `mapstructure:"name"`
	URL  string `mapstructure:"url"`
}

// Redial is how a route comes back.
type Redial struct {
	Base   time.Duration `mapstructure:"base"`
	Factor float64       `mapstructure:"factor"`
	Max    time.Duration `mapstructure:"max"`
	Jitter float64       `mapstructure:"jitter"`
	GiveUp int           `mapstructure:"give_up"`
}

// Failover is when a group goes to another route and back.
type Failover struct {
	After time.Duration `mapstructure:"after"`
	Rise  time.Duration `mapstructure:"rise"`
	Probe time.Duration `mapstructure:"probe"`
}

// Default is the configuration of a relay of which nothing was set.
func Default() Config {
	return Config{
		RTMP:   Listener{Listen: ":1935"},
		HTTP:   HTTP{Listen: ":8080"},
		Admin:  Admin{Listen: "127.0.0.1:8081"},
		WebRTC: WebRTC{UDPListen: ":8189"},
		Log:    Log{Level: "info", Format: "text"},
		Limits: Limits{Connections: 20000, HandshakeTimeout: 5 * time.Second, Streams: 2000},
		Drain:  Drain{Timeout: 10 * time.Second},
		Defaults: Stream{
			Silence: Auto, FirstMedia: 10 * time.Second, Hold: 30 * time.Second, HoldUnpublish: 5 * time.Second,
			Takeover: "auto", BackupReturn: 10 * time.Second, Filler: "freeze",
			Buffer: Buffer{Duration: 20 * time.Second, Bytes: 64 << 20},
			Viewer: Viewer{Gather: Auto, Lag: 5 * time.Second, WriteTimeout: 10 * time.Second},
			HLS:    HLS{Segment: 2 * time.Second, Part: 200 * time.Millisecond, Window: 7, Start: "on-request"},
		},
	}
}

// defaultGroup is what a route group leaves out.
func defaultGroup() Group {
	return Group{
		Redial:   Redial{Base: 500 * time.Millisecond, Factor: 2, Max: 30 * time.Second, Jitter: 0.5},
		Failover: Failover{After: 2 * time.Second, Rise: 30 * time.Second, Probe: 5 * time.Second},
		Replay:   "edge",
		Ladder:   []string{"full", "rendition", "drop-disposable", "trim", "keyframes", "audio"},
	}
}

// Stream returns what is set for a stream {app}/{name}: the first match, with what it leaves
// out from the defaults. A rendition {name}~{rendition} has its parent's.
func (c *Config) Stream(name string) *Stream {
	parent, _, _ := strings.Cut(name, "~")
	for i := range c.Streams {
		if ok, err := path.Match(c.Streams[i].Match, parent); err == nil && ok {
			return &c.Streams[i].Stream
		}
	}
	return &c.Defaults
}
