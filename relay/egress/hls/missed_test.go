package hls

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"
	"testing/synctest"
	"time"

	"github.com/holdfast-live/holdfast/testmedia/gen"
	"github.com/holdfast-live/holdfast/testmedia/m3u8"
)

const browser = "Mozilla/5.0 (X11; Linux x86_64) Chrome/142.0.0.0"

// A player in a browser that was playing before a restart finds the time that it missed in its
// playlist, as gap segments, until the first segment of the new instance has left it. Other
// players and new ones do not.
func TestMissedOverARestart(t *testing.T) {
	for _, away := range []time.Duration{0, time.Second, 5 * time.Second, 25 * time.Second} {
		t.Run(away.String(), func(t *testing.T) {
			story(t, nil, func(b *bench) {
				p := b.publish(gen.Options{GOP: 60})
				p.run(t, 5*time.Second)
				c := b.client()
				if !c.index(t.Context()) {
					t.Fatal("no playlist")
				}
				before := b.playlist(t, c.base, browser)
				last := before.first + uint64(len(before.Segments))
				stopped := time.Now()
				b.stop()
				time.Sleep(time.Second)
				b.start()
				time.Sleep(away)
				p = b.publish(gen.Options{GOP: 60, Source: 1})
				p.run(t, 5*time.Second)

				after := b.playlist(t, c.base, browser)
				if after.first <= last {
					t.Errorf("got media sequence %d after %d", after.first, last)
				}
				if after.missing == 0 || after.begins.After(stopped) {
					t.Errorf("got %d gap segments from %v on; the relay stopped at %v", after.missing, after.begins, stopped)
				}
				begins := b.client()
				if !begins.index(t.Context()) {
					t.Fatal("no playlist")
				}
				for url, agent := range map[string]string{c.base: "Lavf/61.1.100", begins.base: browser} {
					if n := b.playlist(t, url, agent).missing; n > 0 {
						t.Errorf("got %d gap segments for %s at %s", n, agent, url)
					}
				}
				p.run(t, 20*time.Second)
				later := b.playlist(t, c.base, browser)
				if later.missing > 0 || later.first <= after.first+uint64(after.missing) {
					t.Errorf("later: got %d gap segments, media sequence %d after %d", later.missing, later.first, after.first)
				}
			})
		})
	}
}

type played struct {
	m3u8.Playlist
	first   uint64 // media sequence
	missing int
	begins  time.Time // of its first segment
}

// playlist requests a playlist with a user agent.
func (b *bench) playlist(t *testing.T, url, agent string) played {
	t.Helper()
	w := b.get(url, "User-Agent", agent)
	p, err := m3u8.Parse(w.Body.String())
	if w.Code != http.StatusOK || err != nil {
		t.Fatalf("%s: %d, %v\n%s", url, w.Code, err, w.Body)
	}
	out := played{Playlist: p, first: p.Sequence()}
	for _, s := range p.Segments {
		if s.Gap {
			out.missing++
		}
	}
	if out.begins, err = time.Parse(time.RFC3339, p.Segments[0].Date); err != nil {
		t.Fatal(err)
	}
	return out
}

// A request for a file that may have existed before a restart waits, and is then answered so
// that players retry: they stop at a 404. The same holds for any request during a shutdown.
func TestFilesOverARestart(t *testing.T) {
	story(t, nil, func(b *bench) {
		const old = "/live/cam/184040877-abcdefghijkl.m4s"
		is := func(when string, w *httptest.ResponseRecorder, status int) {
			t.Helper()
			if w.Code != status || status == http.StatusServiceUnavailable && w.Header().Get("Retry-After") == "" || w.Header().Get("Cache-Control") != "no-store" {
				t.Errorf("%s: got status %d %v", when, w.Code, w.Header())
			}
		}
		is("of a stream that was not live", b.get(old), http.StatusNotFound)
		back := make(chan struct{})
		known := true
		b.opts.Restarted = func(ctx context.Context, stream string) bool {
			if stream != "live/cam" || !known {
				return false
			}
			select {
			case <-back:
			case <-ctx.Done():
			}
			return true
		}
		for _, file := range []string{old, "/live/cam/p5-abcdefghijkl.m4s", "/live/cam/init-abcdefghijkl.mp4"} {
			began := time.Now()
			is("expected back", b.get(file), http.StatusServiceUnavailable)
			if took := time.Since(began); took < 5*time.Second || took > 10*time.Second {
				t.Errorf("%s: got response after %v", file, took)
			}
		}
		is("another stream", b.get("/live/other/1-abcdefghijkl.m4s"), http.StatusNotFound)
		close(back)
		b.publish(gen.Options{}).run(t, 5*time.Second)
		began := time.Now()
		is("back", b.get(old), http.StatusServiceUnavailable)
		if took := time.Since(began); took > 0 {
			t.Errorf("got response %v after the stream was back", took)
		}
		known = false
		is("after the grace", b.get(old), http.StatusNotFound)

		answers := make(chan *httptest.ResponseRecorder, 2)
		c := b.client()
		if !c.index(t.Context()) {
			t.Fatal("no playlist")
		}
		synctest.Wait() // all buffered media has been cut
		p := b.playlist(t, c.base, browser)
		for _, path := range []string{fmt.Sprintf("%s&_HLS_msn=%d&_HLS_part=0", c.base, p.first+uint64(len(p.Segments))+1), "/live/cam/" + p.Hint} {
			go func() { answers <- b.get(path) }()
		}
		synctest.Wait()
		b.Close()
		for range cap(answers) {
			is("waiting at the end", <-answers, http.StatusServiceUnavailable)
		}
		for _, path := range []string{c.base, "/live/cam/index.m3u8", "/live/cam/" + p.Hint, old} {
			is("after the end", b.get(path), http.StatusServiceUnavailable)
		}
	})
}
