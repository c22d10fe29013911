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

// from asks as a player of an address.
func (b *bench) from(addr, path string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(http.MethodGet, path, nil)
	r.RemoteAddr = addr
	w := httptest.NewRecorder()
	b.ServeHTTP(w, r)
	return w
}

// standings are how those stood who were to be let in.
func (b *bench) priorities() (out []egress.JoinPriority) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, r := range b.plays {
		out = append(out, r.Priority)
	}
	b.plays = nil
	return out
}

// Where no token is needed all viewers are given the same, which a cache may share, and are
// counted by their addresses all the same; who has a name of its own in the URL keeps it.
func TestSharedURLs(t *testing.T) {
	story(t, nil, func(b *bench) {
		p := b.publish(gen.Options{})
		p.run(t, 9*time.Second)
		b.from("192.0.2.1:1000", "/live/cam/index.m3u8")
		synctest.Wait() // what there is has been cut: no more is shown between two that ask
		index := b.from("192.0.2.1:1000", "/live/cam/index.m3u8")
		media := b.from("192.0.2.1:1001", "/live/cam/media.m3u8")
		for _, path := range []string{"index.m3u8", "media.m3u8"} {
			other := b.from("192.0.2.2:1000", "/live/cam/"+path)
			want := map[string]string{"index.m3u8": index.Body.String(), "media.m3u8": media.Body.String()}[path]
			if other.Code != 200 || other.Body.String() != want || other.Header().Get("Cache-Control") != "max-age=1" {
				t.Errorf("%s: %d, %v\n%s\n%s", path, other.Code, other.Header(), other.Body.String(), want)
			}
		}
		if !strings.HasSuffix(index.Body.String(), "\nmedia.m3u8?run="+b.run.name+"\n") {
			t.Errorf("%s", index.Body.String())
		}
		if n := b.stream().Audience(); n != 2 {
			t.Errorf("%d viewers", n)
		}
		own := b.from("192.0.2.2:1000", "/live/cam/index.m3u8?s=mine")
		if !strings.HasSuffix(own.Body.String(), "\nmedia.m3u8?run="+b.run.name+"&s=mine\n") || own.Header().Get("Cache-Control") != "no-cache" {
			t.Errorf("%v %s", own.Header(), own.Body.String())
		}
		if n := b.stream().Audience(); n != 3 {
			t.Errorf("%d viewers", n)
		}
	})
}

// Who begins waits for everybody, who comes back for others who do, and who is there for nobody:
// neither for its next playlist nor for that of a rendition.
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
				t.Fatalf("%s: %d", tt.path, w.Code)
			}
			if got := b.priorities(); len(got) != len(tt.want) || len(got) > 0 && got[0] != tt.want[0] {
				t.Errorf("%s: %v instead of %v", tt.path, got, tt.want)
			}
		}
		p.run(t, 20*time.Second) // all are given up
		if w := b.get("/live/cam~360p/media.m3u8"); w.Code != 200 {
			t.Fatal(w.Code)
		}
		if got := b.priorities(); len(got) != 1 || got[0] != egress.ReturningViewer {
			t.Errorf("who was away: %v", got)
		}
	})
}

// A hundred requests of one viewer, as they come by a cache after a restart, take one turn; the
// first of them may be gone before it comes.
func TestOneTurn(t *testing.T) {
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
					t.Errorf("%d %s", w.Code, w.Body.String())
				}
			})
		}
		synctest.Wait()
		leave()
		synctest.Wait()
		close(b.turn)
		asking.Wait()
		if got := b.priorities(); len(got) != 2 {
			t.Errorf("%d turns were asked for", len(got))
		}
		if n := b.stream().Audience(); n != 1 {
			t.Errorf("%d viewers", n)
		}
	})
}
