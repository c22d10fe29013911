//go:build unix

package e2e

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/holdfast-live/holdfast/packetbuf"
	"github.com/holdfast-live/holdfast/testmedia/gen"
)

// Both outputs of one encoder push. The primary is cut off, comes back, has the stream again, and
// hangs: nobody who watches misses a frame or sees one twice.
func TestBackupOfTheSameEncoder(t *testing.T) {
	t.Parallel()
	r := start(t, "--defaults.backup_return", "3s")
	const stream = "live/cam"
	o := gen.Options{Source: 1, GOP: 30}
	first := publish(t, r, stream, o)
	spare := publish(t, r, stream+"?backup=1", o)
	spare.atLeast(100)
	viewers := both(t, r, stream)
	for _, v := range viewers {
		v.joins()
	}
	spare.atLeast(spare.sent.len() + 50 + rand.IntN(100)) //nolint:gosec // any moment is right
	first.reset()
	r.nth("backup took over", 0)
	again := publish(t, r, stream, o)
	again.atLeast(1) // with the configuration
	again.halt()
	again.origin = first.origin // the encoder has gone on
	again.skip()
	r.nth("primary has the stream back", 0)
	spare.atLeast(spare.sent.len() + 50 + rand.IntN(100)) //nolint:gosec // any moment is right
	again.halt()                                          // its socket stays open
	r.nth("backup took over", 1)
	spare.atLeast(spare.sent.len() + 100)
	spare.halt()
	last := spare.last(packetbuf.Video)
	for _, v := range viewers {
		v.saw(last)
		for _, tr := range []packetbuf.Track{packetbuf.Video, packetbuf.Audio} {
			var next uint64
			for i, f := range v.of(tr) {
				if i > 0 && f.id.Number != next {
					t.Fatalf("%s viewer: %v %d instead of %d", v.name, tr, f.id.Number, next)
				}
				next = f.id.Number + 1
			}
		}
		v.watching()
	}
	if n := r.metric(`holdfast_backup_switches_total{to="backup"}`); n != 2 {
		t.Errorf("%v switches to the backup", n)
	}
}

// last is the newest frame of a track that was sent.
func (p *publisher) last(tr packetbuf.Track) (id gen.ID) {
	for _, f := range p.sent.all() {
		if f.id.Track == tr {
			id = f.id
		}
	}
	return id
}

// of are the real frames of a track so far, in order.
func (v *viewer) of(tr packetbuf.Track) (out []frame) {
	for _, f := range v.frames.all() {
		if f.track == tr && !f.config && !f.filler {
			out = append(out, f)
		}
	}
	return out
}

// Another encoder's backup goes on at its keyframe: less than its GOP is missing, and time goes
// on.
func TestBackupOfAnotherEncoder(t *testing.T) {
	t.Parallel()
	r := start(t)
	const stream = "live/cam"
	first := publish(t, r, stream, gen.Options{Source: 1, GOP: 30})
	spare := publish(t, r, stream+"?backup=1", gen.Options{Source: 2, GOP: 30, Start: time.Hour})
	spare.atLeast(200)
	viewers := both(t, r, stream)
	first.atLeast(first.sent.len() + 60)
	first.leave()
	r.nth("backup took over", 0)
	spare.atLeast(spare.sent.len() + 100)
	spare.halt()
	for _, v := range viewers {
		v.saw(spare.last(packetbuf.Video))
		var was frame
		for i, f := range v.of(packetbuf.Video) {
			if i > 0 && (f.dts <= was.dts || f.dts-was.dts > time.Second) {
				t.Errorf("%s viewer: %+v at %v follows %+v at %v", v.name, f.id, f.dts, was.id, was.dts)
			}
			was = f
		}
		v.watching()
	}
}

// A browser stands by for an encoder, and an encoder for a browser: whichever breaks, the other
// goes on, and a viewer of either protocol stays.
func TestBackupOverAnotherProtocol(t *testing.T) {
	t.Parallel()
	need(t, "chromium", "ffmpeg")
	for _, first := range []string{"rtmp", "whip"} {
		t.Run(first, func(t *testing.T) {
			awaitBrowser(t)
			r := start(t)
			const stream = "live/cam"
			page := browse(t).clients()
			role := map[bool]string{true: "", false: "?backup=1"}
			var browser *whip
			offer := func() {
				browser = page.publish(whipOptions{URL: r.url("http", "/"+stream+"/whip"+role[first == "whip"]), Codec: "H264", Tone: 880})
			}
			if first == "whip" {
				offer()
			}
			encoder := pushing(t, r.url("rtmp", "/"+stream+role[first == "rtmp"]), source{picture: "320x180", tone: true})
			r.live(stream)
			if first == "rtmp" {
				offer()
			}
			until(t, "the spare is ready", func() bool {
				var shown struct {
					Publishers []struct {
						Role  string `json:"role"`
						Ready bool   `json:"ready"`
					} `json:"publishers"`
				}
				r.shows(stream, &shown)
				for _, p := range shown.Publishers {
					if p.Role == "backup" {
						return p.Ready
					}
				}
				return false
			})
			c, err := openOn(t, r.addrs["rtmp"], "play", stream, nil)
			if err != nil {
				t.Fatal(err)
			}
			v := watchClient(t, c, true)
			v.more(30)
			if first == "rtmp" {
				encoder.kill()
			} else {
				browser.leave()
			}
			r.nth("backup took over", 0)
			v.more(100)
			v.watching()
			if n := r.metric(`holdfast_filler_frames_total{kind="picture"}`); n > 0 {
				t.Errorf("the stream was held: %v pictures were made", n)
			}
		})
	}
}
