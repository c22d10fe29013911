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

// protocols are all the ways to watch. What is asked of one is asked of each.
var protocols = []struct {
	name  string // as the metrics say it
	watch func(testing.TB, *relay, string) *viewer
}{
	{"rtmp", watchRTMP},
	{"httpflv", watchFLV},
	{"hls", watchHLS},
	{"mse", watchMSE},
	{"whep", watchWHEP},
}

// everyone watches a stream by each protocol.
func everyone(t testing.TB, r *relay, stream string) []*viewer {
	t.Helper()
	all := make([]*viewer, 0, len(protocols))
	for _, p := range protocols {
		all = append(all, p.watch(t, r, stream))
	}
	return all
}

// Over each kind of break, whoever watches stays, misses nothing that reached the relay, sees
// nothing twice, and is told of another configuration before its keyframe, and only then.
func TestEveryEgressOverBreaks(t *testing.T) {
	t.Parallel()
	r := start(t)
	const stream = "live/cam"
	w := watched{t: t, relay: r, pushes: []*publisher{publish(t, r, stream, gen.Options{Source: 1, GOP: 30})}, taken: map[uint32]bool{}}
	resets := map[uint32]bool{}
	w.pushes[0].atLeast(20)
	w.viewers = everyone(t, r, stream)
	changes := 0
	for n, b := range []struct {
		cause string
		away  time.Duration
		next  gen.Options // of the push after the break
		end   func(p *publisher)
	}{
		{"reset", time.Second, gen.Options{}, (*publisher).reset},
		{"eof", 1500 * time.Millisecond, gen.Options{Start: 40 * time.Minute}, (*publisher).leave},
		{"unpublish", 300 * time.Millisecond, gen.Options{Width: 640, Height: 360}, (*publisher).unpublish},
		{"silence", 0, gen.Options{Width: 640, Height: 360}, (*publisher).halt},
		{"takeover", 0, gen.Options{Width: 640, Height: 360}, func(*publisher) {}},
		{"kick", time.Second, gen.Options{Start: 1<<32*time.Millisecond - time.Second}, func(p *publisher) { r.kick(stream) }},
	} {
		p := w.pushes[n]
		p.atLeast(150)
		b.end(p)
		b.next.Source, b.next.GOP = p.source+1, 30
		resets[p.source] = b.cause == "reset"
		w.taken[p.source] = b.cause == "takeover" || b.cause == "kick"
		if b.cause != "takeover" {
			r.broke(n)
			wait(t, b.away)
		}
		next := publish(t, r, stream, b.next)
		w.pushes = append(w.pushes, next)
		if l := r.broke(n); l.str("cause") != b.cause {
			t.Errorf("%s: %s", b.cause, l.text)
		}
		for _, v := range w.viewers {
			v.saw(gen.ID{Source: b.next.Source})
		}
		clock, key := w.bridged(p, next)
		changed := 0
		if b.cause == "unpublish" || b.cause == "kick" { // the size is another
			changed = 1
		}
		changes += changed
		for _, v := range w.viewers {
			if got := v.toldBefore(gen.ID{Source: b.next.Source}, p.source); got != changed {
				t.Errorf("%s: %s viewer is told of %d configurations of the picture, want %d", b.cause, v.name, got, changed)
			}
		}
		t.Logf("%s: the clock is %v off, the first keyframe took %v", b.cause, clock, key)
	}
	last := w.pushes[len(w.pushes)-1]
	last.atLeast(300) // the HLS segment behind the last discontinuity is whole by then
	last.halt()
	w.settled(last)
	w.whole(resets)
	t.Logf("lip-sync moved by %v", w.inSync())
	for _, v := range w.viewers {
		if v.breaks == nil {
			continue
		}
		v.leave()
		v.running.Wait()
		if got := v.breaks(); got != changes {
			t.Errorf("%s viewer is told of %d discontinuities, want %d", v.name, got, changes)
		}
	}
}

// toldBefore is how many configurations of the picture a viewer got between the last picture
// of a push and a frame.
func (v *viewer) toldBefore(id gen.ID, source uint32) int {
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
	req, err := http.NewRequestWithContext(within(r.t), http.MethodDelete, r.url("admin", "/api/v1/streams/"+stream+"/publisher"), nil)
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

// Whoever joins, live or held, begins at a keyframe: the newest, but for HLS, whose players
// begin where they like.
func TestEveryEgressJoins(t *testing.T) {
	t.Parallel()
	r := start(t)
	const stream = "live/cam"
	p := publish(t, r, stream, gen.Options{Source: 1, GOP: 30, Start: time.Hour})
	p.atLeast(200)
	for _, at := range []string{"live", "held"} {
		if at == "held" {
			p.leave()
			r.broke(0)
		}
		for _, proto := range protocols {
			newest := p.newestKey()
			v := proto.watch(t, r, stream)
			first := v.first(packetbuf.Video)
			if !first.key {
				t.Errorf("%s: %s viewer begins with %+v", at, v.name, first)
			}
			if proto.name != "hls" && !first.filler && first.id.Number < newest {
				t.Errorf("%s: %s viewer begins with frame %d, the newest keyframe is %d", at, v.name, first.id.Number, newest)
			}
			v.more(2)
			v.leave()
		}
	}
}

// first is the first frame of a track, and must come.
func (v *viewer) first(track packetbuf.Track) frame {
	v.t.Helper()
	_, f, err := v.frames.next(within(v.t), 0, func(f frame) bool { return f.track == track && !f.config })
	if err != nil {
		v.t.Fatalf("%s viewer: no %s: %v", v.name, track, err)
	}
	return f
}

// newestKey is the number of the newest keyframe that was written some pictures ago: what has only
// just been written may not have come through the relay.
func (p *publisher) newestKey() (n uint64) {
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

// A viewer that stops reading skips to a keyframe when it goes on, and never sees a picture
// whose references it lacks; who reads on beside it misses nothing.
func TestEveryEgressSkips(t *testing.T) {
	t.Parallel()
	r := start(t, "--defaults.viewer.lag", "1s", "--defaults.buffer.duration", "4s", "--defaults.viewer.write_timeout", patience.String())
	const stream = "live/cam"
	const gop = 30
	p := publish(t, r, stream, gen.Options{Source: 1, GOP: gop, VideoBitrate: 16_000_000})
	p.atLeast(20)
	var steady, all []*viewer
	for _, proto := range protocols {
		if proto.name != "whep" { // a datagram that nobody reads is lost, not late
			steady, all = append(steady, proto.watch(t, r, stream)), append(all, proto.watch(t, r, stream))
		}
	}
	p.atLeast(160)
	for _, v := range all {
		v.saw(gen.ID{Source: 1, Number: 50})
		v.line.stop()
	}
	p.atLeast(700) // 7 s: more than the buffer and the sockets hold
	for _, v := range all {
		v.line.goOn()
	}
	p.atLeast(950)
	p.halt()
	w := watched{t: t, relay: r, pushes: []*publisher{p}, viewers: steady}
	w.settled(p)
	w.whole(nil)
	for _, v := range all {
		v.saw(gen.ID{Source: 1, Number: 350})
		skips := 0
		seen := slices.DeleteFunc(v.seen(1), func(f frame) bool { return f.track != packetbuf.Video })
		for i, f := range seen[1:] {
			if f.id.Number == seen[i].id.Number+1 {
				continue
			}
			skips++
			if !f.key {
				t.Errorf("%s viewer: frame %d after %d", v.name, f.id.Number, seen[i].id.Number)
			}
		}
		if skips == 0 && v.name != "HLS" { // it is still within its window, and misses nothing
			t.Errorf("%s viewer skipped nothing", v.name)
		}
		t.Logf("%s viewer: %d pictures, %d skips", v.name, len(seen), skips)
	}
	for _, proto := range []string{"rtmp", "httpflv", "mse"} {
		if n := r.metric(`holdfast_viewer_skips_total{protocol="` + proto + `"}`); n < 1 {
			t.Errorf("%v skips of %s viewers are counted", n, proto)
		}
	}
}

// A viewer whose line breaks comes back to where it was, where its protocol can say where that
// is; when the buffer no longer has it, or its token is worth nothing, it begins at the newest
// keyframe.
func TestEveryEgressResumes(t *testing.T) {
	t.Parallel()
	r := start(t, "--defaults.buffer.duration", "4s")
	const stream = "live/cam"
	p := publish(t, r, stream, gen.Options{Source: 1, GOP: 30})
	p.atLeast(20)
	viewers := everyone(t, r, stream)
	for n := range uint64(3) {
		for _, v := range viewers {
			v.saw(gen.ID{Source: 1, Number: 30 + 25*n})
			before := v.ways.len()
			v.cut()
			if v.name == "HLS" { // it asks again, as for anything
				continue
			}
			if _, _, err := v.ways.next(within(t), before, func(string) bool { return true }); err != nil {
				t.Fatalf("%s viewer did not come back: %v", v.name, err)
			}
		}
	}
	p.atLeast(300)
	for _, v := range viewers {
		v.saw(gen.ID{Source: 1, Number: 110})
		how := v.ways.all()
		seen, lost := v.seen(1), 0
		if v.deaf[packetbuf.Audio] {
			for i := range seen[1:] {
				lost += max(0, int(seen[i+1].id.Number)-int(seen[i].id.Number)-1) //nolint:gosec // few
			}
		} else {
			lost = v.missing(1)
		}
		switch {
		case v.exact && (lost > 0 || strings.Contains(strings.Join(how, " "), "keyframe")):
			t.Errorf("%s viewer came back %v and misses %d frames", v.name, how, lost)
		case !v.exact && strings.Join(how, " ") != "keyframe keyframe keyframe":
			t.Errorf("%s viewer came back %v", v.name, how)
		}
		t.Logf("%s viewer came back %v", v.name, how)
	}
	for _, gone := range []string{"buffer", "token"} {
		for _, v := range viewers {
			if !v.exact || v.name == "HLS" { // whose players hold no token
				continue
			}
			before := v.ways.len()
			v.line.stop()
			if v.line.spoiled.Store(gone == "token"); gone == "buffer" {
				wait(t, 6*time.Second)
			}
			v.line.cut()
			v.line.goOn()
			if _, how, err := v.ways.next(within(t), before, func(string) bool { return true }); err != nil || how != "keyframe" {
				t.Errorf("%s viewer without its %s came back %q, %v", v.name, gone, how, err)
			}
			from := v.frames.len()
			if _, f, err := v.frames.next(within(t), from, func(f frame) bool { return f.track == packetbuf.Video && !f.config }); err != nil || f.id.Number == 0 {
				t.Errorf("%s viewer without its %s goes on with %+v, %v", v.name, gone, f, err)
			}
		}
	}
	for _, proto := range []string{"httpflv", "mse"} {
		exact := r.metric(`holdfast_viewer_resumes_total{outcome="exact",protocol="` + proto + `"}`)
		afresh := r.metric(`holdfast_viewer_resumes_total{outcome="keyframe",protocol="` + proto + `"}`)
		if exact != 3 || afresh != 2 {
			t.Errorf("%s: %v exact and %v fresh resumes are counted", proto, exact, afresh)
		}
	}
}

// missing is how many frames of a push a viewer lacks between its first and its last.
func (v *viewer) missing(source uint32) (n int) {
	var last [packetbuf.NumTracks]*gen.ID
	for _, f := range v.seen(source) {
		if was := last[f.track]; was != nil {
			n += max(0, int(f.id.Number)-int(was.Number)-1) //nolint:gosec // few
		}
		last[f.track] = &f.id
	}
	return n
}

// The end of a stream ends its viewers, in the terms of their protocol, and nothing of them is
// left.
func TestEveryEgressEnds(t *testing.T) {
	t.Parallel()
	r := start(t, "--defaults.hold", "500ms")
	const stream = "live/cam"
	idle := r.metric("go_goroutines")
	p := publish(t, r, stream, gen.Options{Source: 1, GOP: 30})
	p.atLeast(20)
	leaving, staying := everyone(t, r, stream), everyone(t, r, stream)
	p.atLeast(100)
	for _, v := range leaving {
		v.first(packetbuf.Video)
		v.leave()
	}
	for _, proto := range protocols {
		until(t, "those who left are gone: "+proto.name, func() bool {
			return r.metric(`holdfast_viewers{protocol="`+proto.name+`",stream="`+stream+`"}`) == 1
		})
	}
	p.leave()
	r.broke(0)
	for _, v := range staying {
		v.ends()
	}
	until(t, "nothing of them is left", func() bool {
		http.DefaultClient.CloseIdleConnections()
		return r.metric("go_goroutines") <= idle+4
	})
}
