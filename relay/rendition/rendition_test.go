package rendition

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/holdfast-live/holdfast/ingest"
	"github.com/holdfast-live/holdfast/packetbuf"
	"github.com/holdfast-live/holdfast/testmedia"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.Cleanup(func(code int) {
		if left := children(); left != "" {
			fmt.Fprintln(os.Stderr, "children are left:", left)
			code = 1
		}
		os.Exit(code)
	}))
}

const (
	parent = "live/cam"
	full   = "live/cam~180p"
)

var low = Rendition{Name: "180p", Height: 180, Bits: 300_000}

// source is a fake stream: the clip in a loop, on a clock that begins at start.
type source struct {
	mu      sync.Mutex // guards the fields below
	start   time.Duration
	speed   float64 // 0: as fast as it is read
	jitter  func(p *packetbuf.Packet)
	ended   error // what Read returns from now on
	over    bool  // there is no stream any more
	silent  bool
	packets map[time.Duration]bool // DTS of the video frames that were read
	sounds  map[time.Duration]bool
	taps    int
}

func newSource(start time.Duration) *source {
	return &source{start: start, speed: 1, packets: map[time.Duration]bool{}, sounds: map[time.Duration]bool{}}
}

func (s *source) tap(stream string) (Tap, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.over || stream != parent {
		return nil, errors.New("not live")
	}
	s.taps++
	s.ended = nil
	return &tap{s: s, loop: testmedia.NewLoop(s.start), start: s.start, began: time.Now()}, nil
}

func (s *source) end(err error, over bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ended, s.over = err, over
}

type tap struct {
	s     *source
	loop  *testmedia.Loop
	start time.Duration
	began time.Time
	next  *packetbuf.Packet
}

func (t *tap) Read(ctx context.Context) ([]*packetbuf.Packet, error) {
	var out []*packetbuf.Packet
	tick := time.NewTimer(20 * time.Millisecond)
	defer tick.Stop()
	select {
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-tick.C:
	}
	t.s.mu.Lock()
	defer t.s.mu.Unlock()
	if t.s.ended != nil || t.s.silent {
		return nil, t.s.ended
	}
	for len(out) < 64 {
		if t.next == nil {
			t.next = t.loop.Next()
			if t.s.jitter != nil {
				t.s.jitter(t.next)
			}
		}
		p := t.next
		if p.Media() && t.s.speed > 0 && float64(p.DTS-t.start) > t.s.speed*float64(time.Since(t.began)) {
			break
		}
		t.next = nil
		p.Arrived = t.began.Add(p.DTS - t.start)
		switch {
		case p.Track == packetbuf.Video && p.Media():
			t.s.packets[p.DTS] = p.Kind == packetbuf.Key
		case p.Media():
			t.s.sounds[p.DTS] = true
		}
		out = append(out, p)
	}
	return out, nil
}

func (t *tap) Close() {}

// target records what is published.
type target struct {
	mu       sync.Mutex // guards the fields below
	refuse   error
	write    error
	sessions []ingest.Request
	packets  []*packetbuf.Packet
	ends     []ingest.Cause
}

func (g *target) Publish(_ context.Context, r ingest.Request) (ingest.Sink, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.refuse != nil {
		return nil, g.refuse
	}
	g.sessions = append(g.sessions, r)
	return (*targetSink)(g), nil
}

type targetSink target

func (g *targetSink) Write(p *packetbuf.Packet) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.packets = append(g.packets, p)
	return g.write
}

func (g *targetSink) End(cause ingest.Cause, _ string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.ends = append(g.ends, cause)
}

// lab is Renditions with fakes of everything around them.
type lab struct {
	*Renditions
	t      *testing.T
	source *source
	target *target

	mu         sync.Mutex // guards the fields below
	configured []Rendition
	audience   int
	taken      bool
	log        strings.Builder
}

func (l *lab) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.log.Write(p)
}

func (l *lab) said() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.log.String()
}

func newLab(t *testing.T, program string) *lab {
	t.Helper()
	l := &lab{t: t, source: newSource(3 * time.Hour), target: &target{}, configured: []Rendition{low}}
	l.Renditions = New(Options{
		Access: l.target, Tap: l.source.tap, Max: 2, Program: program,
		Of: func(stream string) []Rendition {
			l.mu.Lock()
			defer l.mu.Unlock()
			if stream != parent {
				return nil
			}
			return l.configured
		},
		Audience: func(string) int {
			l.mu.Lock()
			defer l.mu.Unlock()
			return l.audience
		},
		Taken: func(string) bool {
			l.mu.Lock()
			defer l.mu.Unlock()
			return l.taken
		},
		Log: slog.New(slog.NewTextHandler(l, nil)),
	})
	l.timing = timing{
		lease: 10 * time.Second, idle: 300 * time.Millisecond, hang: time.Second, late: 500 * time.Millisecond, drain: time.Second,
		tick: 50 * time.Millisecond, steady: 20 * time.Second, pause: 700 * time.Millisecond, full: 100 * time.Millisecond, after: 3,
	}
	if program == "" { // the real one shares the machine with other tests: it is given its own time
		l.timing = renditionTiming
		l.timing.idle, l.timing.tick = 300*time.Millisecond, 50*time.Millisecond
	}
	t.Cleanup(func() {
		l.Close()
		if t.Failed() {
			t.Log(l.said())
		}
	})
	return l
}

// children returns the processes that this one has started and that still exist, on Linux only.
func children() string {
	all, _ := filepath.Glob("/proc/self/task/*/children")
	var left []string
	for _, name := range all {
		if pids, err := os.ReadFile(name); err == nil {
			left = append(left, strings.Fields(string(pids))...)
		}
	}
	return strings.Join(left, " ")
}

// until waits until a condition holds, or fails the test.
func (l *lab) until(what string, holds func() bool) {
	l.t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(time.Minute); !holds(); <-tick.C {
		if time.Now().After(end) {
			l.t.Fatalf("it never came that %s\n%s", what, l.said())
		}
	}
}

func (l *lab) got() (packets []*packetbuf.Packet, ends []ingest.Cause) {
	l.target.mu.Lock()
	defer l.target.mu.Unlock()
	return append(packets, l.target.packets...), append(ends, l.target.ends...)
}

func (l *lab) want() <-chan struct{} {
	l.t.Helper()
	hopeless, ok := l.Want(full)
	if !ok {
		l.t.Fatal("the rendition is not to be had")
	}
	return hopeless
}

func isClosed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

// fake writes a program that replaces ffmpeg.
func fake(t *testing.T, script string) string {
	t.Helper()
	if _, err := exec.LookPath("sh"); err != nil {
		t.Skip("the fake ffmpeg is a shell script, and there is no sh")
	}
	name := filepath.Join(t.TempDir(), "ffmpeg")
	if err := os.WriteFile(name, []byte("#!/bin/sh\n"+script+"\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	return name
}

// needFFmpeg skips the test if ffmpeg is missing; in CI it fails.
func needFFmpeg(t *testing.T) {
	t.Helper()
	if _, err := exec.LookPath("ffmpeg"); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal("ffmpeg is not installed")
		}
		t.Skip("ffmpeg is not installed")
	}
}
