//go:build unix

// Players runs a relay with real players on it, breaks the push in several ways and prints a
// table of what the players showed: their latency before and after, by how much audio came after
// video, and for how long the picture was wrong, missing or standing.
//
//	go run ./testmedia/players [-players vlc-http-flv,mpv-rtmp] [-cases kill12,thaw8]
//
// It needs ffmpeg, Xvfb, PulseAudio and the players. A player that is not installed is left out.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"
)

type options struct {
	program, dir string
	wanted       []player
	cases        []scenario
	atOnce       int
	age          time.Duration
	warm, after  time.Duration
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "players:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context) error {
	var l libraries
	o := options{}
	only := flag.String("players", "", "names of players, or how they begin; without any, all")
	cases := flag.String("cases", "", "names of scenarios; without any, all")
	flag.StringVar(&o.program, "relay", "", "the relay; built where it is missing")
	flag.StringVar(&o.dir, "dir", "", "where logs go; a temporary directory where it is missing")
	flag.IntVar(&o.atOnce, "at-once", 3, "how many players run at once")
	flag.DurationVar(&o.age, "age", 20*time.Second, "how long the stream runs before players begin")
	flag.DurationVar(&o.warm, "warm", 12*time.Second, "how long players play before the push breaks")
	flag.DurationVar(&o.after, "after", 14*time.Second, "how long players play afterwards")
	flag.StringVar(&l.hls, "hls.js", "", "the file hls.js")
	flag.StringVar(&l.mpegts, "mpegts.js", "", "the file mpegts.js")
	flag.StringVar(&l.flv, "flv.js", "", "the file flv.js")
	flag.Parse()
	for _, p := range players(l) {
		if _, err := exec.LookPath(p.command(&relay{}, "", "")[0]); err == nil && wants(*only, p.key()) {
			o.wanted = append(o.wanted, p)
		}
	}
	for _, c := range scenarios {
		if wants(*cases, c.name) {
			o.cases = append(o.cases, c)
		}
	}
	if len(o.wanted) == 0 || len(o.cases) == 0 {
		return errors.New("no such player or scenario, or the player is not installed")
	}
	if err := o.prepare(ctx); err != nil {
		return err
	}
	return o.table(ctx)
}

// wants reports whether one of the names that a flag lists begins name.
func wants(list, name string) bool {
	return list == "" || slices.ContainsFunc(strings.Split(list, ","), func(w string) bool { return strings.HasPrefix(name, w) })
}

// prepare makes the directory and builds the relay.
func (o *options) prepare(ctx context.Context) (err error) {
	if o.dir == "" {
		if o.dir, err = os.MkdirTemp("", "players"); err != nil {
			return err
		}
	}
	if err := os.Chmod(o.dir, 0o755); err != nil { //nolint:gosec // players that run as another user go through it
		return err
	}
	if o.program != "" {
		return nil
	}
	o.program = filepath.Join(o.dir, "holdfast")
	build := exec.CommandContext(ctx, "go", "build", "-o", o.program, "./cmd/holdfast") //nolint:gosec // a path of this program's own
	build.Stderr = os.Stderr
	return build.Run()
}

// table runs everything and prints a row as soon as it is known.
func (o *options) table(ctx context.Context) error {
	fmt.Fprintln(os.Stderr, "logs in", o.dir)
	fmt.Fprintln(os.Stdout, "| scenario | player | latency before → after (s) | audio after video, before → after (ms) | wrong picture (s) | no picture (s) | longest still picture (s) |\n|---|---|---|---|---|---|---|")
	for _, c := range o.cases {
		for group := range slices.Chunk(o.wanted, o.atOnce) {
			results, err := o.play(ctx, c, group)
			if err != nil {
				return err
			}
			for i, p := range group {
				fmt.Fprintf(os.Stdout, "| %s | %s | %s |\n", c.title, p.name, results[i].row())
			}
		}
	}
	return ctx.Err()
}

// play runs one scenario with some players.
func (o *options) play(ctx context.Context, c scenario, group []player) ([]result, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	began := time.Now()
	dir, err := os.MkdirTemp(o.dir, c.name+"-")
	if err != nil {
		return nil, err
	}
	if err := os.Chmod(dir, 0o755); err != nil { //nolint:gosec // as above
		return nil, err
	}
	r, err := startRelay(ctx, o.program, filepath.Join(dir, "relay.log"))
	if err != nil {
		return nil, err
	}
	defer r.stop()
	const stream = "live/cam"
	push := func(width, height int) (*publisher, error) {
		return publish(ctx, began, r.rtmp, stream, width, height)
	}
	p, err := push(width, height)
	if err != nil {
		return nil, err
	}
	pause(ctx, o.age)
	watching, stopWatching := context.WithCancel(ctx)
	defer stopWatching()
	shown := make([]recording, len(group))
	errs := make([]error, len(group))
	var watchers sync.WaitGroup
	for i, pl := range group {
		watchers.Go(func() { shown[i], errs[i] = watch(watching, began, pl, r, stream, dir) })
	}
	pause(ctx, o.warm)
	broke := time.Since(began)
	p, err = c.run(ctx, p, push, c.away)
	pause(ctx, o.after)
	stopWatching()
	watchers.Wait()
	if p != nil {
		p.kill()
	}
	results := make([]result, len(group))
	for i, r := range shown {
		if results[i].err = errs[i]; errs[i] == nil {
			results[i] = judge(r, broke)
		}
		trace(filepath.Join(dir, group[i].key()+".trace"), r.samples, broke)
		writeTones(filepath.Join(dir, group[i].key()+".tones"), r.tones, broke)
	}
	return results, err
}

// recording is what a player showed and played.
type recording struct {
	samples []sample
	tones   []tone
}

// watch runs a player with a screen and a sound server of its own until ctx ends, and returns what
// was seen and heard.
func watch(ctx context.Context, began time.Time, p player, r *relay, stream, dir string) (rec recording, err error) {
	home := filepath.Join(dir, p.key())
	if err := os.Mkdir(home, 0o755); err != nil { //nolint:gosec // as above
		return rec, err
	}
	s, display, err := shows(ctx, p, home)
	if err != nil {
		return rec, err
	}
	defer s.close()
	speaker, err := openSpeaker(context.WithoutCancel(ctx), home)
	if err != nil {
		return rec, err
	}
	defer speaker.close()
	log, err := os.Create(home + ".log")
	if err != nil {
		return rec, err
	}
	defer log.Close() //nolint:errcheck // a log
	cmd, err := p.start(ctx, r, stream, display, speaker.socket, home, log)
	if err != nil {
		return rec, err
	}
	var listening sync.WaitGroup
	var unheard error
	listening.Go(func() { rec.tones, unheard = speaker.listen(ctx, began) })
	rec.samples, err = s.watch(ctx, began)
	_ = cmd.Wait()
	listening.Wait()
	return rec, errors.Join(err, unheard)
}

// window is where a player shows its pictures.
type window interface {
	watch(ctx context.Context, began time.Time) ([]sample, error)
	close()
}

// shows opens what a player shows its pictures on, and returns the X display if it is one.
func shows(ctx context.Context, p player, home string) (window, string, error) {
	if p.pipes {
		w, err := openPipe(filepath.Join(home, pipeName))
		return w, "", err
	}
	s, err := openScreen(context.WithoutCancel(ctx), home, p.below)
	if err != nil {
		return nil, "", err
	}
	return s, s.display, nil
}

// trace writes the samples to a file, one on a line.
func trace(path string, all []sample, broke time.Duration) {
	var b strings.Builder
	for _, s := range all {
		fmt.Fprintf(&b, "%.2f %.2f right=%v blank=%v\n", (s.at - broke).Seconds(), (s.at - s.stamp).Seconds(), s.right, s.blank)
	}
	_ = os.WriteFile(path, []byte(b.String()), 0o644) //nolint:gosec // a log
}
