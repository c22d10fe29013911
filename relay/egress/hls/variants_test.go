package hls

import (
	"math"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/holdfast-live/holdfast/testmedia/gen"
	"github.com/holdfast-live/holdfast/testmedia/m3u8"
)

// The multivariant playlist lists renditions with their measured bitrates, and omits those that
// are not cut in time. Playlists of variants are aligned by time of day.
func TestVariants(t *testing.T) {
	story(t, func(b *bench) {
		b.renditions = map[string][]string{"live/cam": {"live/gone~360p", "live/cam~360p"}}
	}, func(b *bench) {
		p := b.publish(gen.Options{})
		p.run(t, 9*time.Second)
		first := b.get("/live/cam/media.m3u8?s=abc") // it continues for long
		p.run(t, 60*time.Second)
		if first.Code != 200 {
			t.Fatal(first.Code)
		}
		for _, query := range []string{"", "?ll=0"} {
			lines := strings.Split(strings.TrimSpace(b.get("/live/cam/index.m3u8"+query).Body.String()), "\n")
			if len(lines) != 7 {
				t.Fatalf("%q", lines)
			}
			file := map[string]string{"": "media.m3u8", "?ll=0": "plain.m3u8"}[query]
			own, other := lines[4], lines[6]
			if own != file+"?run="+b.instance.name || other != "../cam~360p/"+own {
				t.Fatalf("%s and %s", own, other)
			}
			info := m3u8.Attributes(lines[5])
			if !(m3u8.Seconds(info["BANDWIDTH"]) >= m3u8.Seconds(info["AVERAGE-BANDWIDTH"])) || info["CODECS"] != "avc1.4d001f,mp4a.40.2" || info["RESOLUTION"] != "1280x720" || info["FRAME-RATE"] != "30.000" {
				t.Errorf("%s", lines[5])
			}
			p.run(t, time.Second)
			var at [2]m3u8.Playlist
			for i, uri := range []string{"/live/cam/" + own, "/live/cam~360p/" + own} {
				w := b.get(uri)
				var err error
				if at[i], err = m3u8.Parse(w.Body.String()); err != nil || w.Code != 200 {
					t.Fatalf("%s: %d %v", uri, w.Code, err)
				}
			}
			if at[0].Tags["#EXT-X-TARGETDURATION"] != at[1].Tags["#EXT-X-TARGETDURATION"] {
				t.Error("variants have other target durations")
			}
			a, c := dates(t, at[0]), dates(t, at[1])
			if d := a[len(a)-1].Sub(c[len(c)-1]).Seconds(); math.Abs(d) > 0.05 {
				t.Errorf("variants are %v apart", d)
			}
		}
	})
}

func dates(t *testing.T, p m3u8.Playlist) (out []time.Time) {
	t.Helper()
	for _, s := range p.Segments {
		at, err := time.Parse(time.RFC3339, s.Date)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, at)
	}
	return out
}

// timed records the write deadlines of a response.
type timed struct {
	*httptest.ResponseRecorder
	set []time.Time
}

func (w *timed) SetWriteDeadline(at time.Time) error {
	w.set = append(w.set, at)
	return nil
}

// A client that does not read its response is disconnected. The next response on a connection
// has a deadline of its own.
func TestWriteTimeout(t *testing.T) {
	story(t, func(b *bench) { b.set.WriteTimeout = 10 * time.Second }, func(b *bench) {
		p := b.publish(gen.Options{})
		p.run(t, 9*time.Second)
		pl, _ := m3u8.Parse(b.get("/live/cam/plain.m3u8").Body.String())
		for _, path := range []string{"plain.m3u8", pl.Segments[0].URI} {
			for _, ranges := range []string{"", "bytes=1-5"} {
				w := &timed{ResponseRecorder: httptest.NewRecorder()}
				r := httptest.NewRequest(http.MethodGet, "/live/cam/"+path, nil)
				r.Header.Set("Range", ranges)
				b.ServeHTTP(w, r)
				if n := len(w.set); n < 2 || time.Until(w.set[0]) != 10*time.Second || !w.set[n-1].IsZero() {
					t.Errorf("%s: got deadlines %v", path, w.set)
				}
			}
		}
	})
}

func TestZips(t *testing.T) {
	for accepts, want := range map[string]bool{
		"": false, "gzip": true, "br, GZIP": true, "gzip;q=0": false, "br;q=1, gzip; q=0.5": true, "x-gzip": false, "gzip;q=0.0": false, "gzip;q=x": false,
	} {
		if got := acceptsGzip([]string{accepts}); got != want {
			t.Errorf("acceptsGzip(%q) = %v", accepts, got)
		}
	}
}
