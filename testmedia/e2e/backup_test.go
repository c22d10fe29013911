//go:build unix

package e2e

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/holdfast-live/holdfast/packetbuf"
	"github.com/holdfast-live/holdfast/testmedia/gen"
)

// TestBackupOfTheSameEncoder pushes both outputs of one encoder. The primary is reset, returns, takes the
// stream back and hangs. No viewer may miss a frame or receive one twice.
func TestBackupOfTheSameEncoder(t *testing.T) {
	t.Parallel()
	r := startRelay(t, "--defaults.backup_return", "3s")
	const stream = "live/cam"
	o := gen.Options{Source: 1, GOP: 30}
	first := publish(t, r, stream, o)
	spare := publish(t, r, stream+"?backup=1", o)
	spare.waitSent(100)
	viewers := watchRTMPAndFLV(t, r, stream)
	for _, v := range viewers {
		v.waitKeyframe()
	}
	spare.waitSent(spare.sent.len() + 50 + rand.IntN(100)) //nolint:gosec // any time is fine
	first.reset()
	r.waitNthLog("backup took over", 0)
	again := publish(t, r, stream, o)
	again.waitSent(1) // and its configuration
	again.pause()
	again.origin = first.origin // the encoder has continued
	again.resumeLive()
	r.waitNthLog("primary has the stream back", 0)
	spare.waitSent(spare.sent.len() + 50 + rand.IntN(100)) //nolint:gosec // any time is fine
	again.pause()                                          // the socket remains open
	r.waitNthLog("backup took over", 1)
	spare.waitSent(spare.sent.len() + 100)
	spare.pause()
	last := spare.lastSent(packetbuf.Video)
	for _, v := range viewers {
		v.waitFrame(last)
		for _, tr := range []packetbuf.Track{packetbuf.Video, packetbuf.Audio} {
			var next uint64
			for i, f := range v.framesOf(tr) {
				if i > 0 && f.id.Number != next {
					t.Fatalf("%s viewer: got %v frame %d, want %d", v.name, tr, f.id.Number, next)
				}
				next = f.id.Number + 1
			}
		}
		v.checkOpen()
	}
	if n := r.metric(`holdfast_backup_switches_total{to="backup"}`); n != 2 {
		t.Errorf("got %v switches to the backup", n)
	}
}

// lastSent returns the newest frame of a track that was sent.
func (p *publisher) lastSent(tr packetbuf.Track) (id gen.ID) {
	for _, f := range p.sent.all() {
		if f.id.Track == tr {
			id = f.id
		}
	}
	return id
}

// framesOf returns the frames of a track so far, in order and without filler.
func (v *viewer) framesOf(tr packetbuf.Track) (out []frame) {
	for _, f := range v.frames.all() {
		if f.track == tr && !f.config && !f.filler {
			out = append(out, f)
		}
	}
	return out
}

// TestBackupOfAnotherEncoder checks that a backup of another encoder continues at a keyframe. Less than a
// GOP is missing, and the clock continues.
func TestBackupOfAnotherEncoder(t *testing.T) {
	t.Parallel()
	r := startRelay(t)
	const stream = "live/cam"
	first := publish(t, r, stream, gen.Options{Source: 1, GOP: 30})
	spare := publish(t, r, stream+"?backup=1", gen.Options{Source: 2, GOP: 30, Start: time.Hour})
	spare.waitSent(200)
	viewers := watchRTMPAndFLV(t, r, stream)
	first.waitSent(first.sent.len() + 60)
	first.disconnect()
	r.waitNthLog("backup took over", 0)
	spare.waitSent(spare.sent.len() + 100)
	spare.pause()
	for _, v := range viewers {
		v.waitFrame(spare.lastSent(packetbuf.Video))
		var was frame
		for i, f := range v.framesOf(packetbuf.Video) {
			if i > 0 && (f.dts <= was.dts || f.dts-was.dts > time.Second) {
				t.Errorf("%s viewer: got %+v at %v after %+v at %v", v.name, f.id, f.dts, was.id, was.dts)
			}
			was = f
		}
		v.checkOpen()
	}
}

// TestBackupOverAnotherProtocol uses a browser as a backup of an encoder, and an encoder as a backup of a
// browser. When one breaks the other continues, and viewers of both protocols stay.
func TestBackupOverAnotherProtocol(t *testing.T) {
	t.Parallel()
	requirePrograms(t, "chromium", "ffmpeg")
	for _, first := range []string{"rtmp", "whip"} {
		t.Run(first, func(t *testing.T) {
			awaitBrowser(t)
			r := startRelay(t)
			const stream = "live/cam"
			page := startBrowser(t).openClientPage()
			role := map[bool]string{true: "", false: "?backup=1"}
			var browser *whip
			offer := func() {
				browser = page.publish(whipOptions{URL: r.url("http", "/"+stream+"/whip"+role[first == "whip"]), Codec: "H264", Tone: 880})
			}
			if first == "whip" {
				offer()
			}
			encoder := startEncoder(t, r.url("rtmp", "/"+stream+role[first == "rtmp"]), encoderSource{size: "320x180", tone: true})
			r.waitLive(stream)
			if first == "rtmp" {
				offer()
			}
			waitUntil(t, "the spare is ready", func() bool {
				var shown struct {
					Publishers []struct {
						Role  string `json:"role"`
						Ready bool   `json:"ready"`
					} `json:"publishers"`
				}
				r.getStream(stream, &shown)
				for _, p := range shown.Publishers {
					if p.Role == "backup" {
						return p.Ready
					}
				}
				return false
			})
			c, err := openClient(t, r.addrs["rtmp"], "play", stream, nil)
			if err != nil {
				t.Fatal(err)
			}
			v := watchClient(t, c, true)
			v.waitFrames(30)
			if first == "rtmp" {
				encoder.kill()
			} else {
				browser.leave()
			}
			r.waitNthLog("backup took over", 0)
			v.waitFrames(100)
			v.checkOpen()
			if n := r.metric(`holdfast_filler_frames_total{kind="picture"}`); n > 0 {
				t.Errorf("got %v filler frames, want the stream not to be held", n)
			}
		})
	}
}
