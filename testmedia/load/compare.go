package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/holdfast-live/holdfast/testmedia/gen"
)

// sourceFor is the stream: 720p30, 2.5 Mb/s of video and 128 kb/s of audio. Viewers of WebRTC
// get it without sound, which would be encoded for them.
func sourceFor(protocol string) gen.Options { return gen.Options{Seed: 1, NoAudio: protocol == "whep"} }

// subject is a program and its viewers.
type subject struct {
	name  string
	admin string // of the relay
	proc  *process
	debug string // where it tells what it holds; empty: nowhere
	open  func() (*viewer, error)
	// beside is what goes on while it is measured, until it is ended; nil: nothing.
	beside func() (end func() error)
	crowd
	cpu     time.Duration
	sent    uint64
	over    time.Duration
	idleCPU float64 // share of a core before there were viewers
	before  int     // resident before there were viewers
	after   int
	viewers int
	packets uint64 // of RTP, of the windows
	had     held   // before there were viewers
	has     held
}

func compare(ctx context.Context, o options) error {
	relay, stop, err := startRelay(ctx, &o)
	if err != nil {
		return err
	}
	defer stop()
	program, err := startBare(ctx, o)
	if err != nil {
		return err
	}
	defer program.proc.stop()
	if err := rounds(ctx, o, relay, program); err != nil {
		return err
	}
	fmt.Printf("CPU that viewers add, per gigabit, against the bare program: %.2f\n", relay.perGigabit()/program.perGigabit())
	if o.protocol == "whep" {
		fmt.Printf("and per packet: %.2f\n", relay.perPacket()/program.perPacket())
	}
	return nil
}

// rounds measures programs in turn, and tells of each.
func rounds(ctx context.Context, o options, subjects ...*subject) error {
	for _, s := range subjects {
		if err := s.idle(ctx, o); err != nil {
			return err
		}
	}
	for round := range o.rounds {
		for _, s := range subjects {
			if err := s.measure(ctx, o); err != nil {
				return fmt.Errorf("%s: %w", s.name, err)
			}
			fmt.Printf("round %d %s\n", round+1, s)
		}
	}
	fmt.Printf("\n%s, %d viewers\n", o.protocol, o.viewers)
	for _, s := range subjects {
		fmt.Println(s)
	}
	return nil
}

// idle measures what the program costs without viewers. One watches before, so that the
// relay's buffer is full and serialised: what viewers add is counted apart from it.
func (s *subject) idle(ctx context.Context, o options) error {
	if s.admin != "" {
		if err := s.gather(1, s.open); err != nil {
			return err
		}
		if _, _, err := s.window(ctx, o.settle); err != nil {
			return err
		}
		s.leave()
		s.joins = nil
	}
	used, _, err := s.window(ctx, o.window/2)
	if err != nil {
		return err
	}
	s.idleCPU = used.Seconds() / (o.window / 2).Seconds()
	if s.before, err = s.proc.resident(); err != nil || s.debug == "" {
		return err
	}
	s.had, err = holding(ctx, s.debug)
	return err
}

func (s *subject) window(ctx context.Context, d time.Duration) (cpu time.Duration, took time.Duration, err error) {
	begun := time.Now()
	was, err := s.proc.cpu()
	if err != nil {
		return 0, 0, err
	}
	select {
	case <-ctx.Done():
		return 0, 0, ctx.Err()
	case <-time.After(d):
	}
	is, err := s.proc.cpu()
	return is - was, time.Since(begun), err
}

// measure has the viewers come, settle, be measured and leave.
func (s *subject) measure(ctx context.Context, o options) error {
	s.viewers = o.viewers
	if err := s.gather(o.viewers, s.open); err != nil {
		return err
	}
	if _, _, err := s.window(ctx, 3*time.Second); err != nil {
		return err
	}
	end := func() error { return nil }
	if s.beside != nil {
		end = s.beside()
	}
	profiled := s.profile(ctx, o)
	s.measuring.Store(true)
	was, packets := s.bytes.Load(), s.reads.Load()
	used, took, err := s.window(ctx, o.window)
	if err != nil {
		return err
	}
	s.measuring.Store(false)
	if err := <-profiled; err != nil {
		return fmt.Errorf("profile: %w", err)
	}
	if err := end(); err != nil {
		return err
	}
	s.sent += s.bytes.Load() - was
	s.packets += s.reads.Load() - packets
	s.cpu += used - time.Duration(s.idleCPU*float64(took))
	s.over += took
	if s.after == 0 { // of the first round: later ones find memory that is already there
		if s.after, err = s.proc.resident(); err != nil {
			return err
		}
		if s.debug != "" {
			if s.has, err = holding(ctx, s.debug); err != nil {
				return err
			}
		}
	}
	if n := s.ended.Load(); n > 0 {
		return fmt.Errorf("%d viewers were dropped", n)
	}
	s.leave()
	return nil
}

// profile keeps a CPU profile of the relay's window, where it is asked for.
func (s *subject) profile(ctx context.Context, o options) <-chan error {
	done := make(chan error, 1)
	if o.profile == "" || s.admin == "" {
		done <- nil
		return done
	}
	go func() {
		url := fmt.Sprintf("http://%s/debug/pprof/profile?seconds=%d", s.admin, int(o.window.Seconds()))
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
		if err != nil {
			done <- err
			return
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			done <- err
			return
		}
		defer resp.Body.Close()
		f, err := os.Create(o.profile)
		if err != nil {
			done <- err
			return
		}
		_, err = io.Copy(f, resp.Body)
		done <- errors.Join(err, f.Close())
	}()
	return done
}

func (s *subject) perGigabit() float64 { return s.cpu.Seconds() / (8 * float64(s.sent) / 1e9) }

func (s *subject) perPacket() float64 { return s.cpu.Seconds() / float64(s.packets) }

func (s *subject) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	each := float64(max(1, s.viewers))
	text := fmt.Sprintf("%-8s %.3f CPU s per Gb, %.2f Gb/s, gap between writes median %.1f ms p99 %.1f ms, join median %.1f ms p99 %.1f ms, %.1f KiB a viewer, idle %.1f %% of a core",
		s.name, s.perGigabit(), 8*float64(s.sent)/1e9/s.over.Seconds(),
		ms(quantile(s.gaps, .5)), ms(quantile(s.gaps, .99)), ms(quantile(s.joins, .5)), ms(quantile(s.joins, .99)),
		float64(s.after-s.before)/1024/each, 100*s.idleCPU)
	if s.debug != "" {
		text += fmt.Sprintf(", %.2f µs per packet, %.1f packets/s a viewer, %d lost of %d, %.1f goroutines and %.1f KiB of heap and stacks a viewer",
			1e6*s.perPacket(), float64(s.packets)/s.over.Seconds()/each, s.lost.Load(), s.reads.Load(),
			float64(s.has.goroutines-s.had.goroutines)/each, float64(s.has.bytes-s.had.bytes)/1024/each)
	}
	return text
}

func ms(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

// startRelay runs a relay with a stream, with these settings beside those of its addresses.
func startRelay(ctx context.Context, o *options, settings ...string) (*subject, func(), error) {
	if o.binary == "" {
		dir, err := os.MkdirTemp("", "holdfast-load")
		if err != nil {
			return nil, nil, err
		}
		o.binary = filepath.Join(dir, "holdfast")
		build := exec.CommandContext(ctx, "go", "build", "-o", o.binary, "./cmd/holdfast")
		build.Stderr = os.Stderr
		if err := build.Run(); err != nil {
			return nil, nil, fmt.Errorf("build: %w", err)
		}
	}
	p, err := start(ctx, o.binary, append(settings, "--rtmp.listen", "127.0.0.1:0", "--http.listen", "127.0.0.1:0", "--admin.listen", "127.0.0.1:0", "--webrtc.udp_listen", "127.0.0.1:0")...)
	if err != nil {
		return nil, nil, err
	}
	addrs := map[string]string{}
	for _, c := range []string{"rtmp", "http", "admin"} {
		if addrs[c], err = p.expect(`component=` + c + ` addr=(\S+)`); err != nil {
			return nil, nil, err
		}
	}
	ended, err := publish(ctx, addrs["rtmp"], sourceFor(o.protocol))
	if err != nil {
		return nil, nil, err
	}
	if err := live(ctx, addrs["admin"]); err != nil {
		return nil, nil, err
	}
	s := &subject{name: "holdfast", admin: addrs["admin"], proc: p, open: func() (*viewer, error) { return openFLV(addrs["http"]) }}
	switch o.protocol {
	case "rtmp":
		s.open = func() (*viewer, error) { return openRTMP(addrs["rtmp"]) }
	case "hls":
		s.open = func() (*viewer, error) { return openHLS(addrs["http"]) }
	case "mse":
		s.open = func() (*viewer, error) { return openMSE(addrs["http"]) }
	case "whep":
		s.debug = s.admin
		s.open = func() (*viewer, error) { return openWHEP("http://" + addrs["http"] + "/live/load/whep") }
	}
	return s, func() { ended(); p.stop() }, nil
}

// live waits until the relay has the stream's first keyframe: before, a viewer is refused.
func live(ctx context.Context, admin string) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	poll := time.NewTicker(20 * time.Millisecond)
	defer poll.Stop()
	for {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+admin+"/api/v1/streams/live/load", nil)
		if err != nil {
			return err
		}
		if resp, err := http.DefaultClient.Do(req); err == nil {
			body, _ := io.ReadAll(resp.Body) // what is cut off is not live
			_ = resp.Body.Close()
			if bytes.Contains(body, []byte(`"state":"live"`)) {
				return nil
			}
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("the stream did not go live: %w", ctx.Err())
		case <-poll.C:
		}
	}
}

func startBare(ctx context.Context, o options) (*subject, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	p, err := start(ctx, self, "-bare", "127.0.0.1:0", "-gather", o.gather.String(), "-protocol", o.protocol)
	if err != nil {
		return nil, err
	}
	addr, err := p.expect(`^(127\S+)$`)
	if err != nil {
		return nil, err
	}
	if o.protocol == "whep" {
		return &subject{name: "bare", proc: p, debug: addr, open: func() (*viewer, error) { return openWHEP("http://" + addr) }}, nil
	}
	return &subject{name: "bare", proc: p, open: func() (*viewer, error) {
		begun := time.Now()
		c, err := net.Dial("tcp", addr)
		return &viewer{ReadCloser: c, begun: begun}, err
	}}, nil
}
