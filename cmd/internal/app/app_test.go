package app

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"go.uber.org/goleak"

	"github.com/holdfast-live/holdfast/configs"
	"github.com/holdfast-live/holdfast/relay/route/link"
	"github.com/holdfast-live/holdfast/testmedia/gen"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// logs collects log lines.
type logs struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logs) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logs) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func (l *logs) Reset() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.b.Reset()
}

// wire creates a relay on free ports of loopback, without starting it. change may modify its
// configuration.
func wire(t *testing.T, log io.Writer, change func(*configs.Config)) *App {
	t.Helper()
	cfg := configs.Default()
	cfg.RTMP.Listen, cfg.HTTP.Listen, cfg.Admin.Listen = "127.0.0.1:0", "127.0.0.1:0", "127.0.0.1:0"
	cfg.WebRTC.UDPListen = "127.0.0.1:0"
	change(&cfg)
	logger := slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	a, err := New(Options{Config: &cfg, Log: logger, Level: new(slog.LevelVar), Version: "test"})
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// run runs a relay until the test ends.
func run(t *testing.T, log io.Writer, change func(*configs.Config)) *App {
	t.Helper()
	a := wire(t, log, change)
	startApp(t, a)
	return a
}

// startApp starts a relay that runs until the test ends.
func startApp(t *testing.T, a *App) {
	t.Helper()
	if err := a.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		defer cancel()
		if err := a.Stop(ctx); err != nil {
			t.Error(err)
		}
	})
}

// once is a client that reuses no connection.
func once(t *testing.T) *http.Client {
	t.Helper()
	transport := &http.Transport{DisableKeepAlives: true}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport, Timeout: 20 * time.Second}
}

// get sends a request and returns the status and up to a kilobyte of the body or, if it ends,
// all of it.
func get(t *testing.T, url string, header ...string) (status int, body string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	for pair := range slices.Chunk(header, 2) {
		req.Header.Set(pair[0], pair[1])
	}
	resp, err := once(t).Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var r io.Reader = resp.Body
	if resp.Header.Get("Content-Type") == "video/x-flv" {
		r = io.LimitReader(r, 1<<10)
	}
	b, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(b)
}

func dialPush(t *testing.T, a *App, path string) (*link.Push, error) {
	t.Helper()
	return link.Dial(t.Context(), link.Options{URL: fmt.Sprintf("rtmp://%s/%s", a.Addr("rtmp"), path), Log: slog.New(slog.DiscardHandler)})
}

// A publisher with a key publishes and a viewer with a token plays. Everything else that the
// relay outputs contains no key, token or secret.
func TestSecrets(t *testing.T) {
	const key, wrong, secret, admin = "k3y-of-the-push", "wr0ng-key", "s3cret-of-the-plays-0123456789ab", "t0ken-of-the-admin"
	var log logs
	a := run(t, &log, func(c *configs.Config) {
		c.Defaults.PublishKeys, c.Defaults.PlaySecret, c.Admin.Token = []string{key}, secret, admin
	})
	base, flv := "http://"+a.Addr("admin").String(), "http://"+a.Addr("http").String()+"/live/cam.flv"
	token, err := jwt.NewWithClaims(jwt.SigningMethodHS256, jwt.MapClaims{"stm": "live/*", "exp": time.Now().Add(time.Hour).Unix()}).SignedString([]byte(secret))
	if err != nil {
		t.Fatal(err)
	}
	var told []string // everything that the relay outputs
	events := subscribe(t, base, admin)
	for _, path := range []string{"live/cam?key=" + wrong, "live?key=" + wrong + "/cam", "live/cam", "live/c%20m?key=" + key} {
		p, err := dialPush(t, a, path)
		if err == nil {
			_ = p.Close()
			t.Errorf("%s is let in", path)
			continue
		}
		told = append(told, err.Error())
	}
	p, err := dialPush(t, a, "live/cam?key="+key)
	if err != nil {
		t.Fatal(err)
	}
	for _, pkt := range gen.New(gen.Options{}).Until(3 * time.Second) {
		if err := p.Write(pkt); err != nil {
			t.Fatal(err)
		}
	}
	events.until(t, `"to":"live"`)
	for _, tt := range []struct {
		query, header string
		status        int
	}{
		{"", "", 401}, {"?token=" + token, "", 200}, {"", "Bearer " + token, 200}, {"?token=" + token[1:], "", 401}, {"", "Bearer " + secret, 401},
	} {
		status, body := get(t, flv+tt.query, "Authorization", tt.header)
		if status != tt.status {
			t.Errorf("%q %q: got %d", tt.query, tt.header, status)
		}
		told = append(told, body)
	}
	for _, path := range []string{"/", "/metrics", "/api/v1/streams", "/api/v1/streams/live/cam", "/debug/pprof/cmdline", "/debug/pprof/goroutine?debug=2"} {
		if status, _ := get(t, base+path, "Authorization", "Bearer "+admin+"x"); status != 401 {
			t.Errorf("%s with a wrong token: got %d", path, status)
		}
		status, body := get(t, base+path, "Authorization", "Bearer "+admin)
		if status != 200 {
			t.Errorf("%s: got %d", path, status)
		}
		told = append(told, body)
	}
	if err := p.Unpublish(); err != nil {
		t.Error(err)
	}
	told = append(told, events.until(t, "event: break"), log.String())
	for _, text := range told {
		for _, s := range []string{key, wrong, secret, admin, token, token[1:]} {
			if i := strings.Index(text, s); i >= 0 {
				t.Errorf("%q is told: …%s", s, text[max(0, i-200):min(len(text), i+100)])
			}
		}
	}
	if log := log.String(); !strings.Contains(log, "publish accepted") || !strings.Contains(log, "play refused") {
		t.Errorf("the log lacks what happened:\n%s", log)
	}
}

// stories is a subscription to the event API.
type stories struct {
	lines *bufio.Reader
	got   strings.Builder
}

func subscribe(t *testing.T, base, token string) *stories {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	t.Cleanup(cancel)
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, base+"/api/v1/events", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+token)
	resp, err := once(t).Do(req)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = resp.Body.Close() })
	return &stories{lines: bufio.NewReader(resp.Body)}
}

// until reads up to a line with a text, and returns everything so far.
func (s *stories) until(t *testing.T, text string) string {
	t.Helper()
	for {
		line, err := s.lines.ReadString('\n')
		s.got.WriteString(line)
		if err != nil {
			t.Fatalf("no %s: got %v in\n%s", text, err, s.got.String())
		}
		if strings.Contains(line, text) {
			return s.got.String()
		}
	}
}

// A client that announces a body and does not send it gets a response, and is disconnected.
func TestSlowBody(t *testing.T) {
	a := run(t, io.Discard, func(c *configs.Config) { c.Limits.HandshakeTimeout = 200 * time.Millisecond })
	for _, component := range []string{"http", "admin"} {
		c, err := net.Dial("tcp", a.Addr(component).String())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		_ = c.SetDeadline(time.Now().Add(20 * time.Second))
		fmt.Fprint(c, "POST /live/cam.flv HTTP/1.1\r\nHost: relay\r\nContent-Length: 1000\r\n\r\nx")
		answer, err := io.ReadAll(c)
		if err != nil || !bytes.HasPrefix(answer, []byte("HTTP/1.1 40")) {
			t.Errorf("%s: got %v, %q", component, err, answer)
		}
	}
}

// Viewers are limited per address. A viewer above the limit is told so, and does not make room
// for others.
func TestPerAddress(t *testing.T) {
	for _, secured := range []bool{false, true} {
		t.Run(fmt.Sprint("TLS ", secured), func(t *testing.T) {
			dir := t.TempDir()
			cert, key := filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
			certify(t, cert, key, "relay")
			var log logs
			a := wire(t, &log, func(c *configs.Config) {
				c.Limits.PerAddress = 2
				if secured {
					c.HTTP.Cert, c.HTTP.Key = cert, key
				}
			})
			a.slots.Share(a.settings.trusts) // loopback counts as one address here
			startApp(t, a)
			type answer struct {
				conn   net.Conn
				status int
				retry  string
				closes bool
			}
			ask := func() answer {
				c, err := net.Dial("tcp", a.Addr("http").String())
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() { _ = c.Close() })
				if secured {
					c = tls.Client(c, &tls.Config{InsecureSkipVerify: true}) //nolint:gosec // its own certificate
				}
				_ = c.SetDeadline(time.Now().Add(20 * time.Second))
				fmt.Fprint(c, "GET /live/cam.flv HTTP/1.1\r\nHost: relay\r\n\r\n")
				resp, err := http.ReadResponse(bufio.NewReader(c), nil)
				if err != nil {
					t.Fatal(err)
				}
				defer resp.Body.Close()
				return answer{c, resp.StatusCode, resp.Header.Get("Retry-After"), resp.Close}
			}
			one, two := ask(), ask()
			if one.status != http.StatusNotFound || two.status != http.StatusNotFound {
				t.Fatal(one, two)
			}
			for range 100 {
				more := ask()
				if more.status != http.StatusServiceUnavailable || more.retry != "10" || !more.closes {
					t.Fatalf("got %+v", more)
				}
				if _, err := more.conn.Read(make([]byte, 1)); errors.Is(err, os.ErrDeadlineExceeded) {
					t.Fatal(err)
				}
			}
			if got := log.String(); !strings.Contains(got, "limit of connections from one address (2) reached") || !strings.Contains(got, "limits.per_address; if it is a proxy, http.trusted_proxies") {
				t.Errorf("the log does not say which limit refuses:\n%s", got)
			}
			_ = one.conn.Close()
			for tries := 0; ; tries++ { // the relay has to notice
				if ask().status == http.StatusNotFound {
					break
				}
				if tries == 1000 {
					t.Fatal("a place that was left stays taken")
				}
			}
		})
	}
}
