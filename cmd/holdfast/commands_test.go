package main

import (
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"
)

func TestCheck(t *testing.T) {
	stdout, stderr, code := run(t, nil, "check", "--config", file(t, `
rtmp: {listen: nonsense}
http: {lisen: ":8080"}
defaults:
  hold: 30
  filler: black
streams:
  - match: live
    takeover: sometimes
`))
	if code != 1 || stdout != "" {
		t.Errorf("exit %d, stdout %q", code, stdout)
	}
	for _, want := range []string{
		`rtmp.listen: "nonsense" is not a listen address; write host:port`,
		`http.lisen: there is no such key; did you mean http.listen?`,
		`defaults.hold: "30" is not a duration; write a duration like 10s`,
		`defaults.filler: "black" is not possible; write freeze, none, or the name of a file that ends in .flv`,
		`streams[0].match: "live" is not a pattern of streams; write "live/*"`,
		`streams[0].takeover: "sometimes" is not possible; write auto, always or never`,
	} {
		if !strings.Contains(stderr, want) {
			t.Errorf("%q is missing in:\n%s", want, stderr)
		}
	}
}

func TestCheckRight(t *testing.T) {
	stdout, stderr, code := run(t, []string{"HOLDFAST_RTMP_LISTN=:1"}, "check", "--config", file(t, "defaults: {backup_return: 11s}\n"))
	if code != 0 || stderr != "" {
		t.Errorf("exit %d, stderr %q", code, stderr)
	}
	for _, want := range []string{
		"note: the environment variable HOLDFAST_RTMP_LISTN is unknown and ignored; did you mean HOLDFAST_RTMP_LISTEN?",
		"configuration valid",
	} {
		if !strings.Contains(stdout, want) {
			t.Errorf("%q is missing in:\n%s", want, stdout)
		}
	}
}

func TestCheckWarns(t *testing.T) {
	stdout, stderr, code := run(t, nil, "check", "--config", file(t, `
defaults: {play_secret: hush}
streams:
  - match: "live/*"
  - match: "live/cam"
`))
	if code != 0 || stderr != "" || strings.Contains(stdout, "hush") {
		t.Errorf("exit %d, stderr %q, stdout %q", code, stderr, stdout)
	}
	for _, want := range []string{
		"warning: defaults.play_secret: 4 characters are too few; use 32 or more", "make one with: openssl rand -base64 33",
		`warning: streams[1].match: "live/cam" never counts, because streams[0] ("live/*") matches all of it before`, "configuration valid",
	} {
		if !strings.Contains(stdout, want) {
			t.Errorf("%q is missing in:\n%s", want, stdout)
		}
	}
}

// Each fault is preceded by its line, and all are reported at once.
func TestCheckPlaces(t *testing.T) {
	path := file(t, "defaults:\n  hold: 48h\nstreams:\n  - match: 'a/*'\n  - match: 'b/*'\n  - match: 'c/*'\n    hls:\n      part: 1h\n")
	_, stderr, code := run(t, nil, "check", "--config", path)
	want := "holdfast: configuration invalid:\n" +
		"  " + path + ":2: defaults.hold: 48h0m0s is out of range; write 0s to 24h0m0s\n" +
		"  " + path + ":8: streams[2].hls.part: 1h0m0s is out of range; write 50ms to 2s\n"
	if code != 1 || stderr != want {
		t.Errorf("exit %d, got\n%swant\n%s", code, stderr, want)
	}
	path = file(t, "rtmp:\n\tlisten: ':1'\n")
	if _, stderr, code := run(t, nil, "check", "--config", path); code != 1 || !strings.Contains(stderr, path+":2: indented with a tab; YAML indents with spaces\n") {
		t.Errorf("exit %d: got %s", code, stderr)
	}
	path = file(t, "defaults:\n  play_secret: hush\n")
	if stdout, _, code := run(t, nil, "check", "--config", path); code != 0 || !strings.Contains(stdout, "read "+path+"\n") || !strings.Contains(stdout, path+":2: warning: defaults.play_secret: ") {
		t.Errorf("exit %d: got %s", code, stdout)
	}
}

// A configuration in the working directory is found; a named one has precedence.
func TestFindsConfiguration(t *testing.T) {
	dir := t.TempDir()
	named := file(t, "drain: {timeout: 7s}\n")
	here := func(args ...string) (stdout, stderr string, code int) {
		t.Helper()
		return runIn(t, dir, nil, args...)
	}
	if stdout, _, code := here("check"); code != 0 || !strings.Contains(stdout, "no configuration file (./holdfast.yaml, /etc/holdfast/holdfast.yaml)") {
		t.Errorf("without a file: exit %d: %s", code, stdout)
	}
	if err := os.WriteFile(filepath.Join(dir, "holdfast.yaml"), []byte("drain: {timeout: never}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, stderr, code := here("check"); code != 1 || !strings.Contains(stderr, `./holdfast.yaml:1: drain.timeout: "never" is not a duration`) {
		t.Errorf("with a file here: exit %d: %s", code, stderr)
	}
	for _, how := range [][]string{{"check", "--config", named}, {"check", "--config="}} {
		if stdout, stderr, code := here(how...); code != 0 {
			t.Errorf("%q: exit %d: %s%s", how, code, stdout, stderr)
		}
	}
	if stdout, stderr, code := runIn(t, dir, []string{"HOLDFAST_CONFIG=" + named}, "check"); code != 0 || !strings.Contains(stdout, "read "+named) {
		t.Errorf("by the environment: exit %d: %s%s", code, stdout, stderr)
	}
}

func TestCheckWithoutFile(t *testing.T) {
	if _, stderr, code := run(t, nil, "check", "--config", "/nowhere/holdfast.yaml"); code != 1 || !strings.Contains(stderr, "there is no file /nowhere/holdfast.yaml") {
		t.Errorf("exit %d: got %s", code, stderr)
	}
}

func TestVersion(t *testing.T) {
	for _, how := range []string{"version", "--version", "-v"} {
		stdout, _, code := run(t, nil, how)
		if code != 0 || !regexp.MustCompile(`^holdfast \S+, commit \S+, go1\S* \w+/\w+\n$`).MatchString(stdout) {
			t.Errorf("%s: exit %d: %q", how, code, stdout)
		}
	}
}

func TestUnknownFlag(t *testing.T) {
	for _, args := range [][]string{{"--rtmp.lisen", ":1"}, {"serve", "--rtmp.lisen=:1"}, {"check", "--rtmp.lisen", ":1"}, {"demo", "--rtmp.lisen", ":1"}} {
		_, stderr, code := run(t, nil, args...)
		if code != 1 || !strings.Contains(stderr, "unknown flag: --rtmp.lisen; did you mean --rtmp.listen?") {
			t.Errorf("%v: exit %d: %s", args, code, stderr)
		}
	}
}

// A similar name is suggested, and no other.
func TestUnknown(t *testing.T) {
	for _, tt := range []struct {
		args []string
		want string
	}{
		{[]string{"serv"}, `unknown command "serv"; did you mean serve?`},
		{[]string{"Check"}, `unknown command "Check"; did you mean check?`},
		{[]string{"frobnicate"}, `unknown command "frobnicate"; holdfast --help lists those there are`},
		{[]string{"check", "x.yaml"}, `holdfast check takes no argument, but was given "x.yaml"`},
		{[]string{"health", "--admin.tokn", "x"}, "unknown flag: --admin.tokn; did you mean --admin.token?"},
		{[]string{"health", "--rtmp.listen", "x"}, "unknown flag: --rtmp.listen; holdfast health --help lists those there are"},
		{[]string{"--nonsense.key", "x"}, "unknown flag: --nonsense.key; holdfast --help lists those there are"},
		{[]string{"--defaults.holdd", "1s"}, "unknown flag: --defaults.holdd; did you mean --defaults.hold?"},
	} {
		if _, stderr, code := run(t, nil, tt.args...); code != 1 || stderr != "holdfast: "+tt.want+"\n" {
			t.Errorf("%q: exit %d: %q, want %q", tt.args, code, stderr, tt.want)
		}
	}
}

// The help shows the type of a flag's value, and no secret of the environment.
func TestHelp(t *testing.T) {
	stdout, _, _ := run(t, []string{"HOLDFAST_ADMIN_TOKEN=hush"}, "serve", "--help")
	for _, want := range []string{
		"--rtmp.listen address ", "--defaults.hold duration ", "--defaults.silence auto|duration ", "--limits.streams number ",
		"--defaults.buffer.bytes size ", "--http.trusted_proxies list ", "--http.cert file ", "--config file ",
	} {
		if !strings.Contains(stdout, want) {
			t.Errorf("%q is missing in:\n%s", want, stdout)
		}
	}
	for _, command := range []string{"serve", "health", "slate", "token"} {
		if stdout, _, code := run(t, []string{"HOLDFAST_ADMIN_TOKEN=hush", "HOLDFAST_DEFAULTS_PLAY_SECRET=hush"}, command, "--help"); code != 0 || strings.Contains(stdout, "hush") {
			t.Errorf("%s: exit %d:\n%s", command, code, stdout)
		}
	}
}

func TestCompletionAndManual(t *testing.T) {
	for _, shell := range []string{"bash", "zsh", "fish"} {
		if stdout, _, code := run(t, nil, "completion", shell); code != 0 || !strings.Contains(stdout, "__complete") {
			t.Errorf("%s: exit %d", shell, code)
		}
	}
	dir := filepath.Join(t.TempDir(), "man1")
	if _, stderr, code := run(t, nil, "man", dir); code != 0 {
		t.Fatalf("exit %d: got %s", code, stderr)
	}
	for _, page := range []string{"holdfast.1", "holdfast-serve.1", "holdfast-check.1", "holdfast-token.1"} {
		if b, err := os.ReadFile(filepath.Join(dir, page)); err != nil || !strings.HasPrefix(string(b), ".nh\n.TH \"HOLDFAST\" \"1\"") {
			t.Errorf("%s: got %v\n%.200s", page, err, b)
		}
	}
}

func TestHealth(t *testing.T) {
	var ready atomic.Bool
	var shown atomic.Value // the last request's token
	ready.Store(true)
	admin := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/readyz" {
			t.Error(r.URL.Path)
		}
		if r.URL.Path == "/readyz" {
			shown.Store(r.Header.Get("Authorization"))
		}
		if !ready.Load() {
			w.WriteHeader(http.StatusServiceUnavailable)
			_, _ = w.Write([]byte(`{"error": "the relay is starting or shutting down"}`))
		}
	}))
	defer admin.Close()
	addr := strings.TrimPrefix(admin.URL, "http://")
	for _, how := range [][]string{{"--admin", admin.URL}, {"--admin", addr}} {
		if stdout, stderr, code := run(t, nil, append([]string{"health"}, how...)...); code != 0 || stdout != "ready\n" {
			t.Errorf("%v: exit %d: %s", how, code, stderr)
		}
	}
	if stdout, _, code := run(t, []string{"HOLDFAST_ADMIN_LISTEN=" + addr}, "health"); code != 0 || stdout != "ready\n" {
		t.Errorf("by the environment: exit %d", code)
	}
	config := file(t, "admin: {listen: '"+addr+"', token: from-the-file}\n")
	for _, tt := range []struct {
		args []string
		env  string
		want string
	}{
		{[]string{"--config", config}, "", "Bearer from-the-file"},
		{[]string{"--config", config, "--admin.token", "from-the-flag"}, "HOLDFAST_ADMIN_TOKEN=from-the-environment", "Bearer from-the-flag"},
		{[]string{"--config", config}, "HOLDFAST_ADMIN_TOKEN=from-the-environment", "Bearer from-the-environment"},
		{[]string{"--config", config, "--admin", admin.URL}, "", ""}, // which may be another relay
		{[]string{"--admin", admin.URL, "--admin.token=x"}, "", "Bearer x"},
		{[]string{"--admin.listen", addr}, "", ""},
		{[]string{"--config", file(t, "admin: {listen: nonsense}\n"), "--admin.listen", addr}, "", ""},
	} {
		stdout, stderr, code := run(t, []string{tt.env}, append([]string{"health"}, tt.args...)...)
		if code != 0 || stdout != "ready\n" || shown.Load() != tt.want {
			t.Errorf("%q %s: exit %d: %s; the token was %q, want %q", tt.args, tt.env, code, stderr, shown.Load(), tt.want)
		}
	}
	secret := file(t, "from-its-own-file\n")
	for _, tt := range []struct {
		args []string
		env  string
	}{
		{[]string{"--admin.token_file", secret}, ""},
		{nil, "HOLDFAST_ADMIN_TOKEN_FILE=" + secret},
		{[]string{"--admin.token_file", secret}, "HOLDFAST_ADMIN_TOKEN=from-the-environment"},
	} {
		_, stderr, code := run(t, []string{tt.env}, append([]string{"health", "--admin", admin.URL}, tt.args...)...)
		if code != 0 || shown.Load() != "Bearer from-its-own-file" {
			t.Errorf("%q %s: exit %d: %s; the token was %q", tt.args, tt.env, code, stderr, shown.Load())
		}
	}
	if _, stderr, code := run(t, nil, "health", "--admin", admin.URL, "--admin.token_file", "/nowhere/token"); code != 1 || !strings.Contains(stderr, "admin.token_file: open /nowhere/token: ") {
		t.Errorf("with a token file that is not there: exit %d: %s", code, stderr)
	}
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "holdfast.yaml"), []byte("drain: {timeout: never}\nhttp: {listen: x}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, stderr, code := runIn(t, dir, []string{"HOLDFAST_ADMIN_LISTEN=" + addr}, "health")
	if code != 0 || !strings.Contains(stderr, `note: ./holdfast.yaml is not used: ./holdfast.yaml:1: drain.timeout: "never" is not a duration`) ||
		!strings.Contains(stderr, "and 1 more: holdfast check lists them") || !strings.Contains(stderr, "asking http://"+addr+"; give another address with --admin") {
		t.Errorf("with faults in the file that was found: exit %d: %s", code, stderr)
	}
	if _, stderr, code := run(t, nil, "health", "--config", "/nowhere/holdfast.yaml"); code != 1 || !strings.Contains(stderr, "/nowhere/holdfast.yaml") {
		t.Errorf("without its file: exit %d: %s", code, stderr)
	}
	ready.Store(false)
	if _, stderr, code := run(t, nil, "health", "--admin", admin.URL); code != 1 || !strings.Contains(stderr, "not ready: 503 Service Unavailable the relay is starting or shutting down") {
		t.Errorf("exit %d: got %s", code, stderr)
	}
	if _, stderr, code := run(t, nil, "health", "--admin", "http://"+unused(t)); code != 1 || !strings.Contains(stderr, "no relay answers at http://127.0.0.1:") || !strings.Contains(stderr, "--admin") {
		t.Errorf("exit %d: got %s", code, stderr)
	}
}

// unused returns an address on which nothing listens.
func unused(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}
