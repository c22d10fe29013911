package app

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/holdfast-live/holdfast/configs"
	"github.com/holdfast-live/holdfast/ingest"
	"github.com/holdfast-live/holdfast/relay/egress"
	"github.com/holdfast-live/holdfast/testmedia/gen"
)

// graced returns viewers of a relay that expects live/cam back for 30 s.
func graced(t *testing.T, change func(*configs.Config)) *fakeRelay {
	t.Helper()
	p := newFakeRelay(t, 0)
	cfg := configs.Default()
	if change != nil {
		change(&cfg)
	}
	p.settings.cfg.Store(&cfg)
	p.settings.returning.Expect(map[string]time.Time{"live/cam": time.Now().Add(30 * time.Second)})
	return p
}

// Viewers of a stream that is expected back wait for as long as players of their protocol do.
// After the grace period, and for other names, the stream is not live as usual.
func TestGraceByProtocol(t *testing.T) {
	for protocol, want := range map[string]time.Duration{
		"rtmp": 30 * time.Second, "rtmps": 30 * time.Second, "httpflv": 30 * time.Second, "hls": hlsWait, "mse": 0, "whep": 0,
	} {
		t.Run(protocol, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := graced(t, nil)
				defer p.hub.Close("the test is over")
				refused := func(name string) (*ingest.Refusal, time.Duration) {
					t.Helper()
					began := time.Now()
					_, _, err := p.Join(t.Context(), egress.Request{App: "live", Name: name, Protocol: protocol})
					var r *ingest.Refusal
					if !errors.As(err, &r) || !r.NotLive || r.RetryAfter <= 0 {
						t.Fatalf("got %v, want a refusal of a stream that is not live", err)
					}
					return r, time.Since(began)
				}
				if r, took := refused("other"); took > 0 || r.Expected {
					t.Errorf("of an unknown stream after %v: got %+v", took, r)
				}
				r, took := refused("cam")
				if took != want {
					t.Errorf("waited %v, want %v", took, want)
				}
				if expected := want == hlsWait; r.Expected != expected {
					t.Errorf("expected is %v, want %v", r.Expected, expected)
				}
				time.Sleep(30*time.Second - took)
				if r, took := refused("cam"); took > 0 || r.Expected {
					t.Errorf("after the grace, after %v: got %+v", took, r)
				}
			})
		})
	}
}

// A viewer that waits in the grace period continues when the stream is back, and needs its token
// as usual.
func TestGraceEndsWithTheStream(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const secret = "s3cret-of-the-plays-0123456789ab"
		p := graced(t, func(c *configs.Config) { c.Defaults.PlaySecret = secret })
		ctx, cancel := context.WithCancel(context.Background())
		var working sync.WaitGroup
		began := time.Now()
		for _, protocol := range []string{"rtmp", "httpflv", "hls"} {
			_, _, err := p.Join(ctx, egress.Request{App: "live", Name: "cam", Protocol: protocol})
			var r *ingest.Refusal
			if !errors.As(err, &r) || r.Outcome != ingest.RefusedKey || time.Since(began) > 0 {
				t.Errorf("%s without a token, after %v: %v", protocol, time.Since(began), err)
			}
			working.Go(func() {
				token := jwtFor(t, secret, "live/*", began.Add(time.Hour))
				place, _, err := p.Join(ctx, egress.Request{App: "live", Name: "cam", Token: token, Protocol: protocol})
				if err != nil {
					t.Errorf("%s: got %v", protocol, err)
					return
				}
				place.Close()
				if took := time.Since(began); took < 5*time.Second || took > 6*time.Second {
					t.Errorf("%s: admitted after %v, want 5s", protocol, took)
				}
			})
		}
		time.Sleep(5 * time.Second)
		working.Go(func() { p.feed(ctx, t, "cam") })
		time.Sleep(3 * time.Second)
		cancel()
		working.Wait()
		p.hub.Close("the test is over")
	})
}

// The streams in the state file are read as far as they are valid.
func TestFormerStreams(t *testing.T) {
	now := time.Now().Truncate(time.Second)
	soon, late, past := now.Add(5*time.Second), now.Add(time.Hour), now.Add(-time.Second)
	at := func(at time.Time) string { return at.Format(time.RFC3339) }
	for _, tt := range []struct {
		name, section string
		grace         time.Duration
		want          map[string]time.Time
	}{
		{"none", "", 30 * time.Second, nil},
		{"live", `{"version":1,"live":["live/a","live/b~low"]}`, 30 * time.Second, map[string]time.Time{"live/a": now.Add(30 * time.Second), "live/b~low": now.Add(30 * time.Second)}},
		{"off", `{"version":1,"live":["live/a"]}`, 0, nil},
		{"another version", `{"version":2,"live":["live/a"]}`, 30 * time.Second, nil},
		{"corrupt", `{"version":1,"live":"live/a"}`, 30 * time.Second, nil},
		{"names that no stream has", `{"version":1,"live":["live","live/..","/a","live/a/b","live/a b",""]}`, 30 * time.Second, nil},
		{
			"expected before", `{"version":1,"live":["live/c"],"expected":{"live/a":"` + at(soon) + `","live/b":"` + at(late) + `","live/c":"` + at(soon) + `","live/d":"` + at(past) + `"}}`,
			30 * time.Second,
			map[string]time.Time{"live/a": soon, "live/c": now.Add(30 * time.Second)},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var log logs
			a := wire(t, &log, func(c *configs.Config) {
				c.State.Grace, c.State.File = tt.grace, filepath.Join(t.TempDir(), "state.json")
			})
			defer a.Stop(t.Context()) //nolint:errcheck // it never started
			if tt.section != "" {
				a.state.Set(streamsSection, json.RawMessage(tt.section))
			}
			got := a.formerStreams(now)
			if len(got) != len(tt.want) {
				t.Errorf("got %v, want %v", got, tt.want)
			}
			for name, until := range tt.want {
				if !got[name].Equal(until) {
					t.Errorf("got %s until %v, want %v", name, got[name], until)
				}
			}
		})
	}
}

// After a restart, by SIGTERM or a crash, the streams that were live are held for their viewers.
func TestGraceOverARestart(t *testing.T) {
	for _, crash := range []bool{false, true} {
		t.Run(map[bool]string{false: "stopped", true: "crashed"}[crash], func(t *testing.T) {
			t.Parallel()
			file := filepath.Join(t.TempDir(), "state.json")
			var log logs
			one := wire(t, &log, func(c *configs.Config) { c.State.File = file })
			if err := one.Start(t.Context()); err != nil {
				t.Fatal(err)
			}
			publish(t, one, gen.Options{}).pushFor(t, 3*time.Second)
			if crash {
				file = crashed(t, file)
			}
			ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
			defer cancel()
			if err := one.Stop(ctx); err != nil {
				t.Fatal(err)
			}

			two := run(t, &log, func(c *configs.Config) { c.State.File, c.State.Grace = file, 20*time.Second })
			base := "http://" + two.Addr("http").String()
			if status, body := get(t, base+"/live/bench/state"); status != http.StatusOK || !strings.Contains(body, `"state":"held","cause":"restart"`) {
				t.Errorf("state: got %d %s", status, body)
			}
			for path, want := range map[string]int{"/live/none/index.m3u8": 404, "/live/none.flv": 404, "/live/none/state": 404, "/live/none/1-abcdefghijkl.m4s": 404} {
				if status, body := get(t, base+path); status != want {
					t.Errorf("%s: got %d %s, want %d", path, status, body, want)
				}
			}
			var waiting sync.WaitGroup
			for path, want := range map[string]int{"/live/bench.flv": 200, "/live/bench/index.m3u8": 200, "/live/bench/1-abcdefghijkl.m4s": 503} {
				waiting.Go(func() {
					if status, body := get(t, base+path); status != want {
						t.Errorf("%s: got %d %.200s, want %d", path, status, body, want)
					}
				})
			}
			waits(t, two, "live/bench")
			publish(t, two, gen.Options{}).pushFor(t, 5*time.Second)
			waiting.Wait()
			if status, body := get(t, base+"/live/bench/state"); status != http.StatusOK || !strings.Contains(body, `"state":"live"`) {
				t.Errorf("state: got %d %s", status, body)
			}
		})
	}
}

// waits waits until two viewers wait for a stream.
func waits(t *testing.T, a *App, name string) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); a.relay.hub.Audience(name) < 2; {
		if time.Now().After(deadline) {
			t.Fatalf("got %d waiting plays for %s", a.relay.hub.Audience(name), name)
		}
		<-time.After(5 * time.Millisecond)
	}
}

// crashed returns a copy of the state file as after a crash, once it contains a stream.
func crashed(t *testing.T, file string) string {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); ; {
		data, _ := os.ReadFile(file) //nolint:gosec // the test's own
		if strings.Contains(string(data), `"live":["live/bench"]`) {
			left := file + ".crash"
			if err := os.WriteFile(left, data, 0o600); err != nil {
				t.Fatal(err)
			}
			return left
		}
		if time.Now().After(deadline) {
			t.Fatalf("the state file holds %s", data)
		}
		<-time.After(5 * time.Millisecond)
	}
}
