//go:build unix

package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// player is a program with a protocol.
type player struct {
	name string
	// unprivileged marks a program that refuses to run as root.
	unprivileged bool
	// usesPipe marks a program that writes the frames that it shows into a named pipe, and needs no screen.
	usesPipe bool
	// extraHeight is the height of what the program shows below the video, in pixels.
	extraHeight int
	// command returns the program and its arguments to play a stream of a relay.
	command func(r *relay, stream, dir string) []string
}

func flvURL(r *relay, stream string) string  { return "http://" + r.http + "/" + stream + ".flv" }
func rtmpURL(r *relay, stream string) string { return "rtmp://" + r.rtmp + "/" + stream }
func hlsURL(r *relay, stream string) string  { return "http://" + r.http + "/" + stream + "/index.m3u8" }

type streamURL func(r *relay, stream string) string

func vlc(url streamURL) func(*relay, string, string) []string {
	return func(r *relay, stream, dir string) []string {
		return []string{
			"cvlc", "-I", "dummy", "--no-video-title-show", "--no-osd", "--aout=pulse",
			"--vout=yuv", "--yuv-chroma=I420", "--yuv-yuv4mpeg2", "--yuv-file=" + filepath.Join(dir, pipeName), "-vv", url(r, stream),
		}
	}
}

func mpv(url streamURL) func(*relay, string, string) []string {
	return func(r *relay, stream, _ string) []string {
		return []string{
			"mpv", "--no-config", "--fs", "--no-osc", "--no-input-default-bindings", "--osd-level=0", "--keepaspect=no", "--vo=x11", "--ao=pulse",
			"--profile=low-latency", url(r, stream),
		}
	}
}

func ffplay(url streamURL) func(*relay, string, string) []string {
	return func(r *relay, stream, _ string) []string {
		return []string{
			"ffplay", "-hide_banner", "-v", "info", "-nostats", "-x", strconv.Itoa(screenWidth), "-y", strconv.Itoa(screenHeight), "-left", "0", "-top", "0",
			"-noborder", url(r, stream),
		}
	}
}

func gstreamer(url streamURL) func(*relay, string, string) []string {
	return func(r *relay, stream, dir string) []string {
		return []string{ // gst-launch parses its arguments as one text
			"gst-launch-1.0", "playbin", "uri=" + url(r, stream), `audio-sink="pulsesink"`,
			`video-sink="videoscale ! videoconvert ! video/x-raw,format=GRAY8,width=640,height=360 ! filesink sync=true buffer-mode=unbuffered location=` + filepath.Join(dir, pipeName) + `"`,
		}
	}
}

// chromium shows a page of the relay, or one that is written for the run.
func chromium(below int, page func(r *relay, stream, dir string) string) func(*relay, string, string) []string {
	return func(r *relay, stream, dir string) []string {
		return []string{
			"chromium", "--no-sandbox", "--kiosk", "--disable-gpu", "--no-first-run", "--disable-dev-shm-usage", "--hide-scrollbars", "--enable-logging=stderr",
			"--window-position=0,0", fmt.Sprintf("--window-size=%d,%d", screenWidth, screenHeight+below),
			"--autoplay-policy=no-user-gesture-required", "--disable-web-security", "--allow-file-access-from-files",
			"--user-data-dir=" + filepath.Join(dir, "profile"), page(r, stream, dir),
		}
	}
}

// scriptPage writes a page whose video fills the window. The script finds the address of the stream in
// url.
func scriptPage(url streamURL, library, script string) func(*relay, string, string) string {
	return func(r *relay, stream, dir string) string {
		html := "<!doctype html><style>body{margin:0;background:#000}video{position:fixed;inset:0;width:100vw;height:100vh;object-fit:fill}</style>" +
			"<video id=v autoplay playsinline></video>"
		html += fmt.Sprintf("<script src=%q></script><script>const v=document.getElementById('v'),url=%q;v.onerror=()=>console.log('video',v.error.message);v.onwaiting=v.onstalled=e=>console.log(e.type,v.currentTime,[...Array(v.buffered.length).keys()].map(i=>v.buffered.start(i)+'-'+v.buffered.end(i)).join());%s</script>", "file://"+library, url(r, stream), script)
		return writePage(dir, html)
	}
}

// embedBarHeight is the height of the bar below the video on the relay's page for embedding, in pixels.
const embedBarHeight = 44

// embeddedPage returns the relay's page for embedding.
func embeddedPage(by string) func(*relay, string, string) string {
	return func(r *relay, stream, _ string) string { return "http://" + r.http + "/" + stream + "/?embed&by=" + by }
}

// writePage writes a page and returns its address. Without a directory it does nothing.
func writePage(dir, html string) string {
	if dir == "" {
		return ""
	}
	path := filepath.Join(dir, "page.html")
	if err := os.WriteFile(path, []byte(html), 0o644); err != nil { //nolint:gosec // the browser reads it
		return "about:blank"
	}
	return "file://" + path
}

// scriptFiles are the files of the JavaScript players, from flags.
type scriptFiles struct{ hls, mpegts, flv string }

// players returns the known players in the order of the table.
func players(l scriptFiles) []player {
	const (
		hlsScript    = "const h=new Hls();h.loadSource(url);h.attachMedia(v);h.on(Hls.Events.ERROR,(e,d)=>console.log(d.details,d.fatal))"
		mpegtsScript = "const p=mpegts.createPlayer({type:'flv',isLive:true,url});p.attachMediaElement(v);p.on('error',(...e)=>console.log('error',...e));p.load();p.play()"
		flvScript    = "const p=flvjs.createPlayer({type:'flv',isLive:true,url});p.attachMediaElement(v);p.on('error',(...e)=>console.log('error',...e));p.load();p.play()"
	)
	out := []player{
		{"VLC, HTTP-FLV", true, true, 0, vlc(flvURL)},
		{"VLC, RTMP", true, true, 0, vlc(rtmpURL)},
		{"VLC, HLS", true, true, 0, vlc(hlsURL)},
		{"mpv, HTTP-FLV", false, false, 0, mpv(flvURL)},
		{"mpv, RTMP", false, false, 0, mpv(rtmpURL)},
		{"ffplay, HTTP-FLV", false, false, 0, ffplay(flvURL)},
		{"ffplay, RTMP", false, false, 0, ffplay(rtmpURL)},
		{"GStreamer, HTTP-FLV", false, true, 0, gstreamer(flvURL)},
		{"Chromium, Media Source", false, false, embedBarHeight, chromium(embedBarHeight, embeddedPage("mse"))},
		{"Chromium, HLS", false, false, embedBarHeight, chromium(embedBarHeight, embeddedPage("hls"))},
	}
	if l.hls != "" {
		out = append(out, player{"hls.js", false, false, 0, chromium(0, scriptPage(hlsURL, l.hls, hlsScript))})
	}
	if l.mpegts != "" {
		out = append(out, player{"mpegts.js", false, false, 0, chromium(0, scriptPage(flvURL, l.mpegts, mpegtsScript))})
	}
	if l.flv != "" {
		out = append(out, player{"flv.js", false, false, 0, chromium(0, scriptPage(flvURL, l.flv, flvScript))})
	}
	return out
}

// key returns the name with which flags select the player, such as "vlc-http-flv".
func (p player) key() string {
	return strings.ToLower(strings.ReplaceAll(strings.ReplaceAll(p.name, ",", ""), " ", "-"))
}

// unprivileged is the user and group ID for programs that refuse to run as root.
const unprivileged = 65534

// start runs the player with a display and the socket of a sound server. Its output is written to log.
func (p player) start(ctx context.Context, r *relay, stream, display, audio, dir string, log io.Writer) (*exec.Cmd, error) {
	args := p.command(r, stream, dir)
	cmd := exec.CommandContext(ctx, args[0], args[1:]...) //nolint:gosec // the players of the list
	cmd.Stdout, cmd.Stderr = log, log
	cmd.Env = append(os.Environ(), "DISPLAY="+display, "SDL_AUDIODRIVER=pulseaudio", "PULSE_SERVER=unix:"+audio, "HOME="+dir, "XDG_RUNTIME_DIR="+dir, "XDG_CACHE_HOME="+dir, "XDG_CONFIG_HOME="+dir)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	if p.unprivileged && os.Geteuid() == 0 {
		cmd.SysProcAttr.Credential = &syscall.Credential{Uid: unprivileged, Gid: unprivileged}
		if err := os.Chown(dir, unprivileged, unprivileged); err != nil {
			return nil, err
		}
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", args[0], err)
	}
	return cmd, nil
}
