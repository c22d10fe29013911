package app

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/holdfast-live/holdfast/configs"
	"github.com/holdfast-live/holdfast/relay/egress"
	"github.com/holdfast-live/holdfast/relay/hook"
	"github.com/holdfast-live/holdfast/relay/hub"
	"github.com/holdfast-live/holdfast/relay/lifecycle"
	"github.com/holdfast-live/holdfast/relay/stream"
	"github.com/holdfast-live/holdfast/testmedia/faultnet"
)

// The configuration has all existing events.
func TestHookEvents(t *testing.T) {
	known, there := configs.HookEvents(), texts(hook.Types())
	slices.Sort(known)
	slices.Sort(there)
	if !slices.Equal(known, there) {
		t.Errorf("%q may be configured, there are %q", known, there)
	}
}

// counted is a receiver of hooks that allows everything, and counts questions by stream.
type counted struct {
	mu    sync.Mutex // guards asked
	asked map[string]int
}

// ServeHTTP implements http.Handler.
func (c *counted) ServeHTTP(_ http.ResponseWriter, r *http.Request) {
	var e hook.Event
	_ = json.NewDecoder(r.Body).Decode(&e)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.asked[e.Stream]++
}

// taken returns the questions since the last call.
func (c *counted) taken() map[string]int {
	c.mu.Lock()
	defer c.mu.Unlock()
	asked := c.asked
	c.asked = map[string]int{}
	return asked
}

// brought are the streams that a fake demand can start.
type brought string

func (b brought) Want(name string) (<-chan struct{}, bool) { return nil, b.Brings(name) }
func (b brought) Brings(name string) bool                  { return name == string(b) }

// However many names are tried, hooks are asked only about streams that exist or may be started,
// and no more often than viewers may join.
func TestHooksAreAskedAboutWhatThereMayBe(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const rate = 50
		p := newFakeRelay(t, rate)
		cfg := configs.Default()
		waits := configs.Match{Match: "wait/*", Stream: cfg.Defaults}
		waits.PlayWait = time.Second
		cfg.Streams = append(cfg.Streams, waits)
		rules := p.settings
		rules.cfg.Store(&cfg)
		log := slog.New(slog.DiscardHandler)
		p.hub = hub.New(hub.Options{Settings: rules, Demand: brought("live/pulled"), Observer: unobserved{}, Counters: &stream.Counters{}, Log: log})
		network, to := faultnet.NewNetwork(nil), &counted{asked: map[string]int{}}
		l, err := network.Listen("hook.example:80")
		if err != nil {
			t.Fatal(err)
		}
		server := &http.Server{ReadHeaderTimeout: time.Minute, Handler: to}
		go func() { _ = server.Serve(l) }()
		p.hooks = hook.New(hook.Options{Log: log, Dial: network.DialContext})
		p.hooks.Reload([]hook.Hook{{URL: "http://hook.example/", Match: "*/*", Timeout: 2 * time.Second, Deny: true}})

		ctx, cancel := context.WithCancel(t.Context())
		var working sync.WaitGroup
		working.Go(func() { p.feed(ctx, t, "cam") })
		time.Sleep(3 * time.Second)
		play := func(app, name string) {
			if place, _, err := p.Join(ctx, egress.Request{App: app, Name: name, Protocol: "httpflv"}); err == nil {
				place.Close()
			}
		}
		for i := range 1000 {
			play("live", fmt.Sprintf("none%d", i))
		}
		for _, name := range []string{"cam", "pulled", "cam~low"} {
			play("live", name)
		}
		play("wait", "late")
		want := map[string]int{"live/cam": 1, "live/pulled": 1, "wait/late": 1}
		if asked := to.taken(); !maps.Equal(asked, want) {
			t.Errorf("asked %v, want %v", asked, want)
		}
		for i := range 1000 {
			working.Go(func() { play("wait", fmt.Sprintf("none%d", i)) })
		}
		time.Sleep(10 * time.Second)
		if n := len(to.taken()); n == 0 || n > 3*rate {
			t.Errorf("a thousand names at once were asked about %d times", n)
		}
		cancel()
		working.Wait()
		p.hooks.Close(context.Background())
		_ = server.Close()
		p.hub.Close("the test is over")
	})
}

// Events without a session are attributed to the one that feeds the stream, until the stream
// ends.
func TestFeeding(t *testing.T) {
	var f activeSessions
	for i, tt := range []struct {
		event stream.Event
		want  string
	}{
		{stream.Event{Type: stream.Changed}, ""},
		{stream.Event{Type: stream.Published, Session: "one"}, "one"},
		{stream.Event{Type: stream.Changed}, "one"},
		{stream.Event{Type: stream.State, Session: "one", To: lifecycle.Live}, "one"},
		{stream.Event{Type: stream.Published, Session: "two"}, "two"},
		{stream.Event{Type: stream.Changed}, "one"},
		{stream.Event{Type: stream.Refused, Session: "three"}, "three"},
		{stream.Event{Type: stream.Resumed, Session: "two"}, "two"},
		{stream.Event{Type: stream.Changed}, "two"},
		{stream.Event{Type: stream.Published, Session: "four"}, "four"},
		{stream.Event{Type: stream.BackupOff, Session: "four"}, "four"},
		{stream.Event{Type: stream.Changed}, "four"},
		{stream.Event{Type: stream.Ended}, "four"},
		{stream.Event{Type: stream.Changed}, ""},
	} {
		tt.event.Stream = "live/cam"
		if got := f.attribute(tt.event).Session; got != tt.want {
			t.Errorf("event %d: got %q, want %q", i, got, tt.want)
		}
	}
	if len(f.sessions) > 0 {
		t.Errorf("got %v", f.sessions)
	}
}
