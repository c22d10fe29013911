package hls

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/bluenviron/gohlslib/v2"

	"github.com/holdfast-live/holdfast/ingest"
	"github.com/holdfast-live/holdfast/testmedia"
)

// server serves the bench on loopback, in real time.
func (b *bench) server() *httptest.Server {
	return httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { b.ServeHTTP(w, r) }))
}

// clip publishes the embedded clip in a loop until ctx is done. It breaks the connection and
// publishes again after each of the given times.
func (b *bench) clip(ctx context.Context, breaks ...time.Duration) (stop func()) {
	var pushing sync.WaitGroup
	ctx, cancel := context.WithCancel(ctx)
	push := func(until <-chan time.Time) {
		p := b.publishes(testmedia.NewLoop(0).Next)
		for {
			packet := p.next()
			select {
			case <-time.After(time.Until(p.began.Add(packet.DTS))):
			case <-until:
				p.sink.End(ingest.Reset, "")
				return
			case <-ctx.Done():
				p.sink.End(ingest.Unpublish, "")
				return
			}
			packet.Arrived = time.Now()
			if err := p.sink.Write(packet); err != nil {
				b.t.Errorf("write: %v", err)
				return
			}
		}
	}
	pushing.Go(func() {
		for _, d := range breaks {
			push(time.After(d))
			select {
			case <-time.After(2 * time.Second):
			case <-ctx.Done():
				return
			}
		}
		push(nil)
	})
	return func() { cancel(); pushing.Wait() }
}

// ffmpeg plays across a publisher that was killed and returned, without a message about its
// input.
func TestFFmpegPlays(t *testing.T) {
	if _, err := exec.LookPath("ffmpeg"); err != nil {
		t.Skip("needs ffmpeg")
	}
	t.Parallel()
	b := newBench(t, nil)
	defer b.stop()
	s := b.server()
	defer s.Close()
	stop := b.clip(t.Context(), 7*time.Second)
	defer stop()
	waitFor(t, s.URL+"/live/cam/index.m3u8")
	for _, path := range []string{"index.m3u8", "index.m3u8?ll=0"} {
		t.Run(path, func(t *testing.T) {
			var said bytes.Buffer
			cmd := exec.CommandContext(t.Context(), "ffmpeg", "-v", "warning", "-xerror", "-i", s.URL+"/live/cam/"+path, "-t", "12", "-f", "framehash", "-hash", "crc32", "-")
			cmd.Stderr = &said
			out, err := cmd.Output()
			frames := strings.Count(string(out), "\n0,")
			// ffmpeg reads the init section again with each playlist, and logs that.
			words := slices.DeleteFunc(strings.Split(strings.TrimSpace(said.String()), "\n"), func(line string) bool {
				return line == "" || strings.Contains(line, "duplicated MOOV") || strings.Contains(line, "Last message repeated")
			})
			if err != nil || len(words) > 0 || frames < 200 {
				t.Errorf("got error %v, %d frames\n%.2000s", err, frames, strings.Join(words, "\n"))
			}
		})
	}
}

// waitFor requests url until there is a playlist.
func waitFor(t *testing.T, url string) {
	t.Helper()
	for {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		if resp.StatusCode == http.StatusOK {
			http.DefaultClient.CloseIdleConnections()
			return
		}
		select {
		case <-time.After(100 * time.Millisecond):
		case <-t.Context().Done():
			t.Fatal(t.Context().Err())
		}
	}
}

// An independent low-latency client presents frames soon after their time of day.
func TestLowLatencyClient(t *testing.T) {
	t.Parallel()
	b := newBench(t, nil)
	defer b.stop()
	s := b.server()
	defer s.Close()
	stop := b.clip(t.Context())
	defer stop()
	waitFor(t, s.URL+"/live/cam/index.m3u8")
	var mu sync.Mutex
	var late []time.Duration
	enough := make(chan struct{})
	transport := &http.Transport{}
	defer transport.CloseIdleConnections()
	c := &gohlslib.Client{URI: s.URL + "/live/cam/index.m3u8", HTTPClient: &http.Client{Transport: transport}, OnDecodeError: func(err error) { t.Error(err) }}
	quiet := func(string) {}
	c.OnDownloadPrimaryPlaylist, c.OnDownloadStreamPlaylist, c.OnDownloadSegment, c.OnDownloadPart = quiet, quiet, quiet, quiet
	c.OnTracks = func(tracks []*gohlslib.Track) error {
		if len(tracks) != 2 {
			return fmt.Errorf("%d tracks", len(tracks))
		}
		c.OnDataH26x(tracks[0], func(int64, int64, [][]byte) {
			at, ok := c.AbsoluteTime(tracks[0])
			if !ok {
				return
			}
			mu.Lock()
			defer mu.Unlock()
			if late = append(late, time.Since(at)); len(late) == 150 {
				close(enough)
			}
		})
		c.OnDataMPEG4Audio(tracks[1], func(int64, [][]byte) {})
		return nil
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	gone := make(chan error, 1)
	go func() { gone <- c.Wait2() }()
	select {
	case <-enough:
	case err := <-gone:
		t.Errorf("client stopped: %v", err)
	case <-time.After(20 * time.Second):
		t.Error("got no video frames in time")
	}
	c.Close()
	mu.Lock()
	defer mu.Unlock()
	if len(late) == 0 {
		return
	}
	slices.Sort(late)
	median, worst := late[len(late)/2], late[len(late)*95/100]
	t.Logf("from the time of day of a picture to the client: median %v, 95th %v of %d", median, worst, len(late))
	if worst > 2*time.Second {
		t.Errorf("got worst latency %v", worst)
	}
}
