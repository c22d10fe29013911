//go:build unix

package e2e

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
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

	"github.com/holdfast-live/holdfast/packetbuf/flv"
	"github.com/holdfast-live/holdfast/testmedia/gen"
)

// resumingViewer is a viewer over HTTP-FLV that resumes as documented. It keeps the tags up to the last
// complete media tag, including its size field.
type resumingViewer struct {
	addr, path, query string // query is a play token or empty
	token, from       string
	kept              []byte
}

// request sends a request with the viewer's position.
func (v *resumingViewer) request() (net.Conn, *http.Response, error) {
	query := v.query
	if v.token != "" {
		query += "&resume=" + v.token + "&from=" + v.from
	}
	c, err := net.Dial("tcp", v.addr)
	if err != nil {
		return nil, nil, err
	}
	_ = c.SetDeadline(time.Now().Add(waitLimit))
	fmt.Fprintf(c, "GET /%s.flv?%s HTTP/1.1\r\nHost: relay\r\n\r\n", v.path, query)
	resp, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		_ = c.Close()
		return nil, nil, err
	}
	if resp.StatusCode == http.StatusOK {
		v.token = resp.Header.Get("Holdfast-Session")
	}
	return c, resp, nil
}

// readTags reads n media tags and the other tags between them. Data that has arrived after them is lost
// with the connection.
func (v *resumingViewer) readTags(body io.Reader, n int) error {
	var raw bytes.Buffer
	tags := flv.NewReader(io.TeeReader(body, &raw), 0)
	if _, _, err := tags.Header(); err != nil {
		return err
	}
	for raw.Reset(); n > 0; {
		tag, err := tags.Next()
		if err != nil {
			return err
		}
		p, err := tag.Packet()
		if err != nil {
			return err
		}
		if p != nil && p.Media() {
			v.from = fmt.Sprintf("%c%d", p.Track.String()[0], tag.Timestamp)
			v.kept = append(v.kept, raw.Bytes()...)
			raw.Reset()
			n--
		}
	}
	return nil
}

// TestResumeWhereItWasCut checks that a viewer whose connection is cut fifty times, while its publisher
// breaks and returns, receives the same bytes as one whose connection is not.
func TestResumeWhereItWasCut(t *testing.T) {
	t.Parallel()
	r := startRelay(t)
	const stream = "live/cam"
	p := publish(t, r, stream, gen.Options{Source: 1, VideoBitrate: 600_000, GOP: 300})
	p.waitSent(100)
	stays, cut := &resumingViewer{addr: r.addrs["http"], path: stream}, &resumingViewer{addr: r.addrs["http"], path: stream}
	var steady sync.WaitGroup
	c, resp, err := stays.request() //nolint:bodyclose // ends with the test
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Fatal(resp, err)
	}
	rng, resumes := rand.New(rand.NewPCG(3, 3)), 50
	first := func() *http.Response {
		again, resp, err := cut.request() //nolint:bodyclose // ends with the test
		if err != nil || resp.StatusCode != http.StatusOK {
			t.Fatal(resp, err)
		}
		t.Cleanup(func() { _ = again.Close() })
		return resp
	}
	if err := cut.readTags(first().Body, 3); err != nil { //nolint:bodyclose // ends with the test
		t.Fatal(err)
	}
	total := 3
	for n := range resumes {
		switch n {
		case 20:
			p.reset()
			r.waitBreak(0)
		case 30:
			p = publish(t, r, stream, gen.Options{Source: 2, Width: 640, Height: 360, VideoBitrate: 600_000})
		}
		resp := first() //nolint:bodyclose // ends with the test
		if got := resp.Header.Get("Holdfast-Resume"); got != "exact" {
			t.Fatalf("resume %d from %s: got %q", n, cut.from, got)
		}
		more := 1 + rng.IntN(12)
		if err := cut.readTags(resp.Body, more); err != nil {
			t.Fatal(err)
		}
		total += more
	}
	steady.Go(func() { err = stays.readTags(resp.Body, total) })
	steady.Wait()
	_ = c.Close()
	if err != nil || !bytes.Equal(stays.kept, cut.kept) {
		t.Errorf("got %d bytes with %d cuts, %d without: %v", len(cut.kept), resumes, len(stays.kept), err)
	}
	if got := r.metric(`holdfast_viewer_resumes_total{outcome="exact",protocol="httpflv"}`); got != float64(resumes) {
		t.Errorf("got %v exact resumes in the metrics", got)
	}
	p.pause()
}

// TestResumeOverARestart checks that over a restart of the relay a viewer's token replaces a play token,
// and that the viewer starts afresh.
func TestResumeOverARestart(t *testing.T) {
	t.Parallel()
	const stream, secret = "live/cam", "s3cret-of-the-plays-0123456789ab"
	file := filepath.Join(t.TempDir(), "state.json")
	valid, err := jwt.NewWithClaims(jwt.SigningMethodHS256, jwt.MapClaims{"stm": stream, "exp": time.Now().Add(time.Hour).Unix()}).SignedString([]byte(secret))
	if err != nil {
		t.Fatal(err)
	}
	run := func(source uint32, v *resumingViewer) *relay {
		r := startRelay(t, "--state.file", file, "--defaults.play_secret", secret)
		publish(t, r, stream, gen.Options{Source: source}).waitSent(100)
		v.addr = r.addrs["http"]
		return r
	}
	v := &resumingViewer{path: stream, query: "token=" + valid}
	one := run(1, v)
	come := func(want string) {
		t.Helper()
		c, resp, err := v.request() //nolint:bodyclose // ends with the test
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		if resp.StatusCode != http.StatusOK || resp.Header.Get("Holdfast-Resume") != want {
			t.Fatalf("got %s %v", resp.Status, resp.Header)
		}
		if err := v.readTags(resp.Body, 30); err != nil {
			t.Fatal(err)
		}
	}
	come("")
	v.query = "" // from now on the viewer has only its token
	come("exact")
	one.stop()
	if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("got %v, %v", info, err)
	}
	two := run(2, v)
	come("keyframe")
	come("exact")
	stranger := &resumingViewer{addr: v.addr, path: stream}
	c, resp, err := stranger.request() //nolint:bodyclose // ends with the test
	if err != nil || resp.StatusCode != http.StatusUnauthorized {
		t.Fatal(resp, err)
	}
	_ = c.Close()
	if text := one.output() + two.output(); strings.Contains(text, v.token) || strings.Contains(text, secret) {
		t.Error("got a secret in the log")
	}
}

// viewerCount returns how many viewers are cut off at once.
func viewerCount() int {
	if raceEnabled {
		return 100
	}
	return 1000
}

// TestManyViewersReconnect cuts a thousand viewers off at once. All must resume at their position within
// seconds, and a viewer of another stream must not be affected. The test is not parallel, since it needs
// the whole machine.
func TestManyViewersReconnect(t *testing.T) {
	r := startRelay(t)
	few := gen.Options{Source: 1, VideoBitrate: 400_000}
	for _, stream := range []string{"live/cam", "live/calm"} {
		publish(t, r, stream, few).waitSent(150)
	}
	calm := watchFLV(t, r, "live/calm")
	viewers := make([]*resumingViewer, viewerCount())
	for i := range viewers {
		viewers[i] = &resumingViewer{addr: r.addrs["http"], path: "live/cam"}
	}
	sent := 0
	all := func(want string) (took []time.Duration) {
		var mu sync.Mutex
		var coming sync.WaitGroup
		conns := make([]net.Conn, 0, len(viewers))
		begun := time.Now()
		for _, v := range viewers {
			coming.Go(func() {
				c, resp, err := v.request() //nolint:bodyclose // ends with the test
				for err == nil && resp.StatusCode == http.StatusServiceUnavailable {
					_ = c.Close()
					var seconds int
					_, _ = fmt.Sscan(resp.Header.Get("Retry-After"), &seconds)
					mu.Lock()
					sent++
					mu.Unlock()
					sleep(t, time.Duration(seconds)*time.Second)
					c, resp, err = v.request() //nolint:bodyclose // ends with the test
				}
				if err != nil || resp.StatusCode != http.StatusOK || resp.Header.Get("Holdfast-Resume") != want {
					t.Errorf("got %v, %v", resp, err)
					return
				}
				err = v.readTags(resp.Body, 1)
				mu.Lock()
				defer mu.Unlock()
				if conns = append(conns, c); err != nil {
					t.Error(err)
				}
				took = append(took, time.Since(begun))
			})
		}
		coming.Wait()
		for _, c := range conns {
			_ = c.Close()
		}
		slices.Sort(took)
		return took
	}
	fresh := all("")
	// Other load on the machine may disturb one attempt.
	for range 3 {
		before := calm.frames.len()
		back := all("exact")
		calm.waitFrames(30)
		calm.checkOpen()
		if len(fresh) == 0 || len(back) == 0 {
			t.Fatal("no viewer resumed")
		}
		gap := longestGap(calm.frames.all()[before-1:])
		t.Logf("%d viewers joined within %v (half within %v) and resumed within %v (half within %v), %d were told to wait; the other stream was frozen for %v",
			len(viewers), fresh[len(fresh)-1], fresh[len(fresh)/2], back[len(back)-1], back[len(back)/2], sent, gap)
		if back[len(back)-1] <= slack(5*time.Second) && gap <= slack(200*time.Millisecond) {
			return
		}
	}
	t.Error("that is too slow")
}

// longestGap returns the longest time between two frames.
func longestGap(frames []frame) (gap time.Duration) {
	for i := 1; i < len(frames); i++ {
		gap = max(gap, frames[i].at.Sub(frames[i-1].at))
	}
	return gap
}
