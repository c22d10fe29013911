package configs

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestFaults(t *testing.T) {
	tests := []struct {
		name, file string
		want       []string // complete faults, in any order
	}{
		{"unknown keys", "rtmp: {lisen: x}\nhold: 3s\nstreams: [{match: '*/*', Hold: 3s}]\nnonsense: 1\n", []string{
			"rtmp.lisen: there is no such key; did you mean rtmp.listen?",
			"hold: there is no such key; did you mean defaults.hold?",
			"streams[0].Hold: there is no such key; did you mean streams[0].hold?",
			"nonsense: there is no such key",
		}},
		{"a key with a dot", "rtmp.listen: ':1'\n", []string{"rtmp.listen: there is no such key; write it in groups: rtmp: {listen: …}"}},
		{"wrong values", `
limits: {connections: 1.5, per_address: true, streams: many, handshake_timeout: 5}
defaults: {slow_publisher: yes, hold: -5s, silence: never, buffer: {bytes: NaN, duration: 20}, viewer: {gather: -1ns}}
`, []string{
			`limits.connections: "1.5" is not a whole number; write one like 100`,
			`limits.per_address: "true" is not a whole number; write one like 100`,
			`limits.streams: "many" is not a whole number; write one like 100`,
			`limits.handshake_timeout: "5" is not a duration; write a duration like 10s, 500ms or 1m`,
			`defaults.slow_publisher: "yes" is not a switch; write true or false`,
			`defaults.hold: "-5s" is not a duration; write a duration like 10s, 500ms or 1m`,
			`defaults.silence: "never" is not auto or a duration; write auto, or a duration like 2s or 500ms`,
			`defaults.buffer.bytes: "NaN" is not a size; write one like 64MiB`,
			`defaults.buffer.duration: "20" is not a duration; write a duration like 10s, 500ms or 1m`,
			`defaults.viewer.gather: "-1ns" is not auto or a duration; write auto, or a duration like 2s or 500ms`,
		}},
		{"wrong shapes", "rtmp: ':1935'\nhttp: {listen: {port: 1}, trusted_proxies: [[a]]}\nstreams: {match: x}\npush: [7, null]\nlog: {level: [info]}\ndefaults: {hold: , publish_keys: {a: b}}\n", []string{
			"rtmp: it has to be a group of keys, not a value",
			"http.listen: it has to be a value, not a group of keys",
			"http.trusted_proxies: an entry is a list; write [a, b], or a, b",
			"streams: it has to be a list, not a group of keys; begin each entry with a dash",
			"push[0]: it has to be a group of keys, not a value; remove the entry, or write its keys",
			"push[1]: it has to be a group of keys, not nothing; remove the entry, or write its keys",
			"log.level: it has to be a value, not a list",
			"defaults.hold: it has no value; write one, or remove the key",
			"defaults.publish_keys: it has to be a list, not a group of keys; write [a, b], or a, b",
		}},
		{"out of range", "drain: {timeout: 2h}\nstate: {grace: 20m}\nlimits: {streams: 0}\nlog: {level: loud, format: xml}\ndefaults: {silence: 1ms, buffer: {bytes: 1k}, publish_keys: ['']}\nresume: {key: abc}\n", []string{
			"drain.timeout: 2h0m0s is out of range; write 0s to 1h0m0s",
			"state.grace: 20m0s is out of range; write 0s to 10m0s",
			"limits.streams: 0 is out of range; write 1 to 1000000",
			`log.level: "loud" is not possible; write debug, info, warn or error`,
			`log.format: "xml" is not possible; write text or json`,
			"defaults.silence: 1ms is out of range; write 200ms to 24h0m0s",
			"defaults.buffer.bytes: 1000 does not hold a GOP; write 1MiB or more",
			"defaults.publish_keys[0]: an empty key lets everyone in; leave it out, or write a key",
			"resume.key: it is not 32 bytes in base64; make one with: openssl rand -base64 32",
		}},
		{"ICE servers", "webrtc: {ice_servers: [{url: 'stun:ok.example'}, {url: 'http://no.example'}, {url: 'turn:t.example:3478?transport=udp'}, {url: 'stun:s.example', username: u}]}\ndefaults: {keyframe_interval: 1ms}\n", []string{
			`webrtc.ice_servers[1].url: "http://no.example" is not the URL of an ICE server; write stun:host:port, or turn:host:port?transport=udp`,
			`webrtc.ice_servers[2].username: a TURN server asks for a name and a credential; set username and credential`,
			`webrtc.ice_servers[3].username: a STUN server asks for nothing; remove username and credential`,
			`defaults.keyframe_interval: 1ms is out of range; write 500ms to 1m0s`,
		}},
		{"addresses", "rtmp: {listen: '1935'}\nrtmps: {listen: ':1936'}\nadmin: {listen: ':8081'}\nhttp: {trusted_proxies: [proxy]}\nwebrtc: {public_ips: [here]}\n", []string{
			`rtmp.listen: "1935" is not a listen address; write host:port or :port; port 0 takes a free one`,
			"rtmps.listen: RTMPS needs a certificate; set rtmps.cert and rtmps.key",
			"admin.listen: :8081 is not on loopback and has no token; set admin.token, or listen on 127.0.0.1",
			`http.trusted_proxies[0]: "proxy" is neither an address nor a network; write 192.0.2.1 or 192.0.2.0/24`,
			`webrtc.public_ips[0]: "here" is not an address; write 192.0.2.1`,
		}},
		{"certificates", "http: {cert: /nowhere/cert.pem}\n", []string{
			"http.cert: open /nowhere/cert.pem: no such file or directory; name a file that can be read",
			"http.cert: certificate and key go together; set both http.cert and http.key",
		}},
		{"routes", `
push:
  - {match: live, name: a, ladder: [half], replay: all, redial: {factor: 0.5}}
  - {match: "*/*", name: a, routes: [{name: x, url: "ftp://h/{name}"}, {name: x, url: "rtmp://h/{stream}"}, {url: "rtmp://h/{app}/{name}"}]}
`, []string{
			`push[0].match: "live" is not a pattern of streams; write "live/*"; all streams: "*/*"`,
			`push[0].routes: there is none; add - {name: a, url: "rtmp://a.example/live/{name}"}`,
			"push[0].redial.factor: 0.5 is out of range; write 1 to 100",
			`push[0].replay: "all" is not possible; write edge or missed`,
			`push[0].ladder[0]: "half" is no rung; write one of full, rendition, drop-disposable, trim, keyframes, audio, or rendition:NAME`,
			`push[1].name: "a" does not tell this group from the others; give every group, of push and pull, a name of its own`,
			"push[1].routes[0].url: it is not a URL of a stream; write rtmp://host/app/{name}",
			`push[1].routes[1].name: "x" does not tell this route from the others; give every route a name of its own`,
			"push[1].routes[1].url: only {app} and {name} are filled in; write rtmp://host/app/{name}",
			`push[1].routes[2].name: "" cannot name a route, for metrics, logs and API; write 1 to 64 of A-Z a-z 0-9 . _ -`,
		}},
		{"directions", `
push:
  - {match: "live/*", name: out, on_demand: true, routes: [{name: a, url: "http://h/{name}.flv"}]}
  - {match: "live/*", name: few, routes: [{name: a, url: "rtmp://h/{name}"}, {name: b, url: "rtmp://me:secret@h/live/{name}"}]}
pull:
  - {match: "live/*", name: out, routes: [{name: a, url: "https://h/{name}.flv"}]}
  - {match: "live/one", name: "in/1", ladder: ["audio:x"], routes: [{name: a, url: "rtmps://h/live/{name}"}]}
`, []string{
			"push[0].on_demand: a push goes on while its stream is live; remove it, or write it for a pull",
			"push[0].routes[0].url: nothing can be pushed over http; write rtmp:// or rtmps://",
			"push[1].routes[0].url: it names no stream of an application; write rtmp://host/app/{name}",
			"push[1].routes[1].url: user and password are not supported; put a key into the query",
			`pull[0].match: nothing tells which streams "live/*" has; name one stream, app/name, or set on_demand: true and have viewers name it`,
			`pull[0].name: "out" does not tell this group from the others; give every group, of push and pull, a name of its own`,
			`pull[1].name: "in/1" cannot name a group; write 1 to 64 of A-Z a-z 0-9 . _ -`,
			`pull[1].ladder[0]: "audio:x" is no rung; write one of full, rendition, drop-disposable, trim, keyframes, audio, or rendition:NAME`,
		}},
		{"renditions", "defaults: {transcode: [{name: 'a/b', height: 1, video: fast}]}\n", []string{
			`defaults.transcode[0].name: "a/b" cannot name a rendition; write 1 to 64 of A-Z a-z 0-9 . _ -`,
			"defaults.transcode[0].height: 1 is out of range; write 16 to 8192",
			`defaults.transcode[0].video: "fast" is not a bitrate; write it like 600k`,
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, _, err := Load(write(t, tt.file), flags(t))
			var faults Faults
			if !errors.As(err, &faults) {
				t.Fatal(err)
			}
			got := strings.Split(err.Error(), "\n")
			for _, want := range tt.want {
				if i := slices.Index(got, want); i >= 0 {
					got = slices.Delete(got, i, i+1)
				} else {
					t.Errorf("missing: got %s", want)
				}
			}
			for _, more := range got {
				t.Errorf("unexpected: got %s", more)
			}
		})
	}
}

func TestBadFiles(t *testing.T) {
	bomb := "a: &a [x, x, x, x, x, x, x, x, x, x]\n"
	for c := 'b'; c < 'k'; c++ {
		p := string(c - 1)
		bomb += string(c) + ": &" + string(c) + " [" + strings.TrimSuffix(strings.Repeat("*"+p+", ", 10), ", ") + "]\n"
	}
	for name, tt := range map[string][2]string{
		"no YAML":        {"rtmp: [", ":1: did not find"},
		"a list":         {"- a\n", "does not begin with a group of keys"},
		"a word":         {"rtmp", "does not begin with a group of keys"},
		"twice":          {"rtmp: {}\nrtmp: {}\n", `:2: "rtmp" stands there twice`},
		"two documents":  {"rtmp: {}\n---\nhttp: {}\n", "more than one document"},
		"a key of lists": {"? [a]\n: b\n", "a key has to be a word"},
		"a bomb":         {bomb, "too large or too deep"},
		"deep":           {strings.Repeat("{a: ", 50) + strings.Repeat("}", 50), "too large or too deep"},
		"itself":         {"a: &a [*a]\n", ""},
		"large":          {"#" + strings.Repeat("x", maxFile), "more than 1048576 bytes"},
		"merging text":   {"rtmp: {<<: a}\n", "only groups of keys can be merged"},
	} {
		_, _, err := Load(write(t, tt[0]), nil)
		var faults Faults
		if !errors.As(err, &faults) || len(faults) != 1 || !strings.Contains(faults.Placed(), tt[1]) {
			t.Errorf("%s: got %v", name, err)
		}
	}
	if _, _, err := Load(t.TempDir(), nil); err == nil {
		t.Error("a folder was read")
	}
}

// TestFaultsByOrigin checks that a fault names the origin of a value, and contains no secret.
func TestFaultsByOrigin(t *testing.T) {
	t.Setenv("HOLDFAST_DEFAULTS_HOLD", "long")
	t.Setenv("HOLDFAST_RESUME_KEY", "hush")
	_, _, err := Load(write(t, "defaults: {publish_keys: [hush, {hush: hush}], play_secret: [hush]}\n"), flags(t, "--limits.streams=few"))
	for _, want := range []string{
		`defaults.hold: "long" is not a duration (from HOLDFAST_DEFAULTS_HOLD); write`,
		`limits.streams: "few" is not a whole number (from --limits.streams); write`,
		"defaults.publish_keys: an entry is a group of keys",
	} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("missing %q in:\n%v", want, err)
		}
	}
	if err != nil && strings.Contains(err.Error(), "hush") {
		t.Errorf("a secret shows:\n%v", err)
	}
}

// TestICESecrets configures servers with a shared secret in place of a credential.
func TestICESecrets(t *testing.T) {
	cfg, _, err := Load(write(t, `webrtc: {ice_servers: [{url: "turn:h", secret: north, username: cam, lifetime: 1h}, {url: "turns:h", secret: s}]}`), nil)
	if err != nil {
		t.Fatal(err)
	}
	if got := cfg.WebRTC.ICEServers; got[0].Secret != "north" || got[0].Lifetime != time.Hour || got[1].Lifetime != 24*time.Hour {
		t.Errorf("got %+v", got)
	}
	for text, want := range map[string]string{
		`{url: "turn:h", secret: s, credential: c, username: u}`: "ice_servers[0].secret: ",
		`{url: "stun:h", secret: s}`:                             "ice_servers[0].secret: a STUN server",
		`{url: "turn:h", secret: s, lifetime: 5s}`:               "ice_servers[0].lifetime: 5s is out of range",
	} {
		if _, _, err := Load(write(t, "webrtc: {ice_servers: ["+text+"]}"), nil); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %q", text, err, want)
		}
	}
}
