package rtmp

import (
	"bytes"
	"context"
	"net"
	"os"
	"os/exec"
	"testing"
	"time"

	"github.com/holdfast-live/holdfast/ingest"
	"github.com/holdfast-live/holdfast/packetbuf"
)

// program returns the path of a program that a test needs. Under CI it must be there.
func program(t *testing.T, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal(err)
		}
		t.Skip(err)
	}
	return path
}

func run(t *testing.T, name string, args ...string) *exec.Cmd {
	t.Helper()
	cmd := exec.Command(program(t, name), args...)
	out := &logs{}
	cmd.Stdout, cmd.Stderr = out, out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		if t.Failed() {
			t.Logf("%s said:\n%s", name, out)
		}
	})
	return cmd
}

var testSource = []string{
	"-hide_banner", "-re", "-f", "lavfi", "-i", "testsrc=size=320x180:rate=30",
	"-f", "lavfi", "-i", "sine", "-t", "2", "-c:v", "libx264", "-preset", "ultrafast", "-g", "30", "-bf", "0", "-c:a", "aac",
}

func TestClientsPublish(t *testing.T) {
	gst := []string{
		"-q", "videotestsrc", "num-buffers=60", "!", "video/x-raw,width=320,height=180,framerate=30/1", "!",
		"x264enc", "key-int-max=30", "tune=zerolatency", "!", "h264parse", "!", "flvmux", "streamable=true", "!",
	}
	tests := []struct {
		name, program string
		args          func(url string) []string
		audio         bool
	}{
		{"ffmpeg", "ffmpeg", func(url string) []string { return append(testSource, "-f", "flv", url) }, true},
		{"ffmpeg with fifo", "ffmpeg", func(url string) []string {
			return append(testSource, "-map", "0", "-map", "1", "-flags", "+global_header",
				"-f", "fifo", "-fifo_format", "flv", "-attempt_recovery", "1", url)
		}, true},
		{"gstreamer rtmp2sink", "gst-launch-1.0", func(url string) []string { return append(gst, "rtmp2sink", "location="+url) }, false},
		{"gstreamer rtmpsink", "gst-launch-1.0", func(url string) []string { return append(gst, "rtmpsink", "location="+url) }, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if tt.program == "gst-launch-1.0" {
				if exec.Command(program(t, "gst-inspect-1.0"), "x264enc").Run() != nil {
					if os.Getenv("CI") == "true" {
						t.Fatal("GStreamer's x264enc is not installed")
					}
					t.Skip("GStreamer's x264enc is not installed")
				}
			}
			access := newAccess()
			_, addr := serveTCP(t, Options{Access: access})
			run(t, tt.program, tt.args("rtmp://"+addr+"/live/cam?key=s3cret&backup=1")...)
			sink := wait(t, "publish", access.sinks)
			r := sink.request
			if r.App != "live" || r.Name != "cam" || r.Key != "s3cret" || !r.Backup || (r.Agent == "") != (tt.name == "gstreamer rtmpsink") || r.Protocol != ingest.RTMP {
				t.Errorf("request %+v", r)
			}
			e := wait(t, "end", sink.ended)
			if e.cause != ingest.Unpublish {
				t.Errorf("ended by %s: %s", e.cause, e.reason)
			}
			var count [packetbuf.NumTracks]int
			var last [packetbuf.NumTracks]time.Duration
			var first *packetbuf.Packet
			close(sink.packets)
			for p := range sink.packets {
				if p.Media() {
					if p.DTS < last[p.Track] || p.Arrived.IsZero() || len(p.Payload) == 0 {
						t.Fatalf("%s at %v after %v", p.Track, p.DTS, last[p.Track])
					}
					last[p.Track] = p.DTS
					if p.Track == packetbuf.Video && first == nil {
						first = p
					}
				}
				count[p.Track]++
			}
			if count[packetbuf.Video] < 55 || first == nil || first.Kind != packetbuf.Key || tt.audio && count[packetbuf.Audio] < 50 {
				t.Errorf("packets: %v", count)
			}
			if srtt, _ := r.Session.RTT(); srtt <= 0 {
				t.Error("no round trip was measured")
			}
		})
	}
}

// A refused encoder must show its user why.
func TestClientsShowTheRefusal(t *testing.T) {
	for _, outcome := range []ingest.Outcome{ingest.RefusedKey, ingest.RefusedName, ingest.RefusedLimit} {
		t.Run(string(outcome), func(t *testing.T) {
			t.Parallel()
			const why = "the key is not right"
			access := newAccess()
			access.decide = func(ingest.Request) error { return &ingest.Refusal{Outcome: outcome, Reason: why, Hint: "ask"} }
			o := Options{Access: access}
			if outcome == ingest.RefusedLimit {
				o.Slots = ingest.NewSlots(0, 1)
				o.Slots.Take(addrOf("127.0.0.1:1"))
			}
			_, addr := serveTCP(t, o)
			ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
			defer cancel()
			out, err := exec.CommandContext(ctx, program(t, "ffmpeg"), append(testSource, "-f", "flv", "rtmp://"+addr+"/live/cam")...).CombinedOutput()
			want := why + "; ask"
			if outcome == ingest.RefusedLimit {
				want = "limit of connections from one address (1) reached"
			}
			if err == nil || !contains(out, want) {
				t.Errorf("%v\n%s", err, out)
			}
		})
	}
}
func contains(b []byte, s string) bool { return bytes.Contains(b, []byte(s)) }

func addrOf(s string) net.Addr {
	a, err := net.ResolveTCPAddr("tcp", s)
	if err != nil {
		panic(err)
	}
	return a
}
