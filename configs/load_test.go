package configs

import (
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/spf13/pflag"
)

// write creates a configuration file.
func write(t testing.TB, text string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "holdfast.yaml")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// flags returns the flags of a command with args.
func flags(t testing.TB, args ...string) *pflag.FlagSet {
	t.Helper()
	fs := pflag.NewFlagSet("test", pflag.ContinueOnError)
	RegisterFlags(fs)
	if err := fs.Parse(args); err != nil {
		t.Fatal(err)
	}
	return fs
}

// load loads a configuration without faults.
func load(t testing.TB, text string, args ...string) (*Config, []string) {
	t.Helper()
	cfg, notices, err := Load(write(t, text), flags(t, args...))
	if err != nil {
		t.Fatal(err)
	}
	return cfg, notices
}

func TestDefaults(t *testing.T) {
	want := Default()
	for name, source := range map[string]func() (*Config, []string, error){
		"nothing":       func() (*Config, []string, error) { return Load("", nil) },
		"flags not set": func() (*Config, []string, error) { return Load("", flags(t)) },
		"an empty file": func() (*Config, []string, error) { return Load(write(t, ""), flags(t)) },
		"comments":      func() (*Config, []string, error) { return Load(write(t, "# nothing\n---\n"), nil) },
		"empty groups": func() (*Config, []string, error) {
			return Load(write(t, "rtmp:\ndefaults: {}\nstreams:\npush: []\n"), nil)
		},
	} {
		cfg, notices, err := source()
		if err != nil || len(notices) > 0 {
			t.Errorf("%s: got %v, %q", name, err, notices)
			continue
		}
		if !reflect.DeepEqual(*cfg, want) {
			t.Errorf("%s: got %+v", name, cfg)
		}
	}
}

func TestPrecedence(t *testing.T) {
	const file = "rtmp: {listen: ':1'}\nhttp: {listen: ':2'}\nlimits: {per_address: 3}\n"
	t.Setenv("HOLDFAST_RTMP_LISTEN", ":10")
	t.Setenv("HOLDFAST_HTTP_LISTEN", ":20")
	t.Setenv("HOLDFAST_LOG_LEVEL", "") // counts as not set
	t.Setenv("HOLDFAST_DEFAULTS_PUBLISH_KEYS", "a, b")
	cfg, _ := load(t, file, "--rtmp.listen=:100", "--webrtc.udp_listen=")
	for key, got := range map[string][2]any{
		"rtmp.listen, flag":        {cfg.RTMP.Listen, ":100"},
		"http.listen, environment": {cfg.HTTP.Listen, ":20"},
		"per_address, file":        {cfg.Limits.PerAddress, 3},
		"connections, default":     {cfg.Limits.Connections, 20000},
		"log.level, empty":         {cfg.Log.Level, "info"},
		"udp_listen, off by flag":  {cfg.WebRTC.UDPListen, ""},
	} {
		if got[0] != got[1] {
			t.Errorf("%s: got %v, want %v", key, got[0], got[1])
		}
	}
	if !slices.Equal(cfg.Defaults.PublishKeys, []string{"a", "b"}) {
		t.Error(cfg.Defaults.PublishKeys)
	}
}

// TestEveryKey sets each key by flag, by environment and in a file, to its default.
func TestEveryKey(t *testing.T) {
	want := Default()
	for _, k := range keys() {
		text := k.text()
		if cfg, _, err := Load("", flags(t, "--"+k.name+"="+text)); err != nil || !reflect.DeepEqual(*cfg, want) {
			t.Errorf("--%s=%s: %v", k.name, text, err)
		}
		if k.help == "" {
			t.Errorf("%s has no help", k.name)
		}
		group := strings.Split(k.name, ".")
		yaml := strings.Join(group, ": {") + ": '" + text + "'" + strings.Repeat("}", len(group)-1)
		if cfg, _, err := Load(write(t, yaml), nil); err != nil || !reflect.DeepEqual(*cfg, want) {
			t.Errorf("%s: got %v", yaml, err)
		}
		t.Run(k.env(), func(t *testing.T) {
			t.Setenv(k.env(), text)
			if cfg, notices, err := Load("", nil); err != nil || len(notices) > 0 || !reflect.DeepEqual(*cfg, want) {
				t.Errorf("%s=%s: %v, %q", k.env(), text, err, notices)
			}
		})
	}
}

func TestOwnDefaultsOfACommand(t *testing.T) {
	fs := flags(t)
	fs.Lookup("log.level").DefValue = "warn"
	if cfg, _, err := Load("", fs); err != nil || cfg.Log.Level != "warn" {
		t.Error(cfg.Log.Level, err)
	}
	if cfg, _, err := Load(write(t, "log: {level: debug}"), fs); err != nil || cfg.Log.Level != "debug" {
		t.Error(cfg.Log.Level, err)
	}
}

func TestStreamsInheritDefaults(t *testing.T) {
	cfg, _ := load(t, `
defaults:
  hold: 40s
  publish_keys: [a, b]
  buffer: {duration: 30s, bytes: 32MiB}
  transcode: [{name: 360p, height: 360, video: 600k}, {name: 180p, height: 180, video: 200k}]
streams:
  - match: "live/closed"
    publish_keys: [c]
    buffer: {bytes: 8MiB}
    transcode: [{name: 90p, height: 90, video: 100k}]
  - match: "live/open"
    publish_keys: []
    hold: 1m
  - match: "*/*"
`, "--defaults.takeover=never")
	closed := cfg.Stream("live/closed")
	if !slices.Equal(closed.PublishKeys, []string{"c"}) || closed.Buffer.Bytes != 8<<20 || closed.Buffer.Duration != 30*time.Second ||
		closed.Hold != 40*time.Second || closed.Takeover != "never" || len(closed.Transcode) != 1 {
		t.Errorf("got %+v", closed)
	}
	if open := cfg.Stream("live/open"); len(open.PublishKeys) != 0 || open.Hold != time.Minute || len(open.Transcode) != 2 {
		t.Errorf("got %+v", open)
	}
	if other := cfg.Stream("app/other"); !reflect.DeepEqual(*other, cfg.Defaults) {
		t.Errorf("got %+v", other)
	}
	if rendition := cfg.Stream("live/closed~360p"); rendition != closed {
		t.Error("a rendition has not its parent's settings")
	}
	if !slices.Equal(cfg.Defaults.PublishKeys, []string{"a", "b"}) {
		t.Error("the defaults changed:", cfg.Defaults.PublishKeys)
	}
}

func TestGroupsOfRoutes(t *testing.T) {
	cfg, notices := load(t, `
push:
  - match: "live/*"
    name: cdn
    routes: [{name: a, url: "rtmp://a.example/live/{name}?key=x"}]
    redial: {max: 1m}
    ladder: [full, "rendition:360p"]
pull:
  - {match: "cam/*", name: origin, on_demand: true, routes: [{name: a, url: "rtmp://a.example/live/{name}"}]}
`)
	want := defaultGroup()
	want.Match, want.Name, want.Redial.Max = "live/*", "cdn", time.Minute
	want.Routes = []Route{{Name: "a", URL: "rtmp://a.example/live/{name}?key=x"}}
	want.Ladder = []string{"full", "rendition:360p"}
	if !reflect.DeepEqual(cfg.Push, []Group{want}) || !cfg.Pull[0].OnDemand {
		t.Errorf("got %+v", cfg.Push)
	}
	if len(notices) != 0 {
		t.Errorf("got %q", notices)
	}
}

// TestValues checks the meaning of written values.
func TestValues(t *testing.T) {
	cfg, _ := load(t, `
defaults: &base
  silence: 1500ms
  hold: 0
  publish_keys: [0123, 1e5, "true", no, 0x10]
  buffer: {bytes: 1.5 GB}
  viewer: {gather: 0}
  slow_publisher: true
admin: {token: 007}
streams:
  - match: "a/*"
    hold: 5s
    <<: *base
`)
	d := cfg.Defaults
	if d.Silence != AutoDuration(1500*time.Millisecond) || d.Hold != 0 || d.Buffer.Bytes != 1_500_000_000 || d.Viewer.Gather != 0 || !d.SlowPublisher {
		t.Errorf("got %+v", d)
	}
	if !slices.Equal(d.PublishKeys, []string{"0123", "1e5", "true", "no", "0x10"}) || cfg.Admin.Token != "007" {
		t.Error("secrets are not what was written:", d.PublishKeys, cfg.Admin.Token)
	}
	if s := cfg.Stream("a/b"); s.Hold != 5*time.Second || !s.SlowPublisher {
		t.Errorf("got %+v", s)
	}
}

func TestSizes(t *testing.T) {
	for text, want := range map[string]Size{
		"0": 0, "1": 1, "64MiB": 64 << 20, "64 MiB": 64 << 20, "64MB": 64e6, "500k": 500e3, "1GB": 1e9, "2GiB": 2 << 30, "1.5KiB": 1536, "7B": 7, "3M": 3e6,
	} {
		if got, ok := parseSize(text); !ok || got != want {
			t.Errorf("%q: got %d, %v", text, got, ok)
		}
	}
	for _, text := range []string{"", "MiB", "-1", "1e3", "0x10", "NaN", "Inf", "1TB", "64 iB", "1_000", "99999999999999999GB", "1..5"} {
		if got, ok := parseSize(text); ok {
			t.Errorf("%q: got %d", text, got)
		}
	}
	for _, s := range []Size{0, 1, 1023, 1 << 10, 1<<20 + 1, 64 << 20, 3 << 30} {
		if got, ok := parseSize(s.String()); !ok || got != s {
			t.Errorf("%d is written %s", s, s)
		}
	}
}

func TestNotices(t *testing.T) {
	t.Setenv("HOLDFAST_RTMP_LISTN", ":1")
	t.Setenv("HOLDFAST_RESUME_KEY", "c2FtcGxlIGtleSwgc2FtcGxlIGtleSwgc2FtcGxlIGs=")
	t.Setenv("HOLDFAST_CONFIG", "x")
	_, notices := load(t, `
webrtc: {udp_listen: ":8189", public_ips: [192.0.2.1]}
defaults: {hls: {window: 9}}
streams:
  - {match: "a/*", hold: 3s}
  - {match: "b/*", backup_return: 10s}
`, "--defaults.backup_return", "11s")
	want := []string{
		"the environment variable HOLDFAST_RTMP_LISTN is unknown and ignored; did you mean HOLDFAST_RTMP_LISTEN?",
	}
	if !slices.Equal(notices, want) {
		t.Errorf("got %s", strings.Join(notices, "\n"))
	}
}

// FuzzLoad reads any file: it may be rejected, but must not crash the process or take long.
func FuzzLoad(f *testing.F) {
	reference, err := os.ReadFile("holdfast.yaml")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(reference)
	f.Add([]byte("streams: [{match: 'a/*', <<: &x {hold: 1s}}, {match: 'b/*', <<: *x}]\n"))
	f.Add([]byte("push: [{match: '*/*', name: a, routes: [{name: x, url: 'rtmp://h/{app}/{name}'}]}]\n"))
	f.Add([]byte("a: &a [*a]\n? {a: b}\n: !!binary x\n"))
	file := filepath.Join(f.TempDir(), "holdfast.yaml")
	f.Fuzz(func(t *testing.T, b []byte) {
		if err := os.WriteFile(file, b, 0o600); err != nil {
			t.Fatal(err)
		}
		cfg, _, err := Load(file, nil)
		var faults Faults
		if (cfg == nil) == (err == nil) || err != nil && !errors.As(err, &faults) {
			t.Errorf("got %v and %v", cfg, err)
		}
	})
}
