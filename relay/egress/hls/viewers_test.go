package hls

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/holdfast-live/holdfast/relay/egress"
	"github.com/holdfast-live/holdfast/testmedia/gen"
)

// from requests a path as a player with an address.
func (b *bench) from(addr, path string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(http.MethodGet, path, nil)
	r.RemoteAddr = addr
	w := httptest.NewRecorder()
	b.ServeHTTP(w, r)
	return w
}

// priorities returns the priorities of the viewers that joined.
func (b *bench) priorities() (out []egress.JoinPriority) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, r := range b.plays {
		out = append(out, r.Priority)
	}
	b.plays = nil
	return out
}

// Without tokens all viewers get the same URLs, which a cache may share, and are still counted
// by their addresses. A viewer with a session in its URL keeps it.
func TestSharedURLs(t *testing.T) {
	story(t, nil, func(b *bench) {
		p := b.publish(gen.Options{})
		p.run(t, 9*time.Second)
		b.from("192.0.2.1:1000", "/live/cam/index.m3u8")
		synctest.Wait() // all media has been cut: the playlist does not change between requests
		index := b.from("192.0.2.1:1000", "/live/cam/index.m3u8")
		media := b.from("192.0.2.1:1001", "/live/cam/media.m3u8")
		for _, path := range []string{"index.m3u8", "media.m3u8"} {
			other := b.from("192.0.2.2:1000", "/live/cam/"+path)
			want := map[string]string{"index.m3u8": index.Body.String(), "media.m3u8": media.Body.String()}[path]
			if other.Code != 200 || other.Body.String() != want || other.Header().Get("Cache-Control") != "max-age=1" {
				t.Errorf("%s: got status %d, %v\n%s\nwant\n%s", path, other.Code, other.Header(), other.Body.String(), want)
			}
		}
		if !strings.HasSuffix(index.Body.String(), "\nmedia.m3u8?run="+b.instance.name+"\n") {
			t.Errorf("%s", index.Body.String())
		}
		if n := b.stream().Audience(); n != 2 {
			t.Errorf("got %d viewers", n)
		}
		own := b.from("192.0.2.2:1000", "/live/cam/index.m3u8?s=mine")
		if !strings.HasSuffix(own.Body.String(), "\nmedia.m3u8?run="+b.instance.name+"&s=mine\n") || own.Header().Get("Cache-Control") != "no-cache" {
			t.Errorf("got %v %s", own.Header(), own.Body.String())
		}
		if n := b.stream().Audience(); n != 3 {
			t.Errorf("got %d viewers", n)
		}
	})
}

// A new viewer waits for all others, a returning one for other returning ones, and an active one
// does not wait, neither for its next playlist nor for that of a rendition.
func TestJoinPriorities(t *testing.T) {
	story(t, nil, func(b *bench) {
		p := b.publish(gen.Options{})
		p.run(t, 9*time.Second)
		for _, tt := range []struct {
			path string
			want []egress.JoinPriority
		}{
			{"/live/cam/index.m3u8", []egress.JoinPriority{egress.NewViewer}},
			{"/live/cam/media.m3u8", nil},
			{"/live/cam~360p/media.m3u8", []egress.JoinPriority{egress.ActiveViewer}},
			{"/live/cam~360p/media.m3u8", nil},
			{"/live/cam/media.m3u8?s=made-up", []egress.JoinPriority{egress.NewViewer}},
			{"/live/cam/media.m3u8?s=made-up", nil},
			{"/live/cam~360p/media.m3u8?s=another", []egress.JoinPriority{egress.NewViewer}},
		} {
			if w := b.get(tt.path); w.Code != 200 {
				t.Fatalf("%s: got status %d", tt.path, w.Code)
			}
			if got := b.priorities(); len(got) != len(tt.want) || len(got) > 0 && got[0] != tt.want[0] {
				t.Errorf("%s: got priority %v, want %v", tt.path, got, tt.want)
			}
		}
		p.run(t, 20*time.Second) // all viewers expire
		if w := b.get("/live/cam~360p/media.m3u8"); w.Code != 200 {
			t.Fatal(w.Code)
		}
		if got := b.priorities(); len(got) != 1 || got[0] != egress.ReturningViewer {
			t.Errorf("returning viewer: got priority %v", got)
		}
	})
}

// A hundred requests of one viewer, as a cache sends them after a restart, join once. The first
// of them may be canceled before that.
func TestOneJoin(t *testing.T) {
	story(t, nil, func(b *bench) {
		p := b.publish(gen.Options{})
		p.run(t, 9*time.Second)
		b.turn = make(chan struct{})
		gone, leave := context.WithCancel(context.Background())
		var asking sync.WaitGroup
		asking.Go(func() { b.ask(gone, "/live/cam/media.m3u8") })
		synctest.Wait()
		for range 100 {
			asking.Go(func() {
				if w := b.get("/live/cam/media.m3u8"); w.Code != 200 {
					t.Errorf("got status %d %s", w.Code, w.Body.String())
				}
			})
		}
		synctest.Wait()
		leave()
		synctest.Wait()
		close(b.turn)
		asking.Wait()
		if got := b.priorities(); len(got) != 2 {
			t.Errorf("got %d joins, want 1", len(got))
		}
		if n := b.stream().Audience(); n != 1 {
			t.Errorf("got %d viewers", n)
		}
	})
}
