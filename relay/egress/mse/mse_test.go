package mse

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/holdfast-live/holdfast/packetbuf"
	"github.com/holdfast-live/holdfast/testmedia/gen"
)

func TestPlay(t *testing.T) {
	story(t, nil, func(b *bench) {
		p := b.publish(gen.Options{})
		c := b.dial("", nil)
		defer c.leave()
		p.run(6 * time.Second)
		if h := c.hello(); h.Session != "token-0" || h.Codecs != "avc1.4d001f,mp4a.40.2" || h.Resume != "none" {
			t.Errorf("greeted with %+v", h)
		}
		all := c.binaries()
		if !all[0].init() || len(all) < 55 {
			t.Fatalf("%d chunks, an init section first: %v", len(all), all[0].init())
		}
		for i, m := range all[1:] {
			if m.seq != all[i].seq+1 {
				t.Fatalf("%d after %d", m.seq, all[i].seq)
			}
		}
		if n := parse(t, all); n < 170 {
			t.Errorf("%d pictures", n)
		}
		// One who comes later begins at a keyframe, behind the same init section.
		late := b.dial("", nil)
		synctest.Wait()
		defer late.leave()
		if got := late.binaries(); !got[0].init() || !bytes.Equal(got[0].data, all[0].data) || len(got) < 2 || got[1].seq <= all[1].seq || got[0].seq != got[1].seq-1 {
			t.Errorf("a late viewer begins with %d chunks", len(got))
		}
		if b.metrics.First.Load() != 2 || b.playing.Load() != 2 || b.skipped.Load() != 0 || b.metrics.Bytes.Load() == 0 {
			t.Errorf("%d joins, %d viewers, %d skips, %d bytes", b.metrics.First.Load(), b.playing.Load(), b.skipped.Load(), b.metrics.Bytes.Load())
		}
	})
}

// The first viewer has a feed made that cuts the stream's whole buffer: it begins at the end of it.
func TestFirst(t *testing.T) {
	story(t, nil, func(b *bench) {
		p := b.publish(gen.Options{})
		p.run(17 * time.Second)
		began := time.Now()
		c := b.dial("", nil)
		defer c.leave()
		if took := time.Since(began); took > 0 {
			t.Errorf("it waits for %v", took)
		}
		p.run(time.Second)
		all := c.binaries()
		if n := parse(t, all); n < 55 || n > 65 || c.count("discontinuity") != 0 || b.skipped.Load() != 0 {
			t.Errorf("%d pictures of the two seconds since the keyframe, told of %d discontinuities", n, c.count("discontinuity"))
		}
	})
}

// A stream that is held without a sound has a place for a viewer who comes then.
func TestFirstWhileHeld(t *testing.T) {
	story(t, nil, func(b *bench) {
		p := b.publish(gen.Options{})
		p.run(7 * time.Second)
		time.Sleep(10 * time.Second)
		c := b.dial("", nil)
		defer c.leave()
		time.Sleep(time.Second)
		synctest.Wait()
		if n := parse(t, c.all()); c.hello().Resume != "none" || n < 25 || n > 35 {
			t.Errorf("%d pictures of the second since the keyframe", n)
		}
	})
}

func TestChange(t *testing.T) {
	story(t, nil, func(b *bench) {
		p := b.publish(gen.Options{})
		c := b.dial("", nil)
		defer c.leave()
		p.run(4 * time.Second)
		other := b.publish(gen.Options{Source: 1, AudioCodec: packetbuf.Opus, Start: 4 * time.Second})
		other.seq, other.began = p.seq, p.began
		other.run(4 * time.Second)
		all := c.all()
		for i, m := range all[1:] {
			if m.text == "" && m.init() && i > 0 {
				if before := all[i-1].text + all[i].text; before != `{"codecs":"avc1.4d001f,opus"}{"discontinuity":true}` {
					t.Errorf("the new init section stands behind %q", before)
				}
				parse(t, all)
				if c.count("discontinuity") != 1 {
					t.Errorf("told of %d discontinuities", c.count("discontinuity"))
				}
				return
			}
		}
		t.Error("there is no other init section")
	})
}

func TestResumeExact(t *testing.T) {
	story(t, nil, func(b *bench) {
		chance := rand.New(rand.NewPCG(5, 6))
		p := b.publish(gen.Options{})
		whole := b.dial("", nil)
		defer whole.leave()
		p.run(3 * time.Second)
		var got []message
		query := ""
		for range 20 {
			c := b.dial(query, nil)
			// Up to twelve seconds away: longer than one who is there may lag.
			p.run(time.Duration(chance.IntN(2500)) * time.Millisecond)
			c.cut()
			if h := c.hello(); query != "" && h.Resume != "exact" {
				t.Fatalf("greeted with %+v", h)
			}
			if c.count("discontinuity") > 0 {
				t.Error("told of a discontinuity")
			}
			got = append(got, c.binaries()...)
			query = fmt.Sprintf("?resume=%s&after=%d", c.hello().Session, got[len(got)-1].seq)
			p.run(time.Duration(chance.IntN(12_000)) * time.Millisecond)
		}
		follow := whole.binaries()
		for len(follow) > 0 && follow[0].seq != got[1].seq { // got[0] is the init section, sent again
			follow = follow[1:]
		}
		if len(got) < 100 || len(follow) < len(got)-1 {
			t.Fatalf("%d chunks of %d", len(got), len(follow))
		}
		for i, m := range got[1:] {
			if m.seq != follow[i].seq || !bytes.Equal(m.data, follow[i].data) {
				t.Fatalf("chunk %d is %d, not %d", i, m.seq, follow[i].seq)
			}
		}
		parse(t, got)
		if len(b.metrics.Resumes()) != 19 || b.metrics.Resumes()[0] != "exact" {
			t.Errorf("counted %v", b.metrics.Resumes())
		}
	})
}

// Who is cut off behind an init section that was sent again goes on with what stands behind it.
func TestResumeBehindInit(t *testing.T) {
	story(t, nil, func(b *bench) {
		p := b.publish(gen.Options{})
		whole := b.dial("", nil)
		defer whole.leave()
		p.run(5 * time.Second)
		c := b.dial("", nil)
		synctest.Wait()
		got := c.binaries()
		c.cut()
		again := b.dial(fmt.Sprintf("?resume=token-0&after=%d", got[0].seq), nil)
		synctest.Wait()
		defer again.leave()
		if h, rest := again.hello(), again.binaries(); h.Resume != "exact" || len(rest) != len(got)-1 || rest[0].seq != got[1].seq {
			t.Errorf("%+v, %d chunks of %d", h, len(rest), len(got)-1)
		}
	})
}

func TestResumeAfresh(t *testing.T) {
	story(t, nil, func(b *bench) {
		p := b.publish(gen.Options{})
		c := b.dial("", nil)
		p.run(3 * time.Second)
		c.cut()
		other := b.dial("", nil)
		defer other.leave()
		p.run(2 * time.Second)
		for _, query := range []string{
			fmt.Sprintf("?resume=forged&after=%d", c.last()), "?resume=token-0", "?resume=token-0&after=x",
			fmt.Sprintf("?resume=token-0&after=%d", c.last()+1000), fmt.Sprintf("?resume=old&after=%d", c.last()),
		} {
			again := b.dial(query, nil)
			synctest.Wait()
			if h := again.hello(); h.Resume != "keyframe" || !again.binaries()[0].init() {
				t.Errorf("%s: greeted with %+v", query, h)
			}
			again.leave()
		}
		p.run(25 * time.Second) // it leaves the ring
		again := b.dial(fmt.Sprintf("?resume=token-0&after=%d", c.last()), nil)
		synctest.Wait()
		if h := again.hello(); h.Resume != "keyframe" || !again.binaries()[0].init() {
			t.Errorf("greeted with %+v", h)
		}
		again.leave()
		if got := strings.Join(b.metrics.Resumes(), " "); got != "keyframe keyframe keyframe keyframe expired keyframe" {
			t.Errorf("counted %s", got)
		}
	})
}

func TestResumeWhileHeld(t *testing.T) {
	story(t, nil, func(b *bench) {
		p := b.publish(gen.Options{})
		c := b.dial("", nil)
		p.run(3 * time.Second)
		c.cut()
		again := b.dial(fmt.Sprintf("?resume=token-0&after=%d", c.last()), nil)
		defer again.leave()
		time.Sleep(20 * time.Second) // nothing comes, and it is told all the same
		synctest.Wait()
		if h := again.hello(); h.Resume != "exact" || len(again.all()) != 1 {
			t.Errorf("greeted with %+v, %d messages", h, len(again.all()))
		}
	})
}

func TestEnds(t *testing.T) {
	story(t, nil, func(b *bench) {
		p := b.publish(gen.Options{})
		c := b.dial("", nil)
		p.run(2 * time.Second)
		b.finish()
		if code, reason := c.closed(); code != Ended || reason == "" {
			t.Errorf("closed with %d %q", code, reason)
		}
		if n := parse(t, c.all()); n != 61 {
			t.Errorf("%d pictures", n)
		}
		if code, reason := b.dial("", nil).closed(); code != NotLive || reason != "2" {
			t.Errorf("closed with %d %q", code, reason)
		}
	})
}

func TestRefused(t *testing.T) {
	long := errors.New(strings.Repeat("é", 100))
	for _, r := range []struct {
		err    error
		code   Code
		reason string
	}{
		{errToken, Refused, errToken.Error()},
		{errBusy, Busy, "3"},
		{long, Refused, strings.Repeat("é", 61)},
	} {
		story(t, func(b *bench) { b.refusal = r.err }, func(b *bench) {
			if code, reason := b.dial("", nil).closed(); code != r.code || reason != r.reason {
				t.Errorf("closed with %d %q", code, reason)
			}
		})
	}
}

func TestStop(t *testing.T) {
	story(t, nil, func(b *bench) {
		p := b.publish(gen.Options{})
		reads, stands := b.dial("", nil), b.dial("", nil)
		p.run(2 * time.Second)
		stands.pace(time.Hour)
		p.run(2 * time.Second)
		began := time.Now()
		b.Close()
		if took := time.Since(began); took > 2*time.Second {
			t.Errorf("closing took %v", took)
		}
		if code, _ := reads.closed(); code != Restarting {
			t.Errorf("closed with %d", code)
		}
		stands.cut()
		w := httptest.NewRecorder()
		r := httptest.NewRequest(http.MethodGet, "/live/cam/mse", nil)
		r.Header.Set("Upgrade", "websocket")
		if b.ServeHTTP(w, r); w.Code != http.StatusServiceUnavailable {
			t.Errorf("then %d", w.Code)
		}
	})
}

func TestNotUnderstood(t *testing.T) {
	story(t, nil, func(b *bench) {
		p := b.publish(gen.Options{})
		c, long := b.dial("", nil), b.dial("", nil)
		p.run(time.Second)
		c.say("hello")
		if code, reason := c.closed(); code != notUnderstood || !strings.Contains(reason, "ack") {
			t.Errorf("closed with %d %q", code, reason)
		}
		long.say(strings.Repeat(" ", 2<<10))
		if code, _ := long.closed(); code != 1009 {
			t.Errorf("closed with %d", code)
		}
	})
}

func TestNoWebSocket(t *testing.T) {
	story(t, nil, func(b *bench) {
		w := httptest.NewRecorder()
		b.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/live/cam/mse", nil))
		if w.Code != http.StatusUpgradeRequired || w.Header().Get("Upgrade") != "websocket" || !strings.Contains(w.Body.String(), "wss") {
			t.Errorf("%d %v %s", w.Code, w.Header(), w.Body)
		}
	})
}

func TestMatch(t *testing.T) {
	for path, want := range map[string]bool{
		"/live/cam/mse": true, "/live/cam/mse/": false, "/live/mse": false, "//cam/mse": false, "/live//mse": false, "/live/cam/ms": false,
	} {
		if app, name, ok := Match(path); ok != want || ok && (app != "live" || name != "cam") {
			t.Errorf("%s: %s %s %v", path, app, name, ok)
		}
	}
}
