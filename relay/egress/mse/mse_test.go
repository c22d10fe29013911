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
		p.publishFor(6 * time.Second)
		if h := c.hello(); h.Session != "token-0" || h.Codecs != "avc1.4d001f,mp4a.40.2" || h.Resume != "none" {
			t.Errorf("got greeting %+v", h)
		}
		all := c.binaries()
		if !all[0].init() || len(all) < 55 {
			t.Fatalf("got %d chunks, init section first: %v", len(all), all[0].init())
		}
		for i, m := range all[1:] {
			if m.seq != all[i].seq+1 {
				t.Fatalf("got chunk %d after %d", m.seq, all[i].seq)
			}
		}
		if n := parse(t, all); n < 170 {
			t.Errorf("got %d video frames", n)
		}
		// A viewer that joins later begins at a keyframe, after the same init section.
		late := b.dial("", nil)
		synctest.Wait()
		defer late.leave()
		if got := late.binaries(); !got[0].init() || !bytes.Equal(got[0].data, all[0].data) || len(got) < 2 || got[1].seq <= all[1].seq || got[0].seq != got[1].seq-1 {
			t.Errorf("late viewer: got %d chunks", len(got))
		}
		if b.metrics.First.Load() != 2 || b.playing.Load() != 2 || b.skipped.Load() != 0 || b.metrics.Bytes.Load() == 0 {
			t.Errorf("got %d joins, %d viewers, %d skips, %d bytes", b.metrics.First.Load(), b.playing.Load(), b.skipped.Load(), b.metrics.Bytes.Load())
		}
	})
}

// The first viewer creates a feed that cuts the stream's whole buffer, and begins at its end.
func TestFirstViewer(t *testing.T) {
	story(t, nil, func(b *bench) {
		p := b.publish(gen.Options{})
		p.publishFor(17 * time.Second)
		began := time.Now()
		c := b.dial("", nil)
		defer c.leave()
		if took := time.Since(began); took > 0 {
			t.Errorf("join took %v", took)
		}
		p.publishFor(time.Second)
		all := c.binaries()
		if n := parse(t, all); n < 55 || n > 65 || c.count("discontinuity") != 0 || b.skipped.Load() != 0 {
			t.Errorf("got %d video frames of the two seconds since the keyframe, %d discontinuities", n, c.count("discontinuity"))
		}
	})
}

// A viewer can join a stream that is held without audio.
func TestFirstViewerWhileHeld(t *testing.T) {
	story(t, nil, func(b *bench) {
		p := b.publish(gen.Options{})
		p.publishFor(7 * time.Second)
		time.Sleep(10 * time.Second)
		c := b.dial("", nil)
		defer c.leave()
		time.Sleep(time.Second)
		synctest.Wait()
		if n := parse(t, c.received()); c.hello().Resume != "none" || n < 25 || n > 35 {
			t.Errorf("got %d video frames of the second since the keyframe", n)
		}
	})
}

func TestCodecChange(t *testing.T) {
	story(t, nil, func(b *bench) {
		p := b.publish(gen.Options{})
		c := b.dial("", nil)
		defer c.leave()
		p.publishFor(4 * time.Second)
		other := b.publish(gen.Options{Source: 1, AudioCodec: packetbuf.Opus, Start: 4 * time.Second})
		other.seq, other.began = p.seq, p.began
		other.publishFor(4 * time.Second)
		all := c.received()
		for i, m := range all[1:] {
			if m.text == "" && m.init() && i > 0 {
				if before := all[i-1].text + all[i].text; before != `{"codecs":"avc1.4d001f,opus"}{"discontinuity":true}` {
					t.Errorf("new init section follows %q", before)
				}
				parse(t, all)
				if c.count("discontinuity") != 1 {
					t.Errorf("got %d discontinuities", c.count("discontinuity"))
				}
				return
			}
		}
		t.Error("got no second init section")
	})
}

func TestResumeExact(t *testing.T) {
	story(t, nil, func(b *bench) {
		chance := rand.New(rand.NewPCG(5, 6))
		p := b.publish(gen.Options{})
		whole := b.dial("", nil)
		defer whole.leave()
		p.publishFor(3 * time.Second)
		var got []message
		query := ""
		for range 20 {
			c := b.dial(query, nil)
			// Up to twelve seconds away: longer than the lag of a connected viewer.
			p.publishFor(time.Duration(chance.IntN(2500)) * time.Millisecond)
			c.cut()
			if h := c.hello(); query != "" && h.Resume != "exact" {
				t.Fatalf("got greeting %+v", h)
			}
			if c.count("discontinuity") > 0 {
				t.Error("got a discontinuity, want none")
			}
			got = append(got, c.binaries()...)
			query = fmt.Sprintf("?resume=%s&after=%d", c.hello().Session, got[len(got)-1].seq)
			p.publishFor(time.Duration(chance.IntN(12_000)) * time.Millisecond)
		}
		follow := whole.binaries()
		for len(follow) > 0 && follow[0].seq != got[1].seq { // got[0] is the repeated init section
			follow = follow[1:]
		}
		if len(got) < 100 || len(follow) < len(got)-1 {
			t.Fatalf("got %d chunks of %d", len(got), len(follow))
		}
		for i, m := range got[1:] {
			if m.seq != follow[i].seq || !bytes.Equal(m.data, follow[i].data) {
				t.Fatalf("chunk %d: got %d, want %d", i, m.seq, follow[i].seq)
			}
		}
		parse(t, got)
		if len(b.metrics.Resumes()) != 19 || b.metrics.Resumes()[0] != "exact" {
			t.Errorf("got resumes %v", b.metrics.Resumes())
		}
	})
}

// A viewer that is cut off after a repeated init section continues with the chunk after it.
func TestResumeAfterInit(t *testing.T) {
	story(t, nil, func(b *bench) {
		p := b.publish(gen.Options{})
		whole := b.dial("", nil)
		defer whole.leave()
		p.publishFor(5 * time.Second)
		c := b.dial("", nil)
		synctest.Wait()
		got := c.binaries()
		c.cut()
		again := b.dial(fmt.Sprintf("?resume=token-0&after=%d", got[0].seq), nil)
		synctest.Wait()
		defer again.leave()
		if h, rest := again.hello(), again.binaries(); h.Resume != "exact" || len(rest) != len(got)-1 || rest[0].seq != got[1].seq {
			t.Errorf("got greeting %+v, %d chunks of %d", h, len(rest), len(got)-1)
		}
	})
}

func TestResumeAtKeyframe(t *testing.T) {
	story(t, nil, func(b *bench) {
		p := b.publish(gen.Options{})
		c := b.dial("", nil)
		p.publishFor(3 * time.Second)
		c.cut()
		other := b.dial("", nil)
		defer other.leave()
		p.publishFor(2 * time.Second)
		for _, query := range []string{
			fmt.Sprintf("?resume=forged&after=%d", c.last()), "?resume=token-0", "?resume=token-0&after=x",
			fmt.Sprintf("?resume=token-0&after=%d", c.last()+1000), fmt.Sprintf("?resume=old&after=%d", c.last()),
		} {
			again := b.dial(query, nil)
			synctest.Wait()
			if h := again.hello(); h.Resume != "keyframe" || !again.binaries()[0].init() {
				t.Errorf("%s: got greeting %+v", query, h)
			}
			again.leave()
		}
		p.publishFor(25 * time.Second) // the chunk leaves the ring
		again := b.dial(fmt.Sprintf("?resume=token-0&after=%d", c.last()), nil)
		synctest.Wait()
		if h := again.hello(); h.Resume != "keyframe" || !again.binaries()[0].init() {
			t.Errorf("got greeting %+v", h)
		}
		again.leave()
		if got := strings.Join(b.metrics.Resumes(), " "); got != "keyframe keyframe keyframe keyframe expired keyframe" {
			t.Errorf("got resumes %s", got)
		}
	})
}

func TestResumeWhileHeld(t *testing.T) {
	story(t, nil, func(b *bench) {
		p := b.publish(gen.Options{})
		c := b.dial("", nil)
		p.publishFor(3 * time.Second)
		c.cut()
		again := b.dial(fmt.Sprintf("?resume=token-0&after=%d", c.last()), nil)
		defer again.leave()
		time.Sleep(20 * time.Second) // no media arrives; the greeting must
		synctest.Wait()
		if h := again.hello(); h.Resume != "exact" || len(again.received()) != 1 {
			t.Errorf("got greeting %+v, %d messages", h, len(again.received()))
		}
	})
}

func TestEnds(t *testing.T) {
	story(t, nil, func(b *bench) {
		p := b.publish(gen.Options{})
		c := b.dial("", nil)
		p.publishFor(2 * time.Second)
		b.finish()
		if code, reason := c.closed(); code != Ended || reason == "" {
			t.Errorf("got close code %d %q", code, reason)
		}
		if n := parse(t, c.received()); n != 61 {
			t.Errorf("got %d video frames", n)
		}
		if code, reason := b.dial("", nil).closed(); code != NotLive || reason != "2" {
			t.Errorf("got close code %d %q", code, reason)
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
				t.Errorf("got close code %d %q", code, reason)
			}
		})
	}
}

func TestClose(t *testing.T) {
	story(t, nil, func(b *bench) {
		p := b.publish(gen.Options{})
		reads, stands := b.dial("", nil), b.dial("", nil)
		p.publishFor(2 * time.Second)
		stands.pace(time.Hour)
		p.publishFor(2 * time.Second)
		began := time.Now()
		b.Close()
		if took := time.Since(began); took > 2*time.Second {
			t.Errorf("Close took %v", took)
		}
		if code, _ := reads.closed(); code != Restarting {
			t.Errorf("got close code %d", code)
		}
		stands.cut()
		w := httptest.NewRecorder()
		r := httptest.NewRequest(http.MethodGet, "/live/cam/mse", nil)
		r.Header.Set("Upgrade", "websocket")
		if b.ServeHTTP(w, r); w.Code != http.StatusServiceUnavailable {
			t.Errorf("after Close: got status %d", w.Code)
		}
	})
}

func TestMalformedMessage(t *testing.T) {
	story(t, nil, func(b *bench) {
		p := b.publish(gen.Options{})
		c, long := b.dial("", nil), b.dial("", nil)
		p.publishFor(time.Second)
		c.send("hello")
		if code, reason := c.closed(); code != malformed || !strings.Contains(reason, "ack") {
			t.Errorf("got close code %d %q", code, reason)
		}
		long.send(strings.Repeat(" ", 2<<10))
		if code, _ := long.closed(); code != 1009 {
			t.Errorf("got close code %d", code)
		}
	})
}

func TestNoWebSocket(t *testing.T) {
	story(t, nil, func(b *bench) {
		w := httptest.NewRecorder()
		b.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/live/cam/mse", nil))
		if w.Code != http.StatusUpgradeRequired || w.Header().Get("Upgrade") != "websocket" || !strings.Contains(w.Body.String(), "wss") {
			t.Errorf("got status %d %v %s", w.Code, w.Header(), w.Body)
		}
	})
}

func TestMatch(t *testing.T) {
	for path, want := range map[string]bool{
		"/live/cam/mse": true, "/live/cam/mse/": false, "/live/mse": false, "//cam/mse": false, "/live//mse": false, "/live/cam/ms": false,
	} {
		if app, name, ok := Match(path); ok != want || ok && (app != "live" || name != "cam") {
			t.Errorf("Match(%s) = %s, %s, %v", path, app, name, ok)
		}
	}
}
