//go:build unix

package e2e

import (
	"net/http"
	"slices"
	"testing"

	"github.com/holdfast-live/holdfast/packetbuf"
	"github.com/holdfast-live/holdfast/testmedia/gen"
)

// With replay: missed, what one server does not have the other has, whenever the first is
// killed.
func TestReplayMissed(t *testing.T) {
	t.Parallel()
	const stream, gop = "live/cam", 2 * 77 // frames
	a, b := nginxRTMP(t), nginxRTMP(t)
	r := routing(t, group{
		list: "push", urls: pushTo(a.addr, b.addr),
		more: "replay: missed, redial: {base: 100ms}, failover: {after: 500ms, rise: 1s, probe: 200ms}",
	})
	p := publish(t, r, stream, gen.Options{Source: 1, BFrames: 2})
	r.carries(stream, "a")
	at := 0 // the last line of the log that was waited for
	for _, kill := range []struct {
		when  string
		ready func()
	}{
		{"amid a GOP", func() { p.atLeast(p.sent.len() + gop*11/10) }},
		{"just after a keyframe", func() {
			r.carries(stream, "a")
			p.nextKey()
		}},
		{"as it gets the stream back", func() { at, _ = r.routeLine(at+1, "route switch", "a") }},
		{"just before a keyframe", func() {
			r.carries(stream, "a")
			p.nextKey()
			p.atLeast(p.keyAt() + gop - 4)
		}},
	} {
		kill.ready()
		a.kill()
		at, _ = r.routeLine(at+1, "route switch", "b")
		t.Logf("killed %s: %s", kill.when, r.route(stream).Decisions[0].Text)
		a.start()
		// Else each time it would have to be healthy for longer.
		if status, why := r.acts(http.MethodPost, "routes/cdn/"+stream+"/reset", `{"route": "a"}`); status != http.StatusNoContent {
			t.Fatal(status, why)
		}
	}
	r.carries(stream, "a")
	p.atLeast(p.sent.len() + 100)
	p.halt()
	last := p.sent.all()[p.sent.len()-1].id
	until(t, "the last frame is recorded", func() bool { return recorded(t, a)[last] })

	all := recorded(t, a)
	onA := len(all)
	for id := range recorded(t, b) {
		all[id] = true
	}
	missing := 0
	for _, f := range p.sent.all() {
		if !all[f.id] {
			missing++
			if missing < 10 {
				t.Errorf("nobody has %s frame %d", f.id.Track, f.id.Number)
			}
		}
	}
	t.Logf("of %d frames %d are missing; the first server has %d", p.sent.len(), missing, onA)
}

// nextKey waits until a keyframe is sent, and keyAt says where the last one stands.
func (p *publisher) nextKey() {
	p.t.Helper()
	if _, _, err := p.sent.next(within(p.t), p.sent.len(), func(f sentFrame) bool { return f.key }); err != nil {
		p.t.Fatal(err)
	}
}

func (p *publisher) keyAt() int {
	sent := p.sent.all()
	for i, f := range slices.Backward(sent) {
		if f.key {
			return i
		}
	}
	return 0
}

// recorded are the frames that a server has recorded.
func recorded(t *testing.T, n *nginx) map[gen.ID]bool {
	t.Helper()
	got := map[gen.ID]bool{}
	for _, file := range n.recordings() {
		for _, tag := range tags(t, file) {
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
