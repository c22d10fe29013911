package app

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/holdfast-live/holdfast/cmd/internal/statefile"
	"github.com/holdfast-live/holdfast/configs"
	"github.com/holdfast-live/holdfast/ingest"
	"github.com/holdfast-live/holdfast/packetbuf/resume"
	"github.com/holdfast-live/holdfast/relay/egress"
	"github.com/holdfast-live/holdfast/relay/egress/cmaf"
	"github.com/holdfast-live/holdfast/relay/egress/hls"
	"github.com/holdfast-live/holdfast/relay/hook"
	"github.com/holdfast-live/holdfast/relay/stream"
	"github.com/holdfast-live/holdfast/testmedia/faultnet"
	"github.com/holdfast-live/holdfast/testmedia/gen"
	"github.com/holdfast-live/holdfast/testmedia/streamtest"
)

const showSecret = "s3cret-of-the-plays-0123456789ab"

// protected is a relay with viewers, in a bubble, whose streams require a play token. All such
// relays have one key.
func protected(t *testing.T) *fakeRelay {
	t.Helper()
	p := newFakeRelay(t, 500)
	var err error
	if p.sealer, err = newSealer(base64.StdEncoding.EncodeToString(make([]byte, resume.KeySize)), &statefile.File{}, slog.New(slog.DiscardHandler)); err != nil {
		t.Fatal(err)
	}
	cfg := configs.Default()
	cfg.Defaults.PlaySecret, cfg.Defaults.HoldUnpublish, cfg.Defaults.Hold = showSecret, 0, 30*time.Second
	p.settings.cfg.Store(&cfg)
	return p
}

// show publishes live/cam until its end function is called with a cause.
func (p *fakeRelay) show(t *testing.T, source uint32) (end func(ingest.Cause)) {
	t.Helper()
	sink, err := p.hub.Publish(t.Context(), ingest.Request{App: "live", Name: "cam", Protocol: ingest.RTMP, Session: fakeSession{}})
	if err != nil {
		t.Fatal(err)
	}
	var pushing sync.WaitGroup
	ctx, cancel := context.WithCancel(context.Background())
	began, g := time.Now(), gen.New(gen.Options{Source: source})
	pushing.Go(func() {
		for ctx.Err() == nil {
			next := g.Next()
			time.Sleep(time.Until(began.Add(next.DTS)))
			next.Arrived = time.Now()
			if err := sink.Write(next); err != nil {
				t.Error(err)
				return
			}
		}
	})
	return func(c ingest.Cause) {
		cancel()
		pushing.Wait()
		sink.End(c, "")
		synctest.Wait()
	}
}

// playlists serves the streams of p as HLS.
func (p *fakeRelay) playlists(t *testing.T) *hls.Handler {
	t.Helper()
	log := slog.New(slog.DiscardHandler)
	r := &relay{hub: p.hub}
	s := p.settings
	feeds := cmaf.New(cmaf.Options{Open: r.feed, Reopen: streamContinues, Limits: s.chunks, Log: log})
	h := hls.New(hls.Options{
		Admission: p, Sessions: p.admits(), HTTP: webAnswers{s}, Metrics: &streamtest.Metrics{}, Feeds: feeds, Settings: s.hls, Log: log,
	})
	t.Cleanup(func() {
		h.Close()
		feeds.Close()
		p.hub.Close("the test is over")
	})
	return h
}

// fetch requests a file of live/cam.
func fetch(h http.Handler, file string) (status int, body string) {
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/live/cam/"+file, nil))
	return w.Code, w.Body.String()
}

// begin requests the multivariant playlist with a token, and returns the media playlist's URL
// with that token and without.
func begin(t *testing.T, h http.Handler, token string) (media, bare string) {
	t.Helper()
	status, index := fetch(h, "index.m3u8?token="+token)
	lines := strings.Split(strings.TrimSpace(index), "\n")
	media = lines[len(lines)-1]
	bare, _, _ = strings.Cut(media, "&token=")
	if status != 200 || !strings.Contains(bare, "&s=") || bare == media {
		t.Fatalf("multivariant playlist: got %d %s", status, index)
	}
	if status, list := fetch(h, media); status != 200 {
		t.Fatalf("media playlist: got %d %s", status, list)
	}
	return media, bare
}

// watchFor requests a playlist repeatedly, as players do.
func watchFor(h http.Handler, url string, d time.Duration) (status int, list string) {
	for end := time.Now().Add(d); time.Now().Before(end); time.Sleep(time.Second) {
		status, list = fetch(h, url)
	}
	return status, list
}

func wantStatus(t *testing.T, what string, want, got int, body string) {
	t.Helper()
	if got != want {
		t.Errorf("%s: status %d, want %d: %.200s", what, got, want, body)
	}
}

// An HLS session ends with the play token that it was issued for.
func TestHLSEndsWithItsToken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := protected(t)
		h := p.playlists(t)
		end := p.show(t, 1)
		defer end(ingest.Unpublish)
		time.Sleep(10 * time.Second)
		media, bare := begin(t, h, jwtFor(t, showSecret, "live/*", time.Now().Add(time.Minute)))
		status, list := watchFor(h, bare, 50*time.Second)
		wantStatus(t, "while the token is good", 200, status, list)
		time.Sleep(12 * time.Second)
		for _, url := range []string{media, bare} {
			status, list = fetch(h, url)
			wantStatus(t, "after it", 401, status, list)
		}
	})
}

// An admission to a stream is not valid for the next stream of that name: neither by a session's
// name, nor by a play token that has expired meanwhile. The end of the viewer's own stream may
// be seen.
func TestHLSEndsWithItsShow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := protected(t)
		h := p.playlists(t)
		end := p.show(t, 1)
		time.Sleep(10 * time.Second)
		media, bare := begin(t, h, jwtFor(t, showSecret, "live/*", time.Now().Add(time.Minute)))
		watchFor(h, bare, 20*time.Second)
		end(ingest.Unpublish)
		time.Sleep(time.Second)
		status, list := fetch(h, bare)
		if status != 200 || !strings.Contains(list, "#EXT-X-ENDLIST") {
			t.Errorf("at the end: got %d %.200s", status, list)
		}
		end = p.show(t, 2)
		defer func() { end(ingest.Unpublish) }()
		time.Sleep(5 * time.Second)
		begin(t, h, jwtFor(t, showSecret, "live/*", time.Now().Add(time.Hour))) // another viewer
		if status, list = fetch(h, bare); status == 200 && !strings.Contains(list, "#EXT-X-ENDLIST") {
			t.Errorf("the next show, by the session alone: got %d %.200s", status, list)
		}
		status, list = fetch(h, media)
		if status != 200 || strings.Contains(list, "#EXT-X-ENDLIST") {
			t.Errorf("the next show, with a token that is good: got %d %.200s", status, list)
		}
		time.Sleep(time.Minute)
		for _, url := range []string{media, bare} {
			status, list = fetch(h, url)
			wantStatus(t, "the next show, after the token", 401, status, list)
		}
	})
}

// A session continues across a break of the publisher, and without requests for a while.
func TestHLSSessionGoesOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := protected(t)
		h := p.playlists(t)
		end := p.show(t, 1)
		time.Sleep(10 * time.Second)
		_, bare := begin(t, h, jwtFor(t, showSecret, "live/*", time.Now().Add(time.Hour)))
		end(ingest.Reset)
		status, list := watchFor(h, bare, 10*time.Second)
		wantStatus(t, "held", 200, status, list)
		end = p.show(t, 2)
		defer end(ingest.Unpublish)
		status, list = watchFor(h, bare, 5*time.Second)
		wantStatus(t, "back", 200, status, list)
		time.Sleep(5 * time.Minute)
		status, list = fetch(h, bare)
		wantStatus(t, "after a pause", 200, status, list)
		for name, url := range map[string]string{
			"made up": "media.m3u8?s=guess", "changed": bare[:len(bare)-1] + "A", "none": "media.m3u8",
			"of another stream": "media.m3u8?s=" + p.admits().SessionName("live/other", time.Time{}),
		} {
			if url == bare {
				continue
			}
			status, list = fetch(h, url)
			wantStatus(t, "a name that is "+name, 401, status, list)
		}
		// Another relay with the same key accepts the session, and for no longer.
		name := p.admits().SessionName("live/cam", time.Now().Add(time.Minute))
		other := protected(t)
		there := other.playlists(t)
		stop := other.show(t, 3)
		defer stop(ingest.Unpublish)
		time.Sleep(5 * time.Second)
		status, list = fetch(there, "media.m3u8?s="+name)
		wantStatus(t, "on another node", 200, status, list)
		time.Sleep(time.Minute)
		status, list = fetch(there, "media.m3u8?s="+name)
		wantStatus(t, "on another node, after the token", 401, status, list)
	})
}

// Playing ends with the token in all protocols with a connection, and so do resume tokens.
func TestPlaysEndWithTheirTokens(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := protected(t)
		end := p.show(t, 1)
		defer p.hub.Close("the test is over")
		time.Sleep(3 * time.Second)
		until := time.Now().Add(time.Minute).Truncate(time.Second)
		r := egress.Request{App: "live", Name: "cam", Protocol: "httpflv", Token: jwtFor(t, showSecret, "live/*", until), Resumable: true}
		last := ""
		for n := 0; ; n++ { // a chain of resumes, each long before the token is too old
			if n > 0 {
				r.Token, r.Resume = "", &egress.Resume{Token: last, DTS: -1}
			}
			place, session, err := p.Join(t.Context(), r)
			if good := time.Now().Before(until); good != (err == nil) {
				t.Fatalf("resume %d, %v before the end: %v", n, time.Until(until), err)
			}
			if err != nil {
				break
			}
			last = session.Token
			ctx, cancel := context.WithTimeout(t.Context(), 7*time.Second)
			for err == nil {
				_, err = place.Read(ctx)
			}
			cancel()
			place.Close()
			var ended *stream.EndError
			if over := !time.Now().Before(until); over != errors.As(err, &ended) {
				t.Fatalf("resume %d, %v before the end: %v", n, time.Until(until), err)
			}
		}
		// With a token that is valid until after the end of the stream.
		r.Token, r.Resume = jwtFor(t, showSecret, "live/*", time.Now().Add(time.Hour)), nil
		place, session, err := p.Join(t.Context(), r)
		if err != nil {
			t.Fatal(err)
		}
		place.Close()
		r.Token, r.Resume = "", &egress.Resume{Token: session.Token, DTS: -1}
		end(ingest.Reset)
		end = p.show(t, 2)
		if place, _, err = p.Join(t.Context(), r); err != nil {
			t.Fatalf("a held stream that is back: got %v", err)
		}
		place.Close()
		over := p.hub.Find("live/cam").Done()
		end(ingest.Unpublish)
		<-over
		end = p.show(t, 3)
		time.Sleep(3 * time.Second)
		if _, _, err = p.Join(t.Context(), r); err == nil {
			t.Error("the next show is played by a resume token of the one before")
		}
		end(ingest.Unpublish)
	})
}

// ban is a receiver of hooks that refuses viewers once it is set.
type ban struct {
	set   atomic.Bool
	asked atomic.Int64
}

// ServeHTTP implements http.Handler.
func (b *ban) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var e hook.Event
	_ = json.NewDecoder(r.Body).Decode(&e)
	b.asked.Add(1)
	if b.set.Load() {
		w.WriteHeader(http.StatusForbidden)
	}
}

// hooked makes p ask the receiver about viewers.
func (b *ban) hooked(t *testing.T, p *fakeRelay) {
	t.Helper()
	network := faultnet.NewNetwork(nil)
	l, err := network.Listen("hook.example:80")
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{ReadHeaderTimeout: time.Minute, Handler: b}
	go func() { _ = server.Serve(l) }()
	p.hooks = hook.New(hook.Options{Log: slog.New(slog.DiscardHandler), Dial: network.DialContext})
	p.hooks.Reload([]hook.Hook{{URL: "http://hook.example/", Match: "*/*", Timeout: 2 * time.Second, Deny: true, Events: []hook.Type{hook.Play}}})
	t.Cleanup(func() {
		p.hooks.Close(context.Background())
		_ = server.Close()
	})
}

// A viewer that a hook refuses is admitted neither by its resume token nor by its session.
func TestHooksAreAskedAboutResumes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := protected(t)
		var b ban
		b.hooked(t, p)
		end := p.show(t, 1)
		defer end(ingest.Unpublish)
		time.Sleep(3 * time.Second)
		token := jwtFor(t, showSecret, "live/*", time.Now().Add(time.Hour))
		place, session, err := p.Join(t.Context(), egress.Request{App: "live", Name: "cam", Protocol: "httpflv", Token: token, Resumable: true})
		if err != nil {
			t.Fatal(err)
		}
		place.Close()
		name := p.admits().SessionName("live/cam", time.Now().Add(time.Hour))
		for _, r := range []egress.Request{
			{App: "live", Name: "cam", Protocol: "httpflv", Resume: &egress.Resume{Token: session.Token, DTS: -1}},
			{App: "live", Name: "cam", Protocol: "hls", Session: name},
		} {
			b.set.Store(false)
			place, _, err := p.Join(t.Context(), r)
			if err != nil {
				t.Errorf("%s, allowed: got %v", r.Protocol, err)
				continue
			}
			place.Close()
			b.set.Store(true)
			if place, _, err = p.Join(t.Context(), r); err == nil {
				place.Close()
				t.Errorf("%s: a viewer that the hook refuses is let in", r.Protocol)
			}
		}
		if n := b.asked.Load(); n != 5 {
			t.Errorf("the hook was asked %d times, want 5", n)
		}
	})
}

// A client that may not play a stream, because of its token or a hook, may not read its state.
func TestStateIsForViewers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := protected(t)
		defer p.hub.Close("the test is over")
		var b ban
		b.hooked(t, p)
		until := time.Now().Add(time.Hour).Truncate(time.Second)
		there := func(name string) bool { return name == "live/cam" }
		read := func(name, token string) (string, time.Time, error) {
			return p.admits().Read(t.Context(), egress.Request{App: "live", Name: name, Token: token, Protocol: states, Remote: "192.0.2.1:1"}, there)
		}
		token := jwtFor(t, showSecret, "live/*", until)
		if name, got, err := read("cam", token); err != nil || name != "live/cam" || !got.Equal(until) {
			t.Errorf("allowed: got %q until %v, %v", name, got, err)
		}
		if _, _, err := read("other", token); err != nil || b.asked.Load() != 1 {
			t.Errorf("of a stream that is not there: got %v; the hook was asked %d times, want 1", err, b.asked.Load())
		}
		b.set.Store(true)
		var refusal *ingest.Refusal
		if _, _, err := read("cam", token); !errors.As(err, &refusal) || refusal.Outcome != ingest.RefusedKey {
			t.Errorf("refused by the hook: got %v", err)
		}
		if _, _, err := read("cam", ""); err == nil || b.asked.Load() != 2 {
			t.Errorf("without a token: got %v; the hook was asked %d times, want 2", err, b.asked.Load())
		}
	})
}
