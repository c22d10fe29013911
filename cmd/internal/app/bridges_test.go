package app

import (
	"context"
	"io"
	"net/http"
	"os"
	"os/exec"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/holdfast-live/holdfast/configs"
	"github.com/holdfast-live/holdfast/ingest"
	"github.com/holdfast-live/holdfast/packetbuf"
	"github.com/holdfast-live/holdfast/packetbuf/codec"
	"github.com/holdfast-live/holdfast/packetbuf/flv"
	"github.com/holdfast-live/holdfast/testmedia"
)

// inside is a publisher session within this process.
type inside struct{}

func (inside) ID() string                          { return "inside" }
func (inside) RTT() (time.Duration, time.Duration) { return 0, 0 }
func (inside) Close(ingest.Cause, string)          {}

// pushInside publishes packets in real time until ctx is done or they end.
func pushInside(ctx context.Context, t *testing.T, a *App, name string, next func() *packetbuf.Packet) {
	t.Helper()
	sink, err := a.relay.hub.Publish(ctx, ingest.Request{App: "live", Name: name, Protocol: ingest.RTMP, Session: inside{}})
	if err != nil {
		t.Error(err)
		return
	}
	defer sink.End(ingest.EOF, "")
	began := time.Now()
	for p := next(); p != nil; p = next() {
		wait := time.NewTimer(time.Until(began.Add(p.DTS)))
		select {
		case <-wait.C:
		case <-ctx.Done():
			wait.Stop()
			return
		}
		p.Arrived = time.Now()
		if err := sink.Write(p); err != nil {
			t.Error(err)
			return
		}
	}
}

// AAC audio reaches viewers that play only Opus. The result, published as by a browser, reaches
// viewers that play only AAC over HTTP.
func TestBridgesThere(t *testing.T) {
	if _, err := exec.LookPath("ffmpeg"); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal("ffmpeg is not installed")
		}
		t.Skip("ffmpeg is not installed")
	}
	log := &logs{}
	far := run(t, log, func(*configs.Config) {})
	a := run(t, log, func(c *configs.Config) {
		c.Push = []configs.Group{{Name: "far", Match: "live/browser", Routes: []configs.Route{{Name: "there", URL: "rtmp://" + far.Addr("rtmp").String() + "/live/far"}}}}
		c.Defaults.Transcode = []configs.Rendition{{Name: "small", Height: 180, Video: "300k"}}
	})
	ctx, cancel := context.WithCancel(t.Context())
	var pushing sync.WaitGroup
	defer func() { cancel(); pushing.Wait() }()
	pushing.Go(func() { pushInside(ctx, t, a, "encoder", testmedia.NewLoop(0).Next) })
	r, err := a.relay.hub.Attach(ctx, "live", "encoder", "httpflv", packetbuf.Opus)
	for err != nil {
		r, err = a.relay.hub.Attach(ctx, "live", "encoder", "httpflv", packetbuf.Opus)
	}
	defer r.Close()
	arrived := map[time.Duration]time.Time{}
	var made []*packetbuf.Packet
	var late []time.Duration
	joined, first := time.Now(), time.Duration(0)
	tap, _, _ := a.relay.open("live/encoder")
	defer tap.Close()
	for len(made) < 200 {
		own, err := tap.Read(ctx)
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range own {
			if p.Track == packetbuf.Audio && p.Media() {
				arrived[p.DTS.Truncate(25*time.Millisecond)] = p.Arrived
			}
		}
		packets, err := r.Read(ctx)
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range packets {
			if p.Track != packetbuf.Audio {
				continue
			}
			if !p.Bridged() || p.Codec != packetbuf.Opus {
				t.Fatalf("got %v", p.Codec)
			}
			made = append(made, p)
			if first == 0 {
				first = time.Since(joined)
			}
			if at, ok := arrived[p.DTS.Truncate(25*time.Millisecond)]; ok && p.Media() && len(made) > 100 {
				late = append(late, p.Arrived.Sub(at))
			}
		}
	}
	if s := a.Bridges(); len(s) != 1 || !s[0].Runs || s[0].Stream != "live/encoder" || s[0].Failures != 0 {
		t.Errorf("got %+v", s)
	}
	if len(late) > 0 {
		slices.Sort(late)
		t.Logf("first sound after %v; later than its own by %v (median), %v (most)", first, late[len(late)/2], late[len(late)-1])
	}
	pushing.Go(func() { pushInside(ctx, t, a, "browser", browser(made)) })
	for path, at := range map[string]*App{"/live/browser.flv": a, "/live/browser~small.flv": a, "/live/far.flv": far} {
		for _, p := range overHTTP(ctx, t, at, path, 40) {
			if p.Track == packetbuf.Audio && p.Codec != packetbuf.AAC {
				t.Fatalf("FLV with %v", p.Codec)
			}
		}
	}
}

// browser returns the clip's video with the transcoded audio.
func browser(made []*packetbuf.Packet) func() *packetbuf.Packet {
	var all []*packetbuf.Packet
	for _, p := range testmedia.Clip() {
		if p.Track == packetbuf.Video {
			all = append(all, p)
		}
	}
	start := time.Duration(-1)
	for _, p := range made {
		if start < 0 && p.Media() {
			start = p.DTS
		}
		all = append(all, &packetbuf.Packet{Track: p.Track, Codec: p.Codec, Kind: p.Kind, DTS: max(0, p.DTS-max(start, 0)), Payload: p.Payload})
	}
	slices.SortStableFunc(all, func(a, b *packetbuf.Packet) int {
		if a.Media() != b.Media() {
			if b.Media() {
				return -1
			}
			return 1
		}
		return int(a.DTS - b.DTS)
	})
	for _, p := range all {
		if p.Kind == packetbuf.Config {
			p.DTS = 0
		}
	}
	return func() *packetbuf.Packet {
		if len(all) == 0 {
			return nil
		}
		p := all[0]
		all = all[1:]
		return p
	}
}

// overHTTP reads a number of audio packets from a stream over HTTP, and everything between them.
func overHTTP(ctx context.Context, t *testing.T, a *App, path string, n int) (out []*packetbuf.Packet) {
	t.Helper()
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	request, _ := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+a.Addr("http").String()+path, http.NoBody)
	response, err := once(t).Do(request)
	for tries := 0; err == nil && response.StatusCode == http.StatusNotFound && tries < 100; tries++ {
		_, _ = io.Copy(io.Discard, response.Body)
		response.Body.Close()
		response, err = once(t).Do(request)
	}
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	tags := flv.NewReader(response.Body, 0)
	for sound := 0; sound < n; {
		tag, err := tags.Next()
		if err != nil {
			t.Fatalf("after %d frames: got %v", sound, err)
		}
		p, err := tag.Packet()
		if err != nil || p == nil {
			t.Fatal(err)
		}
		if p.Track == packetbuf.Audio {
			sound++
		}
		if info, err := codec.Describe(p); p.Track == packetbuf.Audio && p.Kind == packetbuf.Config && (err != nil || info.SampleRate != 48000) {
			t.Errorf("got %+v, %v", info, err)
		}
		out = append(out, p)
	}
	return out
}
