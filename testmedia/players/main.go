//go:build unix

// Players runs a relay with real players, breaks the push in several ways and prints a table of what the
// players showed: the latency before and after the break, the offset between audio and video, and for how
// long the video was corrupt, missing or frozen.
//
//	go run ./testmedia/players [-players vlc-http-flv,mpv-rtmp] [-cases kill12,thaw8]
//
// It requires ffmpeg, Xvfb, PulseAudio and the players. Players that are not installed are skipped.
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
	program, dir        string
	players             []player
	scenarios           []scenario
	parallel            int
	streamAge           time.Duration
	playTime, afterTime time.Duration
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
	var l scriptFiles
	o := options{}
	only := flag.String("players", "", "names of players or prefixes of them; empty: all")
	cases := flag.String("cases", "", "names of scenarios or prefixes of them; empty: all")
	flag.StringVar(&o.program, "relay", "", "binary of the relay; empty: build it")
	flag.StringVar(&o.dir, "dir", "", "directory for logs; empty: a temporary directory")
	flag.IntVar(&o.parallel, "at-once", 3, "number of players that run in parallel")
	flag.DurationVar(&o.streamAge, "age", 20*time.Second, "time from the start of the stream to that of the players")
	flag.DurationVar(&o.playTime, "warm", 12*time.Second, "time from the start of the players to the break")
	flag.DurationVar(&o.afterTime, "after", 14*time.Second, "time from the break to the end")
	flag.StringVar(&l.hls, "hls.js", "", "path of hls.js")
	flag.StringVar(&l.mpegts, "mpegts.js", "", "path of mpegts.js")
	flag.StringVar(&l.flv, "flv.js", "", "path of flv.js")
	flag.Parse()
	for _, p := range players(l) {
		if _, err := exec.LookPath(p.command(&relay{}, "", "")[0]); err == nil && matches(*only, p.key()) {
			o.players = append(o.players, p)
		}
	}
	for _, c := range scenarios {
		if matches(*cases, c.name) {
			o.scenarios = append(o.scenarios, c)
		}
	}
	if len(o.players) == 0 || len(o.scenarios) == 0 {
		return errors.New("select players and scenarios: none matches or is installed")
	}
	if err := o.prepare(ctx); err != nil {
		return err
	}
	return o.printTable(ctx)
}

// matches reports whether a name in a comma-separated list is a prefix of name. An empty list matches all
// names.
func matches(list, name string) bool {
	return list == "" || slices.ContainsFunc(strings.Split(list, ","), func(w string) bool { return strings.HasPrefix(name, w) })
}

// prepare creates the directory and builds the relay.
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

// printTable runs all scenarios and prints each row once it is known.
func (o *options) printTable(ctx context.Context) error {
	fmt.Fprintln(os.Stderr, "logs in", o.dir)
	fmt.Fprintln(os.Stdout, "| scenario | player | latency before → after (s) | audio after video, before → after (ms) | wrong (s) | none (s) | still (s) |\n|---|---|---|---|---|---|---|")
	for _, c := range o.scenarios {
		for group := range slices.Chunk(o.players, o.parallel) {
			results, err := o.runScenario(ctx, c, group)
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

// runScenario runs one scenario with some players.
func (o *options) runScenario(ctx context.Context, c scenario, group []player) ([]result, error) {
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
	pause(ctx, o.streamAge)
	watching, stopWatching := context.WithCancel(ctx)
	defer stopWatching()
	shown := make([]recording, len(group))
	errs := make([]error, len(group))
	var watchers sync.WaitGroup
	for i, pl := range group {
		watchers.Go(func() { shown[i], errs[i] = watch(watching, began, pl, r, stream, dir) })
	}
	pause(ctx, o.playTime)
	broke := time.Since(began)
	p, err = c.run(ctx, p, push, c.away)
	pause(ctx, o.afterTime)
	stopWatching()
	watchers.Wait()
	if p != nil {
		p.kill()
	}
	results := make([]result, len(group))
	for i, r := range shown {
		if results[i].err = errs[i]; errs[i] == nil {
			results[i] = evaluate(r, broke)
		}
		writeTrace(filepath.Join(dir, group[i].key()+".trace"), r.samples, broke)
		writeTones(filepath.Join(dir, group[i].key()+".tones"), r.tones, broke)
	}
	return results, err
}

// recording is what a player showed and played.
type recording struct {
	samples []sample
	tones   []tone
}

// watch runs a player with its own screen and sound server until ctx is done. It returns what the player
// showed and played.
func watch(ctx context.Context, began time.Time, p player, r *relay, stream, dir string) (rec recording, err error) {
	home := filepath.Join(dir, p.key())
	if err := os.Mkdir(home, 0o755); err != nil { //nolint:gosec // as above
		return rec, err
	}
	s, display, err := openWindow(ctx, p, home)
	if err != nil {
		return rec, err
	}
	defer s.close()
	speaker, err := startSoundServer(context.WithoutCancel(ctx), home)
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

// window is where a player shows its video.
type window interface {
	watch(ctx context.Context, began time.Time) ([]sample, error)
	close()
}

// openWindow opens the window of a player. It returns the X display if the window is one.
func openWindow(ctx context.Context, p player, home string) (window, string, error) {
	if p.usesPipe {
		w, err := openPipe(filepath.Join(home, pipeName))
		return w, "", err
	}
	s, err := startScreen(context.WithoutCancel(ctx), home, p.extraHeight)
	if err != nil {
		return nil, "", err
	}
	return s, s.display, nil
}

// writeTrace writes the samples to a file, one on each line.
func writeTrace(path string, all []sample, broke time.Duration) {
	var b strings.Builder
	for _, s := range all {
		fmt.Fprintf(&b, "%.2f %.2f right=%v blank=%v\n", (s.at - broke).Seconds(), (s.at - s.stamp).Seconds(), s.correct, s.blank)
	}
	_ = os.WriteFile(path, []byte(b.String()), 0o644) //nolint:gosec // a log
}
