package link

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/holdfast-live/holdfast/packetbuf"
	"github.com/holdfast-live/holdfast/packetbuf/flv"
	"github.com/holdfast-live/holdfast/qos"
	"github.com/holdfast-live/holdfast/testmedia"
	"github.com/holdfast-live/holdfast/testmedia/faultnet"
)

// flvServer serves the clip at /live/cam.flv to those with the token, and its errors elsewhere.
func flvServer(t *testing.T) *http.ServeMux {
	t.Helper()
	m := http.NewServeMux()
	m.HandleFunc("/live/cam.flv", func(w http.ResponseWriter, r *http.Request) {
		if r.FormValue("token") != "hush" || r.UserAgent() != "Holdfast" {
			http.Error(w, "who are you?", http.StatusForbidden)
			return
		}
		_, _ = w.Write(testmedia.ClipFLV())
	})
	m.HandleFunc("/cut.flv", func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write(testmedia.ClipFLV()[:100_000])
		panic(http.ErrAbortHandler)
	})
	m.HandleFunc("/page", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("<html>hello</html>")) })
	m.HandleFunc("/empty.flv", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(flv.Header(true, true)) })
	m.HandleFunc("/busy", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusServiceUnavailable) })
	m.HandleFunc("/get", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNotImplemented) })
	m.HandleFunc("/early", func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(http.StatusEarlyHints)
		http.Redirect(w, r, "/live/cam.flv?token=hush", http.StatusTemporaryRedirect)
	})
	m.HandleFunc("/loop/", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Location", r.URL.Path+"x?token=hush")
		w.WriteHeader(http.StatusFound)
	})
	m.HandleFunc("/away", func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "ftp://far/live/cam?token=hush", http.StatusFound)
	})
	m.HandleFunc("/nowhere", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusFound) })
	m.HandleFunc("/long", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Long", strings.Repeat("x", 2*maxHead))
	})
	return m
}

func TestPullHTTP(t *testing.T) {
	plain, secure := httptest.NewServer(flvServer(t)), httptest.NewTLSServer(flvServer(t))
	defer plain.Close()
	defer secure.Close()
	pool := x509.NewCertPool()
	pool.AddCert(secure.Certificate())
	for _, url := range []string{plain.URL, secure.URL} {
		for _, path := range []string{"/live/cam.flv?token=hush", "/early"} {
			f, err := Pull(t.Context(), Options{URL: url + path, TLS: &tls.Config{RootCAs: pool}}) //nolint:gosec // the test's own
			if err != nil {
				t.Fatal(err)
			}
			if err := drain(t, f, testmedia.Clip()); !errors.Is(err, ErrUnpublished) || strings.Contains(err.Error(), "hush") {
				t.Errorf("%s: %v", path, err)
			}
			if got := f.Progress(); got.Received < uint64(len(testmedia.ClipFLV())) || f.Timing()[qos.PhaseConnect] == 0 {
				t.Errorf("%+v, %v", got, f.Timing())
			}
			_ = f.Close()
		}
	}
	f, err := Pull(t.Context(), Options{URL: plain.URL + "/cut.flv"})
	if err != nil {
		t.Fatal(err)
	}
	for err == nil {
		_, err = f.Read()
	}
	if EndingOf(err) != EndedEOF {
		t.Error("cut off:", err)
	}
}

func TestPullHTTPRefused(t *testing.T) {
	s := httptest.NewServer(flvServer(t))
	defer s.Close()
	tests := []struct {
		path    string
		phase   qos.Phase
		outcome qos.Outcome
		says    string
	}{
		{"/live/cam.flv?token=push", qos.PhaseConnect, qos.DialDenied, "rejected: HTTP 403: Forbidden"},
		{"/nothing.flv?token=push", qos.PhaseConnect, qos.DialRejected, "rejected: HTTP 404: Not Found"},
		{"/busy", qos.PhaseConnect, qos.DialRejected, "HTTP 503"},
		{"/page", qos.PhaseMedia, qos.DialFailed, "malformed FLV"},
		{"/empty.flv", qos.PhaseMedia, qos.DialRejected, "no media"},
		{"/loop/", qos.PhaseConnect, qos.DialFailed, "more than 3 redirects"},
		{"/away", qos.PhaseConnect, qos.DialFailed, "another scheme"},
		{"/nowhere", qos.PhaseConnect, qos.DialFailed, "redirected to nowhere"},
		{"/long", qos.PhaseConnect, qos.DialFailed, "a header of more than"},
	}
	for _, tt := range tests {
		_, err := Pull(t.Context(), Options{URL: s.URL + tt.path})
		var at *PhaseError
		if !errors.As(err, &at) || at.Phase != tt.phase || Classify(err) != tt.outcome || !strings.Contains(err.Error(), tt.says) {
			t.Errorf("%s: %v (%s)", tt.path, err, Classify(err))
		}
		if s := fmt.Sprint(err); strings.Contains(s, "hush") || strings.Contains(s, "push") || len(s) > 4*maxShown {
			t.Error(s)
		}
	}
}

// A redirect may lead to another path of its host. To another host it leads only where that is
// allowed, and from abroad never to this machine.
func TestRedirects(t *testing.T) {
	s := httptest.NewServer(flvServer(t))
	defer s.Close()
	var to string
	from := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, to, http.StatusFound) }))
	defer from.Close()
	_, port, _ := net.SplitHostPort(s.Listener.Addr().String())
	abroad := func(context.Context, string) ([]netip.Addr, error) {
		return []netip.Addr{netip.MustParseAddr("192.0.2.1")}, nil
	}
	dial := func(ctx context.Context, network, addr string) (net.Conn, error) {
		if strings.HasPrefix(addr, "192.0.2.1:") {
			near, far := net.Pipe() // whose address is no IP
			c, err := new(net.Dialer).DialContext(ctx, network, from.Listener.Addr().String())
			if err != nil {
				return nil, err
			}
			go func() {
				_, _ = io.Copy(c, far)
				_ = c.Close()
			}()
			go func() { _, _ = io.Copy(far, c) }()
			return near, nil
		}
		return new(net.Dialer).DialContext(ctx, network, addr)
	}
	for _, tt := range []struct {
		name, url, to string
		any           bool
		says          string // empty: it is followed
	}{
		{"to another port of its host", from.URL, s.URL, false, ""},
		{"to another host", from.URL, "http://localhost:" + port, false, "redirected to another host"},
		{"to another host, allowed", from.URL, "http://localhost:" + port, true, ""},
		{"from abroad to this machine", "http://origin.example:80", "http://127.0.0.1:" + port, true, "this machine"},
		{"from abroad to its link", "http://origin.example:80", "http://169.254.169.254", true, "this machine or its own link"},
		{"from abroad to this machine in other words", "http://origin.example:80", "http://[::ffff:127.0.0.1]:" + port, true, "this machine"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			to = tt.to + "/live/cam.flv?token=hush"
			o := Options{URL: tt.url + "/x", Redirects: tt.any, Dialer: dial}
			if strings.Contains(tt.url, "example") {
				o.Resolve = abroad
			}
			f, err := Pull(t.Context(), o)
			if err == nil {
				_ = f.Close()
			}
			if got := fmt.Sprint(err); tt.says == "" && err != nil || !strings.Contains(got, tt.says) || strings.Contains(got, "hush") {
				t.Errorf("got %v, want %q", err, tt.says)
			}
		})
	}
}

// TestHTTPInTheRaw meets servers that say what none should.
func TestHTTPInTheRaw(t *testing.T) {
	const ok = "HTTP/1.1 200 OK\r\n\r\n"
	secret := "GET /live/cam.flv?token=hush HTTP/1.1"
	tests := []struct {
		name       string
		says       string
		disconnect bool
		phase      qos.Phase
		ending     Ending
		after      time.Duration
	}{
		{"nothing", "", false, qos.PhaseConnect, EndedTimeout, 5 * time.Second},
		{"nothing, and leaves", "", true, qos.PhaseConnect, EndedEOF, 0},
		{"half a header", ok[:12], false, qos.PhaseConnect, EndedTimeout, 5 * time.Second},
		{"our words", secret + "\r\n\r\n", false, qos.PhaseConnect, EndedProtocol, 0},
		{"interim answers without end", strings.Repeat("HTTP/1.1 102 Processing\r\n\r\n", 10_000), false, qos.PhaseConnect, EndedProtocol, 0},
		{"no media", ok, false, qos.PhaseMedia, EndedTimeout, 10 * time.Second},
		{"no media, and leaves", ok + string(flv.Header(true, true)), true, qos.PhaseMedia, EndedEOF, 0},
		{"a long tag", ok + string(flv.Header(true, true)) + "\x09\xff\xff\xff\x00\x00\x00\x00\x00\x00\x00", false, qos.PhaseMedia, EndedProtocol, 0},
		{"no codec of ours", ok + string(flv.Header(true, true)) + "\x09\x00\x00\x02\x00\x00\x00\x00\x00\x00\x00\x12\x00\x00\x00\x00\x0d", false, qos.PhaseMedia, EndedProtocol, 0},
	}
	for _, tt := range tests {
		synctest.Test(t, func(t *testing.T) {
			n := faultnet.NewNetwork(nil)
			l, err := n.Listen("far:80")
			if err != nil {
				t.Fatal(err)
			}
			ended := make(chan struct{})
			go func() {
				defer close(ended)
				defer l.Close()
				conn, err := l.Accept()
				if err != nil {
					return
				}
				defer conn.Close()
				_, _ = conn.Read(make([]byte, 4<<10))
				_, err = conn.Write([]byte(tt.says))
				for buf := make([]byte, 4<<10); err == nil && !tt.disconnect; {
					_, err = conn.Read(buf)
				}
			}()
			begun := time.Now()
			_, err = Pull(t.Context(), Options{URL: "http://far/live/cam.flv?token=hush", Dialer: n.DialContext})
			var at *PhaseError
			if !errors.As(err, &at) || at.Phase != tt.phase || EndingOf(err) != tt.ending || time.Since(begun) != tt.after {
				t.Errorf("%s: %v (%s) after %v", tt.name, err, EndingOf(err), time.Since(begun))
			}
			if strings.Contains(fmt.Sprint(err), "hush") {
				t.Error(err)
			}
			<-ended
		})
	}
}

func TestProbe(t *testing.T) {
	s := httptest.NewServer(flvServer(t))
	defer s.Close()
	for path, want := range map[string]qos.Outcome{
		"/live/cam.flv?token=hush": qos.DialOK, "/live/cam.flv": qos.DialOK, "/nothing": qos.DialOK, "/busy": qos.DialRejected,
		"/get": qos.DialOK,
	} {
		timing, err := Probe(t.Context(), Options{URL: s.URL + path})
		if a := Attempt(time.Now(), true, timing, err); a.Outcome != want || a.Took[qos.PhaseConnect] == 0 {
			t.Errorf("%s: %+v", path, a)
		}
	}
	synctest.Test(t, func(t *testing.T) {
		n := faultnet.NewNetwork(func(int) faultnet.Options {
			return faultnet.Options{Up: faultnet.Shape{Delay: 20 * time.Millisecond}}
		})
		a := relay(t, n)
		timing, err := Probe(t.Context(), Options{URL: "rtmp://far/live/cam", Dialer: n.DialContext})
		if err != nil {
			t.Fatal(err)
		}
		want := []qos.Phase{qos.PhaseConnect, qos.PhaseHandshake, qos.PhaseTCP}
		if got := slices.Sorted(maps.Keys(timing)); !slices.Equal(got, want) || timing[qos.PhaseConnect] < 20*time.Millisecond {
			t.Error(timing)
		}
		if a.request.App != "" {
			t.Error("it published")
		}
	})
	synctest.Test(t, func(t *testing.T) {
		n := faultnet.NewNetwork(nil)
		ended := script(t, n, [][]byte{s0s1s2})
		_, err := Probe(t.Context(), Options{URL: "rtmp://far/live/cam", Dialer: n.DialContext})
		if a := Attempt(time.Now(), true, nil, err); a.Phase != qos.PhaseConnect || a.Outcome != qos.DialTimeout || !strings.HasPrefix(a.Detail, "probe of rtmp://far/live: ") {
			t.Errorf("%+v", a)
		}
		<-ended
	})
}

// TestWrongURL asks for what there is not.
func TestWrongURL(t *testing.T) {
	for _, url := range []string{"", "ftp://far/live/hush", "rtmp://far/hush"} {
		_, push := Dial(t.Context(), Options{URL: url})
		_, pull := Pull(t.Context(), Options{URL: url})
		_, probe := Probe(t.Context(), Options{URL: url})
		for _, err := range []error{push, pull, probe} {
			if Classify(err) != qos.DialDenied || strings.Contains(fmt.Sprint(err), "hush") {
				t.Errorf("%q: %v", url, err)
			}
		}
	}
	if _, err := Dial(t.Context(), Options{URL: "http://far/live/cam.flv"}); !errors.Is(err, ErrURL) {
		t.Error(err)
	}
}

// TestPullTLS pulls RTMP over TLS.
func TestPullTLS(t *testing.T) {
	certified := httptest.NewTLSServer(nil)
	defer certified.Close()
	pool := x509.NewCertPool()
	pool.AddCert(certified.Certificate())
	media, packets := clip(t, 20)
	l, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: certified.TLS.Certificates}) //nolint:gosec // the test's own
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan struct{})
	go func() {
		defer close(served)
		defer l.Close()
		conn, err := l.Accept()
		if err != nil {
			return
		}
		defer conn.Close()
		buf := make([]byte, 64<<10)
		for _, piece := range [][]byte{s0s1s2, connected(), slices.Concat(created(1), playing(), media)} {
			if _, err := conn.Read(buf); err != nil {
				return
			}
			_, _ = conn.Write(piece)
		}
		for err == nil {
			_, err = conn.Read(buf)
		}
	}()
	_, port, _ := net.SplitHostPort(l.Addr().String())
	f, err := Pull(t.Context(), Options{URL: "rtmps://127.0.0.1:" + port + "/live/cam", TLS: &tls.Config{RootCAs: pool}}) //nolint:gosec // the test's own
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range packets {
		if p, err := f.Read(); err != nil || !same(p, want) {
			t.Fatalf("packet %d: %+v, %v", i, p, err)
		}
	}
	if f.Timing()[qos.PhaseTLS] == 0 || packets[0].Track != packetbuf.Data {
		t.Error(f.Timing())
	}
	_ = f.Close()
	<-served
}
