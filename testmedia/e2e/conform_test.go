//go:build unix

package e2e

import (
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/holdfast-live/holdfast/packetbuf"
	"github.com/holdfast-live/holdfast/testmedia/gen"
)

// protocols are all viewer protocols. Each must pass the same tests.
var protocols = []struct {
	name  string // label value in the metrics
	watch func(testing.TB, *relay, string) *viewer
}{
	{"rtmp", watchRTMP},
	{"httpflv", watchFLV},
	{"hls", watchHLS},
	{"mse", watchMSE},
	{"whep", watchWHEP},
}

// watchAll watches a stream over each protocol.
func watchAll(t testing.TB, r *relay, stream string) []*viewer {
	t.Helper()
	all := make([]*viewer, 0, len(protocols))
	for _, p := range protocols {
		all = append(all, p.watch(t, r, stream))
	}
	return all
}

// TestEveryEgressOverBreaks checks every protocol over each kind of break. Viewers stay, miss nothing that
// reached the relay and receive nothing twice. They receive a new configuration before its keyframe, and
// only then.
func TestEveryEgressOverBreaks(t *testing.T) {
	t.Parallel()
	r := startRelay(t)
	const stream = "live/cam"
	w := streamCheck{t: t, relay: r, pushes: []*publisher{publish(t, r, stream, gen.Options{Source: 1, GOP: 30})}, takenOver: map[uint32]bool{}}
	resets := map[uint32]bool{}
	w.pushes[0].waitSent(20)
	w.viewers = watchAll(t, r, stream)
	changes := 0
	for n, b := range []struct {
		cause string
		away  time.Duration
		next  gen.Options // options of the push after the break
		end   func(p *publisher)
	}{
		{"reset", time.Second, gen.Options{}, (*publisher).reset},
		{"eof", 1500 * time.Millisecond, gen.Options{Start: 40 * time.Minute}, (*publisher).disconnect},
		{"unpublish", 300 * time.Millisecond, gen.Options{Width: 640, Height: 360}, (*publisher).unpublish},
		{"silence", 0, gen.Options{Width: 640, Height: 360}, (*publisher).pause},
		{"takeover", 0, gen.Options{Width: 640, Height: 360}, func(*publisher) {}},
		{"kick", time.Second, gen.Options{Start: 1<<32*time.Millisecond - time.Second}, func(p *publisher) { r.kick(stream) }},
	} {
		p := w.pushes[n]
		p.waitSent(150)
		b.end(p)
		b.next.Source, b.next.GOP = p.source+1, 30
		resets[p.source] = b.cause == "reset"
		w.takenOver[p.source] = b.cause == "takeover" || b.cause == "kick"
		if b.cause != "takeover" {
			r.waitBreak(n)
			sleep(t, b.away)
		}
		next := publish(t, r, stream, b.next)
		w.pushes = append(w.pushes, next)
		if l := r.waitBreak(n); l.str("cause") != b.cause {
			t.Errorf("%s: got %s", b.cause, l.text)
		}
		for _, v := range w.viewers {
			v.waitFrame(gen.ID{Source: b.next.Source})
		}
		clock, key := w.checkClock(p, next)
		changed := 0
		if b.cause == "unpublish" || b.cause == "kick" { // the frame size changes
			changed = 1
		}
		changes += changed
		for _, v := range w.viewers {
			if got := v.configsBefore(gen.ID{Source: b.next.Source}, p.source); got != changed {
				t.Errorf("%s: %s viewer got %d video configurations, want %d", b.cause, v.name, got, changed)
			}
		}
		t.Logf("%s: the clock is %v off, the first keyframe took %v", b.cause, clock, key)
	}
	last := w.pushes[len(w.pushes)-1]
	last.waitSent(300) // by then the HLS segment after the last discontinuity is complete
	last.pause()
	w.waitSettled(last)
	w.checkComplete(resets)
	t.Logf("lip-sync shifted by %v", w.checkSync())
	for _, v := range w.viewers {
		if v.discontinuities == nil {
			continue
		}
		v.leave()
		v.running.Wait()
		if got := v.discontinuities(); got != changes {
			t.Errorf("%s viewer: got %d discontinuities, want %d", v.name, got, changes)
		}
	}
}

// configsBefore returns how many video configurations a viewer received between the last video frame of a
// push and another frame.
func (v *viewer) configsBefore(id gen.ID, source uint32) int {
	n := 0
	for _, f := range v.frames.all() {
		switch {
		case f.track != packetbuf.Video:
		case f.config:
			n++
		case f.filler:
		case f.id == id:
			return n
		case f.id.Source == source:
			n = 0
		}
	}
	return n
}

// kick closes a stream's publisher through the API.
func (r *relay) kick(stream string) {
	r.t.Helper()
	req, err := http.NewRequestWithContext(waitContext(r.t), http.MethodDelete, r.url("admin", "/api/v1/streams/"+stream+"/publisher"), nil)
	if err != nil {
		r.t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		r.t.Fatal(err)
	}
	_ = resp.Body.Close()
	if resp.StatusCode/100 != 2 {
		r.t.Errorf("kick: %s", resp.Status)
	}
}

// TestEveryEgressJoins checks that a viewer of a live or held stream begins at the newest keyframe. HLS
// players choose any keyframe.
func TestEveryEgressJoins(t *testing.T) {
	t.Parallel()
	r := startRelay(t)
	const stream = "live/cam"
	p := publish(t, r, stream, gen.Options{Source: 1, GOP: 30, Start: time.Hour})
	p.waitSent(200)
	for _, at := range []string{"live", "held"} {
		if at == "held" {
			p.disconnect()
			r.waitBreak(0)
		}
		for _, proto := range protocols {
			newest := p.newestKeyframe()
			v := proto.watch(t, r, stream)
			first := v.firstFrame(packetbuf.Video)
			if !first.key {
				t.Errorf("%s: %s viewer begins with %+v, want a keyframe", at, v.name, first)
			}
			if proto.name != "hls" && !first.filler && first.id.Number < newest {
				t.Errorf("%s: %s viewer begins with frame %d, want the newest keyframe %d", at, v.name, first.id.Number, newest)
			}
			v.waitFrames(2)
			v.leave()
		}
	}
}

// firstFrame waits for the first frame of a track.
func (v *viewer) firstFrame(track packetbuf.Track) frame {
	v.t.Helper()
	_, f, err := v.frames.waitFor(waitContext(v.t), 0, func(f frame) bool { return f.track == track && !f.config })
	if err != nil {
		v.t.Fatalf("%s viewer: wait for %s: %v", v.name, track, err)
	}
	return f
}

// newestKeyframe returns the number of the newest keyframe that was sent at least some frames ago. The
// newest frames may still be on their way through the relay.
func (p *publisher) newestKeyframe() (n uint64) {
	const behind = 5
	var last, key uint64
	for _, f := range p.sent.all() {
		if f.id.Track != packetbuf.Video {
			continue
		}
		last = f.id.Number
		if f.key {
			key = last
		}
		if last >= key+behind {
			n = key
		}
	}
	return n
}

// TestEveryEgressSkips checks that a viewer that stops reading skips to a keyframe when it continues, and
// never receives a frame without its references. Other viewers miss nothing.
func TestEveryEgressSkips(t *testing.T) {
	t.Parallel()
	r := startRelay(t, "--defaults.viewer.lag", "1s", "--defaults.buffer.duration", "4s", "--defaults.viewer.write_timeout", waitLimit.String())
	const stream = "live/cam"
	const gop = 30
	p := publish(t, r, stream, gen.Options{Source: 1, GOP: gop, VideoBitrate: 16_000_000})
	p.waitSent(20)
	var steady, all []*viewer
	for _, proto := range protocols {
		if proto.name != "whep" { // unread datagrams are lost, not delayed
			steady, all = append(steady, proto.watch(t, r, stream)), append(all, proto.watch(t, r, stream))
		}
	}
	p.waitSent(160)
	for _, v := range all {
		v.waitFrame(gen.ID{Source: 1, Number: 50})
		v.wire.pauseReads()
	}
	p.waitSent(700) // 7 s: more than the buffer and the sockets hold
	for _, v := range all {
		v.wire.resumeReads()
	}
	p.waitSent(950)
	p.pause()
	w := streamCheck{t: t, relay: r, pushes: []*publisher{p}, viewers: steady}
	w.waitSettled(p)
	w.checkComplete(nil)
	for _, v := range all {
		v.waitFrame(gen.ID{Source: 1, Number: 350})
		skips := 0
		seen := slices.DeleteFunc(v.framesFrom(1), func(f frame) bool { return f.track != packetbuf.Video })
		for i, f := range seen[1:] {
			if f.id.Number == seen[i].id.Number+1 {
				continue
			}
			skips++
			if !f.key {
				t.Errorf("%s viewer: got frame %d after %d", v.name, f.id.Number, seen[i].id.Number)
			}
		}
		if skips == 0 && v.name != "HLS" { // the position is still in the window
			t.Errorf("%s viewer: got no skip", v.name)
		}
		t.Logf("%s viewer: got %d frames and %d skips", v.name, len(seen), skips)
	}
	for _, proto := range []string{"rtmp", "httpflv", "mse"} {
		if n := r.metric(`holdfast_viewer_skips_total{protocol="` + proto + `"}`); n < 1 {
			t.Errorf("got %v skips of %s viewers in the metrics", n, proto)
		}
	}
}

// TestEveryEgressResumes checks that a viewer whose connection breaks resumes at its position, if its
// protocol can express it. If the buffer no longer has the position, or the token is invalid, the viewer
// begins at the newest keyframe.
func TestEveryEgressResumes(t *testing.T) {
	t.Parallel()
	r := startRelay(t, "--defaults.buffer.duration", "4s")
	const stream = "live/cam"
	p := publish(t, r, stream, gen.Options{Source: 1, GOP: 30})
	p.waitSent(20)
	viewers := watchAll(t, r, stream)
	for n := range uint64(3) {
		for _, v := range viewers {
			v.waitFrame(gen.ID{Source: 1, Number: 30 + 25*n})
			before := v.resumeModes.len()
			v.cut()
			if v.name == "HLS" { // a request like any other
				continue
			}
			if _, _, err := v.resumeModes.waitFor(waitContext(t), before, func(string) bool { return true }); err != nil {
				t.Fatalf("%s viewer did not return: %v", v.name, err)
			}
		}
	}
	p.waitSent(300)
	for _, v := range viewers {
		v.waitFrame(gen.ID{Source: 1, Number: 110})
		how := v.resumeModes.all()
		seen, lost := v.framesFrom(1), 0
		if v.ignores[packetbuf.Audio] {
			for i := range seen[1:] {
				lost += max(0, int(seen[i+1].id.Number)-int(seen[i].id.Number)-1) //nolint:gosec // few
			}
		} else {
			lost = v.missingFrames(1)
		}
		switch {
		case v.resumesExactly && (lost > 0 || strings.Contains(strings.Join(how, " "), "keyframe")):
			t.Errorf("%s viewer resumed %v and missed %d frames", v.name, how, lost)
		case !v.resumesExactly && strings.Join(how, " ") != "keyframe keyframe keyframe":
			t.Errorf("%s viewer resumed %v", v.name, how)
		}
		t.Logf("%s viewer resumed %v", v.name, how)
	}
	for _, gone := range []string{"buffer", "token"} {
		for _, v := range viewers {
			if !v.resumesExactly || v.name == "HLS" { // HLS players have no token
				continue
			}
			before := v.resumeModes.len()
			v.wire.pauseReads()
			if v.wire.tokenInvalid.Store(gone == "token"); gone == "buffer" {
				sleep(t, 6*time.Second)
			}
			v.wire.cut()
			v.wire.resumeReads()
			if _, how, err := v.resumeModes.waitFor(waitContext(t), before, func(string) bool { return true }); err != nil || how != "keyframe" {
				t.Errorf("%s viewer without its %s resumed %q, %v", v.name, gone, how, err)
			}
			from := v.frames.len()
			if _, f, err := v.frames.waitFor(waitContext(t), from, func(f frame) bool { return f.track == packetbuf.Video && !f.config }); err != nil || f.id.Number == 0 {
				t.Errorf("%s viewer without its %s continued with %+v, %v", v.name, gone, f, err)
			}
		}
	}
	for _, proto := range []string{"httpflv", "mse"} {
		exact := r.metric(`holdfast_viewer_resumes_total{outcome="exact",protocol="` + proto + `"}`)
		afresh := r.metric(`holdfast_viewer_resumes_total{outcome="keyframe",protocol="` + proto + `"}`)
		if exact != 3 || afresh != 2 {
			t.Errorf("%s: got %v exact and %v fresh resumes in the metrics", proto, exact, afresh)
		}
	}
}

// missingFrames returns how many frames of a push a viewer lacks between its first and its last.
func (v *viewer) missingFrames(source uint32) (n int) {
	var last [packetbuf.NumTracks]*gen.ID
	for _, f := range v.framesFrom(source) {
		if was := last[f.track]; was != nil {
			n += max(0, int(f.id.Number)-int(was.Number)-1) //nolint:gosec // few
		}
		last[f.track] = &f.id
	}
	return n
}

// TestEveryEgressEnds checks that the end of a stream ends its viewers as their protocol requires, and
// that the relay keeps no state of them.
func TestEveryEgressEnds(t *testing.T) {
	t.Parallel()
	r := startRelay(t, "--defaults.hold", "500ms")
	const stream = "live/cam"
	idle := r.metric("go_goroutines")
	p := publish(t, r, stream, gen.Options{Source: 1, GOP: 30})
	p.waitSent(20)
	leaving, staying := watchAll(t, r, stream), watchAll(t, r, stream)
	p.waitSent(100)
	for _, v := range leaving {
		v.firstFrame(packetbuf.Video)
		v.leave()
	}
	for _, proto := range protocols {
		waitUntil(t, "no viewers left over "+proto.name, func() bool {
			return r.metric(`holdfast_viewers{protocol="`+proto.name+`",stream="`+stream+`"}`) == 1
		})
	}
	p.disconnect()
	r.waitBreak(0)
	for _, v := range staying {
		v.checkEnd()
	}
	waitUntil(t, "no viewer is left", func() bool {
		http.DefaultClient.CloseIdleConnections()
		return r.metric("go_goroutines") <= idle+4
	})
}
