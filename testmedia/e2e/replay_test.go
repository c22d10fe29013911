//go:build unix

package e2e

import (
	"net/http"
	"slices"
	"testing"

	"github.com/holdfast-live/holdfast/packetbuf"
	"github.com/holdfast-live/holdfast/testmedia/gen"
)

// TestReplayMissed checks that with replay: missed, each of two servers has what the other lacks, whenever
// the first is killed.
func TestReplayMissed(t *testing.T) {
	t.Parallel()
	const stream, gop = "live/cam", 2 * 77 // frames in two seconds
	a, b := startNginxRTMP(t), startNginxRTMP(t)
	r := startWithRoutes(t, group{
		list: "push", urls: pushURLs(a.addr, b.addr),
		more: "replay: missed, redial: {base: 100ms}, failover: {after: 500ms, rise: 1s, probe: 200ms}",
	})
	p := publish(t, r, stream, gen.Options{Source: 1, BFrames: 2})
	r.waitCarries(stream, "a")
	at := 0 // index of the last log line that was awaited
	for _, kill := range []struct {
		when  string
		ready func()
	}{
		{"amid a GOP", func() { p.waitSent(p.sent.len() + gop*11/10) }},
		{"just after a keyframe", func() {
			r.waitCarries(stream, "a")
			p.waitKeyframe()
		}},
		{"as it gets the stream back", func() { at, _ = r.waitRouteLog(at+1, "route switch", "a") }},
		{"just before a keyframe", func() {
			r.waitCarries(stream, "a")
			p.waitKeyframe()
			p.waitSent(p.keyframeIndex() + gop - 4)
		}},
	} {
		kill.ready()
		a.kill()
		at, _ = r.waitRouteLog(at+1, "route switch", "b")
		t.Logf("killed %s: %s", kill.when, r.routeStatus(stream).Decisions[0].Text)
		a.start()
		// Otherwise it would have to be healthy for longer each time.
		if status, reason := r.routeAction(http.MethodPost, "routes/cdn/"+stream+"/reset", `{"route": "a"}`); status != http.StatusNoContent {
			t.Fatal(status, reason)
		}
	}
	r.waitCarries(stream, "a")
	p.waitSent(p.sent.len() + 100)
	p.pause()
	last := p.sent.all()[p.sent.len()-1].id
	waitUntil(t, "the last frame is recorded", func() bool { return recordedFrames(t, a)[last] })

	all := recordedFrames(t, a)
	onA := len(all)
	for id := range recordedFrames(t, b) {
		all[id] = true
	}
	missing := 0
	for _, f := range p.sent.all() {
		if !all[f.id] {
			missing++
			if missing < 10 {
				t.Errorf("no server has %s frame %d", f.id.Track, f.id.Number)
			}
		}
	}
	t.Logf("of %d frames %d are missing; the first server has %d", p.sent.len(), missing, onA)
}

// waitKeyframe waits until a keyframe is sent, and keyframeIndex returns the index of the last one.
func (p *publisher) waitKeyframe() {
	p.t.Helper()
	if _, _, err := p.sent.waitFor(waitContext(p.t), p.sent.len(), func(f sentFrame) bool { return f.key }); err != nil {
		p.t.Fatal(err)
	}
}

func (p *publisher) keyframeIndex() int {
	sent := p.sent.all()
	for i, f := range slices.Backward(sent) {
		if f.key {
			return i
		}
	}
	return 0
}

// recordedFrames returns the frames that a server has recorded.
func recordedFrames(t *testing.T, n *nginx) map[gen.ID]bool {
	t.Helper()
	got := map[gen.ID]bool{}
	for _, file := range n.recordings() {
		for _, tag := range readTags(t, file) {
			packet, err := tag.Packet()
			if err != nil {
				t.Fatalf("%s: %v", file, err)
			}
			if packet == nil || !packet.Media() {
				continue
			}
			if packet.Track == packetbuf.Video {
				packet.Payload = withoutParameterSets(packet.Payload)
			}
			id, err := gen.Identify(packet)
			if err != nil {
				t.Fatalf("%s: %v", file, err)
			}
			got[id] = true
		}
	}
	return got
}
