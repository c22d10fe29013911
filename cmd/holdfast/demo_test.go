package main

import (
	"bufio"
	"context"
	"io"
	"net/http"
	"os"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/spf13/pflag"

	"github.com/holdfast-live/holdfast/configs"
	"github.com/holdfast-live/holdfast/packetbuf"
	"github.com/holdfast-live/holdfast/packetbuf/flv"
)

// printer records the output of a demo, and signals new lines.
type printer struct {
	mu      sync.Mutex // guards text
	text    strings.Builder
	printed chan struct{} // of one
}

func (p *printer) Write(b []byte) (int, error) {
	p.mu.Lock()
	p.text.Write(b)
	p.mu.Unlock()
	select {
	case p.printed <- struct{}{}:
	default:
	}
	return len(b), nil
}

func (p *printer) String() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.text.String()
}

// find waits for matching text and returns the first group.
func (p *printer) find(t *testing.T, pattern string) string {
	t.Helper()
	re := regexp.MustCompile(pattern)
	timeout := time.After(patience)
	for {
		if m := re.FindStringSubmatch(p.String()); m != nil {
			return m[len(m)-1]
		}
		select {
		case <-p.printed:
		case <-timeout:
			t.Fatalf("nothing matches %s in:\n%s", pattern, p)
		}
	}
}

// runningDemo runs a demo in this process that breaks every two seconds.
func runningDemo(t *testing.T, flags ...string) (out *printer, stop func() error) {
	t.Helper()
	return runningDemoOn(t, "", flags...)
}

// runningDemoOn is like runningDemo, with a configuration file.
func runningDemoOn(t *testing.T, file string, flags ...string) (out *printer, stop func() error) {
	t.Helper()
	fs := pflag.NewFlagSet("demo", pflag.ContinueOnError)
	configs.RegisterFlags(fs)
	if err := fs.Parse(append(anyPorts[:len(anyPorts):len(anyPorts)], flags...)); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	out = &printer{printed: make(chan struct{}, 1)}
	ended := make(chan error, 1)
	go func() {
		ended <- serveDemo(ctx, source{file: file, flags: fs}, out, io.Discard, schedule{every: 2500 * time.Millisecond, gap: 1500 * time.Millisecond})
	}()
	stop = sync.OnceValue(func() error {
		cancel()
		return <-ended
	})
	t.Cleanup(func() { _ = stop() })
	return out, stop
}

// TestDemo watches a demo over a break of each kind: the viewer stays connected, its DTS
// increase, and the demo prints what happened.
func TestDemo(t *testing.T) {
	out, stop := runningDemo(t, "--defaults.publish_keys", "a&b", "--defaults.silence", "500ms")
	url := out.find(t, `HTTP-FLV +(\S+)`)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	body := play(t, ctx, url)
	defer body.Close()
	watched := make(chan tally, 1)
	go func() { watched <- watch(t, body) }()

	for _, line := range []string{
		`broke the push \(reset\); the relay noticed at once; 1 viewer keeps watching the last frame`,
		`back after (1\.[5-9]|2\.\d) s; the viewer stayed`,
		`broke the push \(socket closed without unpublish\); the relay noticed at once; 1 viewer keeps`,
		`broke the push \(hang: the socket stays open and nothing is sent\); the relay noticed after 0\.\d s; 1 viewer keeps`,
		`(?s)(back after.*){3}`,
	} {
		out.find(t, line)
	}
	cancel()
	got := <-watched
	if got.keys < 4 || got.pictures < 100 {
		t.Errorf("the viewer saw %+v", got)
	}
	if err := stop(); err != nil {
		t.Error(err)
	}
	if s := out.String(); strings.Contains(s, "a&b") || strings.Contains(s, "are left") || strings.Contains(s, "has not noticed") {
		t.Errorf("it printed:\n%s", s)
	}
}

// play opens a stream, and retries while it is not live.
func play(t *testing.T, ctx context.Context, url string) io.ReadCloser { //nolint:revive // the test first
	t.Helper()
	retry := time.NewTicker(20 * time.Millisecond)
	defer retry.Stop()
	for {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Close = true
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		if resp.StatusCode == http.StatusOK {
			return resp.Body
		}
		_ = resp.Body.Close()
		<-retry.C
	}
}

// tally counts what a viewer has received.
type tally struct{ pictures, keys int }

// watch reads until the body ends, and checks that DTS never decrease.
func watch(t *testing.T, body io.Reader) (out tally) {
	last := map[packetbuf.Track]time.Duration{packetbuf.Video: -1, packetbuf.Audio: -1}
	for r := flv.NewReader(bufio.NewReader(body), 0); ; {
		tag, err := r.Next()
		if err != nil {
			return out
		}
		p, err := tag.Packet()
		if err != nil {
			t.Error(err)
			return out
		}
		if p == nil || !p.Media() {
			continue
		}
		if p.DTS <= last[p.Track] {
			t.Errorf("%s: DTS %v after %v", p.Track, p.DTS, last[p.Track])
		}
		last[p.Track] = p.DTS
		if p.Track == packetbuf.Video {
			out.pictures++
			if p.Kind == packetbuf.Key {
				out.keys++
			}
		}
	}
}

// TestDemoCommand runs the built command: it prints URLs, and Ctrl-C ends it cleanly.
func TestDemoCommand(t *testing.T) {
	if len(reloadSignals) == 0 {
		t.Skip("this system has no signals to send")
	}
	p := start(t, append([]string{"demo"}, anyPorts...)...)
	p.line(`^  RTMP +rtmp://127\.0\.0\.1:\d+/live/demo$`)
	url := p.line(`^  HTTP-FLV +(http://127\.0\.0\.1:\d+/live/demo\.flv)$`)
	admin := p.line(`^ +(http://127\.0\.0\.1:\d+/api/v1/streams/live/demo)$`)
	p.line(`breaks every 20s for 3s`)
	body := play(t, t.Context(), url)
	_, err := io.ReadFull(body, make([]byte, 10_000))
	_ = body.Close()
	if err != nil {
		t.Error(err)
	}
	if s, status := get(t, admin); status != http.StatusOK || !strings.Contains(s, `"state":"live"`) {
		t.Error(status, s)
	}
	if code := p.stop(os.Interrupt); code != 0 {
		t.Error("exit", code)
	}
	for _, line := range p.lines {
		if strings.Contains(line, "level=INFO") {
			t.Error("the log is not quiet:", line)
		}
	}
}

func TestDemoWithoutRTMP(t *testing.T) {
	_, stderr, code := run(t, nil, "demo", "--rtmp.listen", "")
	if code != 1 || !strings.Contains(stderr, "the demo pushes over RTMP, and rtmp.listen is off; set --rtmp.listen :1935") {
		t.Errorf("exit %d: got %s", code, stderr)
	}
}
