package hls

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/holdfast-live/holdfast/packetbuf"
	"github.com/holdfast-live/holdfast/testmedia/gen"
	"github.com/holdfast-live/holdfast/testmedia/m3u8"
)

func TestBlocking(t *testing.T) {
	story(t, nil, func(b *bench) {
		p := b.publish(gen.Options{})
		p.run(t, 9*time.Second+50*time.Millisecond)
		b.get("/live/cam/media.m3u8")
		synctest.Wait()
		pl, _ := m3u8.Parse(b.get("/live/cam/media.m3u8").Body.String())
		last := uint64(len(pl.Segments)) - 1
		var msn uint64
		_, _ = fmt.Sscan(pl.Tags["#EXT-X-MEDIA-SEQUENCE"], &msn)
		last += msn
		for _, tt := range []struct {
			query  string
			status int
		}{
			{"_HLS_part=1", 400},
			{"_HLS_msn=x", 400},
			{"_HLS_msn=-1", 400},
			{"_HLS_msn=1&_HLS_part=x", 400},
			{"_HLS_msn=99999999999999999999", 400},
			{fmt.Sprint("_HLS_msn=", last+3), 400},
			{fmt.Sprint("_HLS_msn=", last+1, "&_HLS_part=40"), 400},
			{"_HLS_msn=1", 200},
			{fmt.Sprint("_HLS_msn=", last), 200},
			{fmt.Sprint("_HLS_msn=", last, "&_HLS_part=3"), 200},
			{"_HLS_skip=maybe", 200},
			{"%zz", 400},
		} {
			began := time.Now()
			if w := b.get("/live/cam/media.m3u8?" + tt.query); w.Code != tt.status || time.Since(began) > 0 {
				t.Errorf("%s: got status %d after %v %s", tt.query, w.Code, time.Since(began), w.Body.String())
			}
		}
		// The announced part is returned as soon as it exists.
		arrived := make(chan time.Time, 2)
		began := time.Now()
		for _, path := range []string{pl.Hint, fmt.Sprintf("media.m3u8?_HLS_msn=%d&_HLS_part=%d", last+1, len(pl.Open.Parts))} {
			go func() {
				if w := b.get("/live/cam/" + path); w.Code != 200 || w.Body.Len() == 0 {
					t.Errorf("%s: got status %d", path, w.Code)
				}
				arrived <- time.Now()
			}()
		}
		synctest.Wait()
		if len(arrived) > 0 {
			t.Error("got the part before it exists")
		}
		p.run(t, 300*time.Millisecond)
		synctest.Wait()
		for range 2 {
			if at := (<-arrived).Sub(began); at <= 0 || at > 250*time.Millisecond {
				t.Errorf("got response after %v", at)
			}
		}
		if w := b.get("/live/cam/1-abc.m4s"); w.Code != 404 || w.Header().Get("Cache-Control") != "no-store" {
			t.Errorf("expired file: got status %d %v", w.Code, w.Header())
		}
	})
}

func TestTokens(t *testing.T) {
	story(t, func(b *bench) { b.secret = "t/o+k en" }, func(b *bench) {
		p := b.publish(gen.Options{})
		p.run(t, 5*time.Second)
		if w := b.get("/live/cam/index.m3u8"); w.Code == 200 {
			t.Error("admitted without a token")
		}
		w := b.get("/live/cam/index.m3u8?token=t%2Fo%2Bk+en")
		lines := strings.Split(strings.TrimSpace(w.Body.String()), "\n")
		media := "/live/cam/" + lines[len(lines)-1]
		if w.Code != 200 || !strings.HasSuffix(media, "&token=t%2Fo%2Bk+en") {
			t.Fatalf("got status %d %s", w.Code, w.Body.String())
		}
		b.secret = "another" // the old one has expired; running sessions continue
		if w := b.get(media); w.Code != 200 {
			t.Errorf("running session: got status %d", w.Code)
		}
		time.Sleep(20 * time.Second)
		if w := b.get(media); w.Code == 200 {
			t.Error("admitted with an expired token")
		}
	})
}

func TestRefusedCodec(t *testing.T) {
	story(t, nil, func(b *bench) {
		g := gen.New(gen.Options{NoAudio: true})
		p := b.publishes(func() *packetbuf.Packet {
			for {
				if p := g.Next(); p.Media() {
					p.Codec = packetbuf.VP8
					return p
				}
			}
		})
		p.run(t, 3*time.Second)
		if w := b.get("/live/cam/index.m3u8"); w.Code != 406 || !strings.Contains(w.Body.String(), "VP8") {
			t.Errorf("VP8: got status %d %s", w.Code, w.Body.String())
		}
	})
}
