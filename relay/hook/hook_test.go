package hook

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/holdfast-live/holdfast/ingest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestTells(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := usual()
		h.Secret, h.Events, h.Match = "hush", []Type{Break}, "live/*"
		w := newWorld(t, h)
		w.up()
		w.hooks.Tell(Event{Type: Break, Stream: "live/cam", Session: "s1", Cause: "eof"})
		w.hooks.Tell(Event{Type: Resume, Stream: "live/cam"})
		w.hooks.Tell(Event{Type: Break, Stream: "cam/1"})
		synctest.Wait()
		calls := w.got()
		if len(calls) != 1 {
			t.Fatalf("got %d calls", len(calls))
		}
		c := calls[0]
		if e := c.event; e.Type != Break || e.Stream != "live/cam" || e.Session != "s1" || e.Cause != "eof" || e.Time.IsZero() {
			t.Errorf("got %s", c.body)
		}
		if id := c.header.Get(EventHeader); id == "" || id != c.event.ID {
			t.Errorf("id %q, %s", id, c.body)
		}
		if got, want := c.header.Get(SignatureHeader), Sign("hush", c.at, c.body); got != want {
			t.Errorf("signature %q, want %q", got, want)
		}
		if w.count(Delivered) != 1 {
			t.Error(w.counts)
		}
	})
}

// The signature is what anyone computes with openssl: printf '%s' '7.{}' | openssl dgst -sha256 -hmac k
func TestSign(t *testing.T) {
	const want = "t=7,v1=676b269d79cd27a0484d05de0823eb209fd73922d153a5a975a92a1b5c31b889"
	if got := Sign("k", time.Unix(7, 999), []byte("{}")); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

// A failed call is retried with increasing delays and the same ID, and later events wait for it.
func TestRetries(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, usual())
		w.up()
		w.answers(503, "")
		w.hooks.Tell(Event{Type: Break, Stream: "live/cam"})
		w.hooks.Tell(Event{Type: Resume, Stream: "live/cam"})
		time.Sleep(5 * time.Second)
		failed := len(w.got())
		w.answers(200, "")
		time.Sleep(time.Minute)
		calls := w.got()
		if failed < 3 || failed > 8 || len(calls) != failed+2 {
			t.Fatalf("got %d calls failed, %d in all", failed, len(calls))
		}
		for i, c := range calls[:failed+1] {
			if c.event.Type != Break || c.event.ID != calls[0].event.ID {
				t.Errorf("call %d: got %s", i, c.body)
			}
		}
		if last := calls[failed+1].event; last.Type != Resume || last.ID == calls[0].event.ID {
			t.Errorf("got %+v", last)
		}
		if w.count(Delivered) != 2 || w.count(Failed) != 0 {
			t.Error(w.counts)
		}
		if log := w.log.String(); strings.Count(log, "does not answer") != 1 || strings.Count(log, "answers again") != 1 || strings.Contains(log, "hush") || strings.Contains(log, "t0ken") {
			t.Error(log)
		}
	})
}

// A notification that a receiver rejects or redirects is not retried.
func TestNoRetry(t *testing.T) {
	for _, status := range []int{302, 307, 400, 403, 410} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t, usual())
			w.up()
			w.answers(status, "")
			w.hooks.Tell(Event{Type: Break, Stream: "live/cam"})
			time.Sleep(time.Minute)
			if len(w.got()) != 1 || w.count(Failed) != 1 {
				t.Errorf("%d: got %d calls, %v", status, len(w.got()), w.counts)
			}
		})
	}
}

// A hook that was down receives the events meanwhile, except the oldest of too many and those
// that are too old.
func TestDown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, usual())
		for range maxQueue + 100 {
			w.hooks.Tell(Event{Type: Break, Stream: "live/cam"})
			synctest.Wait()
		}
		dropped := w.count(Dropped)
		if dropped < 98 || dropped > 100 {
			t.Errorf("got %d dropped", dropped)
		}
		time.Sleep(time.Minute)
		w.up()
		time.Sleep(time.Minute)
		if got := len(w.got()); got != maxQueue+100-dropped {
			t.Errorf("got %d arrived, %d dropped", got, dropped)
		}
		w.down()
		w.hooks.Tell(Event{Type: Break, Stream: "live/cam"})
		time.Sleep(maxAge + time.Minute)
		if w.count(Failed) != 1 {
			t.Error(w.counts)
		}
	})
}

func TestAsks(t *testing.T) {
	for _, tt := range []struct {
		name         string
		status       int // 0: it does not respond; -1: it does not listen
		body         string
		deny         bool
		outcome      Outcome
		refused      ingest.Outcome // empty: allowed
		reason, hint string
		takes        time.Duration // at most
	}{
		{"allowed", 204, "", true, Delivered, "", "", "", 0},
		{"refused", 403, "", false, Refused, ingest.RefusedKey, "publishing this stream was refused", "ask the operator of this relay", 0},
		{
			"refused for now", 429, "", true, Refused, ingest.RefusedKey, "publishing this stream was refused",
			"ask the operator of this relay", 0,
		},
		{
			"refused in words", 402, `{"error": "the account\nis empty", "hint": "pay"}`, false, Refused, ingest.RefusedKey,
			"the account is empty", "pay", 0,
		},
		{"redirected", 307, "", true, Failed, ingest.RefusedLimit, "the relay could not ask whether this is allowed", "try again in a moment", 0},
		{"redirected, allow", 302, "", false, Failed, "", "", "", 0},
		{"failed", 500, "", true, Failed, ingest.RefusedLimit, "the relay could not ask whether this is allowed", "try again in a moment", time.Second},
		{"slow", 0, "", true, Failed, ingest.RefusedLimit, "the relay could not ask whether this is allowed", "try again in a moment", 2 * time.Second},
		{"slow, allow", 0, "", false, Failed, "", "", "", 2 * time.Second},
		{"down", -1, "", true, Failed, ingest.RefusedLimit, "the relay could not ask whether this is allowed", "try again in a moment", time.Second},
		{"down, allow", -1, "", false, Failed, "", "", "", time.Second},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := usual()
				h.Deny = tt.deny
				w := newWorld(t, h)
				if tt.status >= 0 {
					w.up()
				}
				if w.hangs(); tt.status > 0 {
					w.answers(tt.status, tt.body)
				}
				began := time.Now()
				err := w.hooks.Ask(t.Context(), Event{Type: Publish, Stream: "live/cam"}, "s3cret")
				if took := time.Since(began); took > tt.takes {
					t.Errorf("it took %v", took)
				}
				var r *ingest.Refusal
				switch {
				case tt.refused == "" && err != nil:
					t.Error(err)
				case tt.refused != "" && (!errors.As(err, &r) || r.Outcome != tt.refused || r.Reason != tt.reason || r.Hint != tt.hint):
					t.Errorf("got %+v", err)
				}
				if w.count(tt.outcome) != 1 {
					t.Error(w.counts)
				}
				for _, c := range w.got() {
					if strings.Contains(string(c.body), "s3cret") {
						t.Errorf("got %s", c.body)
					}
				}
			})
		})
	}
}

// A hook that hangs delays each question by its timeout, however many there are, and nothing
// else.
func TestHanging(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		slow, quick := usual(), usual()
		slow.Match, quick.Match, quick.URL = "slow/*", "live/*", "http://quick.example/"
		w := newWorld(t, slow, quick)
		w.up()
		w.hangs()
		l, err := w.network.Listen("quick.example:80")
		if err != nil {
			t.Fatal(err)
		}
		other := &http.Server{ReadHeaderTimeout: time.Minute, Handler: http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})}
		go func() { _ = other.Serve(l) }()
		defer other.Close()

		began := time.Now()
		var asking sync.WaitGroup
		for range 3 * maxPending {
			asking.Go(func() {
				if err := w.hooks.Ask(t.Context(), Event{Type: Play, Stream: "slow/cam"}, ""); err != nil {
					t.Error(err)
				}
				if took := time.Since(began); took != slow.Timeout {
					t.Errorf("after %v", took)
				}
			})
		}
		synctest.Wait()
		if open := len(w.got()); open != maxPending {
			t.Errorf("got %d questions at a time", open)
		}
		w.hooks.Tell(Event{Type: Break, Stream: "slow/cam"})
		if err := w.hooks.Ask(t.Context(), Event{Type: Play, Stream: "live/cam"}, ""); err != nil || time.Since(began) > 0 {
			t.Errorf("got %v after %v", err, time.Since(began))
		}
		asking.Wait()
	})
}

// However many viewers' questions are pending, a publisher's is asked at once.
func TestPublishersDoNotWaitForViewers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, usual())
		w.up()
		w.hangs()
		var asking sync.WaitGroup
		for range 3 * maxPending {
			asking.Go(func() { _ = w.hooks.Ask(t.Context(), Event{Type: Play, Stream: "live/cam"}, "") })
		}
		synctest.Wait()
		w.answers(200, "")
		began := time.Now()
		if err := w.hooks.Ask(t.Context(), Event{Type: Publish, Stream: "live/cam"}, ""); err != nil || time.Since(began) > 0 {
			t.Errorf("got %v after %v", err, time.Since(began))
		}
		asking.Wait()
	})
}

// A peer may leave while its question is pending, which does not count as a failure of the hook.
func TestGone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, usual())
		w.up()
		w.hangs()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := w.hooks.Ask(ctx, Event{Type: Play, Stream: "live/cam"}, ""); !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}
		if w.log.Len() > 0 {
			t.Error(w.log.String())
		}
	})
}

// An answer about a viewer is cached only if that is configured, by stream, token and address.
func TestCache(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := usual()
		w := newWorld(t, h)
		w.up()
		w.answers(403, "")
		ask := func(stream, remote, token string, calls int) {
			t.Helper()
			before := len(w.got())
			if err := w.hooks.Ask(t.Context(), Event{Type: Play, Stream: stream, Remote: remote}, token); err == nil {
				t.Error("allowed")
			}
			if got := len(w.got()) - before; got != calls {
				t.Errorf("got %d calls, want %d", got, calls)
			}
		}
		ask("live/cam", "192.0.2.1:1", "a", 1)
		ask("live/cam", "192.0.2.1:1", "a", 1)
		h.Cache = time.Minute
		w.hooks.Reload([]Hook{h})
		ask("live/cam", "192.0.2.1:1", "a", 1)
		ask("live/cam", "192.0.2.1:2", "a", 0)
		ask("live/cam", "192.0.2.2:1", "a", 1)
		ask("live/cam", "192.0.2.1:1", "b", 1)
		ask("live/two", "192.0.2.1:1", "a", 1)
		time.Sleep(time.Minute)
		ask("live/cam", "192.0.2.1:1", "a", 1)
	})
}

// A reload keeps the queue of a hook that stays, and drops that of one that is removed.
func TestReload(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gone := usual()
		gone.URL = "http://gone.example/"
		w := newWorld(t, usual(), gone)
		w.hooks.Tell(Event{Type: Break, Stream: "live/cam"})
		time.Sleep(time.Second)
		changed := usual()
		changed.Secret = "new"
		w.hooks.Reload([]Hook{changed})
		w.up()
		time.Sleep(time.Minute)
		calls := w.got()
		if len(calls) != 1 || calls[0].header.Get(SignatureHeader) == "" || w.count(Failed) != 1 {
			t.Errorf("got %d calls, %v", len(calls), w.counts)
		}
	})
}

// Close sends the queue, as far as the hook accepts it in time.
func TestClose(t *testing.T) {
	for name, tt := range map[string]struct {
		begin   func(w *world)
		arrives int
		takes   time.Duration
	}{
		"it answers": {func(w *world) { w.up() }, 3, 0},
		"it hangs":   {func(w *world) { w.up(); w.hangs() }, 1, 2 * time.Second},
		"it is down": {func(*world) {}, 0, 0},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, usual())
				tt.begin(w)
				for range 3 {
					w.hooks.Tell(Event{Type: Break, Stream: "live/cam"})
				}
				ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
				defer cancel()
				began := time.Now()
				w.hooks.Close(ctx)
				if took := time.Since(began); took > tt.takes || len(w.got()) != tt.arrives {
					t.Errorf("got %d arrived, after %v", len(w.got()), took)
				}
				if n := w.count(Delivered) + w.count(Failed) + w.count(Dropped); n != 3 {
					t.Error(w.counts)
				}
			})
		})
	}
}

func TestWants(t *testing.T) {
	for _, tt := range []struct {
		match, stream string
		kind          Type
		want          bool
	}{
		{"live/*", "live/cam", Break, true},
		{"live/*", "cam/live", Break, false},
		{"live/*", "live/cam~low", Break, false},
		{"live/*~*", "live/cam~low", Break, true},
		{"live/cam", "live/cam~low", Publish, true}, // or its name would bypass the hook
		{"live/cam", "live/cam~low", Play, true},
		{"live/cam", "live/can~low", Play, false},
	} {
		h := Hook{Match: tt.match}
		if got := h.wants(Event{Type: tt.kind, Stream: tt.stream}); got != tt.want {
			t.Errorf("%+v: got %v", tt, got)
		}
	}
	h := Hook{Match: "*/*", Events: []Type{Break}}
	if h.wants(Event{Type: Resume, Stream: "live/cam"}) || !h.wants(Event{Type: Break, Stream: "live/cam"}) {
		t.Error("events are not told apart")
	}
}

func FuzzWords(f *testing.F) {
	f.Add([]byte(`{"error": "no", "hint": "pay"}`))
	f.Add([]byte(`{"error": "a\u0000b\nc\u2028d"}`))
	f.Add([]byte(`[]`))
	f.Fuzz(func(t *testing.T, body []byte) {
		for _, s := range func() []string { a, b := refusalText(body); return []string{a, b} }() {
			if len([]rune(s)) > maxText || strings.ContainsAny(s, "\x00\r\n\u2028") {
				t.Errorf("got %q", s)
			}
		}
	})
}
