package configs

import (
	"encoding/base64"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path"
	"regexp"
	"slices"
	"strings"
	"time"
)

// checker collects faults.
type checker struct{ faults Faults }

func (c *checker) fault(key, problem, right string) {
	c.faults = append(c.faults, Fault{Key: key, Problem: problem, Right: right})
}

func (c *checker) oneOf(key, got string, of ...string) {
	if !slices.Contains(of, got) {
		c.fault(key, fmt.Sprintf("%q is not possible", got), "write "+strings.Join(of[:len(of)-1], ", ")+" or "+of[len(of)-1])
	}
}

func (c *checker) within(key string, got, least, most time.Duration) {
	if got < least || got > most {
		c.fault(key, got.String()+" is out of range", fmt.Sprintf("write %v to %v", least, most))
	}
}

func (c *checker) number(key string, got, least, most int) {
	if got < least || got > most {
		c.fault(key, fmt.Sprintf("%d is out of range", got), fmt.Sprintf("write %d to %d", least, most))
	}
}

// address checks a listen address of the form host:port or :port. It may be empty.
func (c *checker) address(key, got string) {
	if got == "" {
		return
	}
	_, port, err := net.SplitHostPort(got)
	if err == nil {
		_, err = net.LookupPort("tcp", port)
	}
	if err != nil {
		c.fault(key, fmt.Sprintf("%q is not a listen address", got), "write host:port or :port; port 0 takes a free one")
	}
}

func (c *checker) file(key, got string) {
	if got == "" {
		return
	}
	if f, err := os.Open(got); err != nil { //nolint:gosec // the operator's own file
		c.fault(key, err.Error(), readable(err))
	} else {
		_ = f.Close()
	}
}

func (cfg *Config) validate() Faults {
	c := &checker{}
	c.address("rtmp.listen", cfg.RTMP.Listen)
	c.address("rtmps.listen", cfg.RTMPS.Listen)
	c.address("http.listen", cfg.HTTP.Listen)
	c.address("admin.listen", cfg.Admin.Listen)
	c.address("webrtc.udp_listen", cfg.WebRTC.UDPListen)
	c.address("webrtc.tcp_listen", cfg.WebRTC.TCPListen)
	cfg.validateTLS(c)
	cfg.validateAdmin(c)
	for i, p := range cfg.HTTP.TrustedProxies {
		if _, err := ParseNetwork(p); err != nil {
			c.fault(fmt.Sprintf("http.trusted_proxies[%d]", i), fmt.Sprintf("%q is neither an address nor a network", p), "write 192.0.2.1 or 192.0.2.0/24")
		}
	}
	for i, p := range cfg.WebRTC.PublicIPs {
		if _, err := netip.ParseAddr(p); err != nil {
			c.fault(fmt.Sprintf("webrtc.public_ips[%d]", i), fmt.Sprintf("%q is not an address", p), "write 192.0.2.1")
		}
	}
	for i, server := range cfg.WebRTC.ICEServers {
		server.validate(c, fmt.Sprintf("webrtc.ice_servers[%d].", i))
	}
	c.oneOf("log.level", cfg.Log.Level, "debug", "info", "warn", "error")
	c.oneOf("log.format", cfg.Log.Format, "text", "json")
	cfg.Limits.validate(c)
	c.number("metrics.streams", cfg.Metrics.Streams, 0, 100_000)
	c.number("breaker.fall", cfg.Breaker.Fall, 1, 1000)
	c.number("breaker.rise", cfg.Breaker.Rise, 1, 1000)
	c.number("breaker.dials", cfg.Breaker.Dials, 1, 1000)
	c.within("breaker.every", cfg.Breaker.Every, 10*time.Millisecond, time.Hour)
	c.within("drain.timeout", cfg.Drain.Timeout, 0, time.Hour)
	c.within("state.grace", cfg.State.Grace, 0, 10*time.Minute)
	if cfg.Resume.Key != "" {
		if b, err := base64.StdEncoding.DecodeString(cfg.Resume.Key); err != nil || len(b) != 32 {
			c.fault("resume.key", "it is not 32 bytes in base64", "make one with: openssl rand -base64 32")
		}
	}
	cfg.Defaults.validate(c, "defaults.")
	for i := range cfg.Streams {
		at := fmt.Sprintf("streams[%d].", i)
		c.pattern(at+"match", cfg.Streams[i].Match)
		cfg.Streams[i].validate(c, at)
	}
	names := map[string]bool{} // of push and pull, because metrics and the API identify groups by name alone
	validateGroups(c, "push", cfg.Push, names)
	validateGroups(c, "pull", cfg.Pull, names)
	for i := range cfg.Hooks {
		cfg.Hooks[i].validate(c, fmt.Sprintf("hooks[%d].", i))
	}
	return c.faults
}

func (cfg *Config) validateTLS(c *checker) {
	for _, l := range []struct{ at, listen, cert, key string }{
		{"rtmps", cfg.RTMPS.Listen, cfg.RTMPS.Cert, cfg.RTMPS.Key},
		{"http", cfg.HTTP.Listen, cfg.HTTP.Cert, cfg.HTTP.Key},
	} {
		c.file(l.at+".cert", l.cert)
		c.file(l.at+".key", l.key)
		if (l.cert == "") != (l.key == "") {
			c.fault(l.at+".cert", "certificate and key go together", "set both "+l.at+".cert and "+l.at+".key")
		}
		if l.at == "rtmps" && l.listen != "" && l.cert == "" {
			c.fault("rtmps.listen", "RTMPS needs a certificate", "set rtmps.cert and rtmps.key")
		}
	}
}

func (cfg *Config) validateAdmin(c *checker) {
	if cfg.Admin.Listen == "" || cfg.Admin.Token != "" {
		return
	}
	host, _, err := net.SplitHostPort(cfg.Admin.Listen)
	if err != nil {
		return // reported already
	}
	if ip, err := netip.ParseAddr(host); host != "localhost" && (err != nil || !ip.IsLoopback()) {
		c.fault("admin.listen", cfg.Admin.Listen+" is not on loopback and has no token", "set admin.token, or listen on 127.0.0.1")
	}
}

// ParseNetwork parses an address or a network in CIDR notation.
func ParseNetwork(s string) (netip.Prefix, error) {
	if a, err := netip.ParseAddr(s); err == nil {
		return netip.PrefixFrom(a.Unmap(), a.Unmap().BitLen()), nil
	}
	return netip.ParsePrefix(s)
}

func (c *checker) pattern(key, got string) {
	if _, err := path.Match(got, "app/name"); err != nil || strings.Count(got, "/") != 1 {
		c.fault(key, fmt.Sprintf("%q is not a pattern of streams", got), `write "live/*"; all streams: "*/*"`)
	}
}

// maxDuration is the upper limit of durations without a tighter one.
const maxDuration = 24 * time.Hour

func (s *Stream) validate(c *checker, at string) {
	if s.Silence != Auto {
		c.within(at+"silence", time.Duration(s.Silence), 200*time.Millisecond, maxDuration)
	}
	if s.Heartbeat != Auto {
		c.within(at+"heartbeat", time.Duration(s.Heartbeat), 500*time.Millisecond, time.Minute)
	}
	c.within(at+"first_media", s.FirstMedia, 100*time.Millisecond, maxDuration)
	c.within(at+"hold", s.Hold, 0, maxDuration)
	c.within(at+"hold_unpublish", s.HoldUnpublish, 0, maxDuration)
	c.oneOf(at+"takeover", s.Takeover, "auto", "always", "never")
	c.within(at+"backup_return", s.BackupReturn, 0, maxDuration)
	c.filler(at+"filler", s.Filler)
	if s.KeyframeInterval != 0 {
		c.within(at+"keyframe_interval", s.KeyframeInterval, 500*time.Millisecond, time.Minute)
	}
	c.within(at+"buffer.duration", s.Buffer.Duration, time.Second, maxDuration)
	if s.Buffer.Bytes < 1<<20 {
		c.fault(at+"buffer.bytes", s.Buffer.Bytes.String()+" does not hold a GOP", "write 1MiB or more")
	}
	if s.Viewer.Gather != Auto {
		c.within(at+"viewer.gather", time.Duration(s.Viewer.Gather), 0, time.Second)
	}
	c.within(at+"viewer.lag", s.Viewer.Lag, 500*time.Millisecond, maxDuration)
	c.within(at+"viewer.write_timeout", s.Viewer.WriteTimeout, 500*time.Millisecond, maxDuration)
	for i, k := range s.PublishKeys {
		if k == "" {
			c.fault(fmt.Sprintf("%spublish_keys[%d]", at, i), "an empty key lets everyone in", "leave it out, or write a key")
		}
	}
	c.within(at+"play_wait", s.PlayWait, 0, 5*time.Minute)
	s.HLS.validate(c, at+"hls.")
	for i, r := range s.Transcode {
		r.validate(c, fmt.Sprintf("%stranscode[%d].", at, i))
	}
}

// filler checks that got is "freeze", "none" or the name of a readable file.
func (c *checker) filler(key, got string) {
	if !IsSlate(got) {
		if got != "freeze" && got != "none" {
			c.fault(key, fmt.Sprintf("%q is not possible", got), "write freeze, none, or the name of a file that ends in .flv")
		}
		return
	}
	if f, err := os.Open(got); err != nil { //nolint:gosec // the operator names it
		c.fault(key, err.Error(), "write the name of a file that can be read; holdfast slate makes one")
	} else {
		_ = f.Close()
	}
}

func (h HLS) validate(c *checker, at string) {
	c.within(at+"segment", h.Segment, 500*time.Millisecond, time.Minute)
	c.within(at+"part", h.Part, 50*time.Millisecond, h.Segment)
	c.number(at+"window", h.Window, 3, 1000)
	c.oneOf(at+"start", h.Start, "on-request", "always")
}

var (
	namePart = regexp.MustCompile(`^[A-Za-z0-9._-]{1,64}$`)
	bitrate  = regexp.MustCompile(`^[1-9][0-9]*[kM]?$`)
)

func (r Rendition) validate(c *checker, at string) {
	if !namePart.MatchString(r.Name) {
		c.fault(at+"name", fmt.Sprintf("%q cannot name a rendition", r.Name), "write 1 to 64 of A-Z a-z 0-9 . _ -")
	}
	c.number(at+"height", r.Height, 16, 8192)
	if !bitrate.MatchString(r.Video) {
		c.fault(at+"video", fmt.Sprintf("%q is not a bitrate", r.Video), "write it like 600k")
	}
}

// iceURL matches the URL of a STUN or TURN server (RFC 7064, RFC 7065).
var iceURL = regexp.MustCompile(`^(stuns?|turns?):[^\s<>"/@?]+(\?transport=(udp|tcp))?$`)

func (s ICEServer) validate(c *checker, at string) {
	m := iceURL.FindStringSubmatch(s.URL)
	switch {
	case m == nil:
		c.fault(at+"url", fmt.Sprintf("%q is not the URL of an ICE server", s.URL), "write stun:host:port, or turn:host:port?transport=udp")
	case s.Secret != "" && s.Credential != "":
		c.fault(at+"secret", "credentials that are made of a secret and a fixed one exclude each other", "remove secret or credential")
	case strings.HasPrefix(m[1], "turn") && s.Secret == "" && (s.Username == "" || s.Credential == ""):
		c.fault(at+"username", "a TURN server asks for a name and a credential", "set username and credential")
	case strings.HasPrefix(m[1], "stun") && s.Username+s.Credential != "":
		c.fault(at+"username", "a STUN server asks for nothing", "remove username and credential")
	case strings.HasPrefix(m[1], "stun") && s.Secret != "":
		c.fault(at+"secret", "a STUN server asks for nothing", "remove secret")
	}
	c.within(at+"lifetime", s.Lifetime, time.Minute, 7*maxDuration)
	if strings.ContainsFunc(s.Username+s.Credential, func(r rune) bool { return r < ' ' || r > '~' }) {
		c.fault(at+"credential", "it holds characters that a header cannot", "use printable ASCII")
	}
}

func (l Limits) validate(c *checker) {
	c.number("limits.connections", l.Connections, 1, 10_000_000)
	c.number("limits.per_address", l.PerAddress, 0, 10_000_000)
	if m := l.Memory; m != AutoBytes && m < 16<<20 {
		c.fault("limits.memory", m.String()+" does not hold a stream", "write auto, or 16MiB or more")
	}
	c.number("limits.joins", l.Joins, 0, 1_000_000)
	c.number("limits.streams", l.Streams, 1, 1_000_000)
	c.number("limits.transcodes", l.Transcodes, 0, 10_000)
	if m := l.ChildMemory; m != 0 && m < 512<<20 {
		c.fault("limits.child_memory", m.String()+" is too little for ffmpeg", "write 512MiB or more, or 0 for no limit; 1080p needs 450MiB, 4K 700MiB")
	}
	c.number("limits.bridges", l.Bridges, 1, 10_000)
	c.within("limits.handshake_timeout", l.HandshakeTimeout, 100*time.Millisecond, 5*time.Minute)
}
