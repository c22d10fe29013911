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

// sourceOptions returns the options of the stream: 720p30, with 2.5 Mb/s of video and 128 kb/s of audio.
// For WebRTC there is no audio, which the relay would transcode.
func sourceOptions(protocol string) gen.Options {
	return gen.Options{Seed: 1, NoAudio: protocol == "whep"}
}

// program is a program under measurement, with its viewers.
type program struct {
	name  string
	admin string // admin address of a relay
	proc  *process
	pprof string // address of its pprof handler; empty: none
	open  func() (*viewer, error)
	// background starts tasks that run during a measurement and returns a function that ends them; nil:
	// none.
	background func() (end func() error)
	crowd
	cpu          time.Duration
	sent         uint64
	duration     time.Duration
	idleCPU      float64 // share of a core without viewers
	memoryBefore int     // resident memory without viewers, in bytes
	memoryAfter  int
	viewers      int
	packets      uint64 // RTP packets during the measurements
	usageBefore  usage  // usage without viewers
	usageAfter   usage
}

func compare(ctx context.Context, o options) error {
	relay, stop, err := startRelay(ctx, &o)
	if err != nil {
		return err
	}
	defer stop()
	reference, err := startBare(ctx, o)
	if err != nil {
		return err
	}
	defer reference.proc.stop()
	if err := measureRounds(ctx, o, relay, reference); err != nil {
		return err
	}
	fmt.Printf("CPU of viewers per gigabit, relative to the bare program: %.2f\n", relay.perGigabit()/reference.perGigabit())
	if o.protocol == "whep" {
		fmt.Printf("and per packet: %.2f\n", relay.perPacket()/reference.perPacket())
	}
	return nil
}

// measureRounds measures the programs in turn and prints the results.
func measureRounds(ctx context.Context, o options, subjects ...*program) error {
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

// idle measures the program without viewers. Before that, one viewer plays the stream, so that the relay's
// buffer is full and serialized: it must not count as a cost of viewers.
func (s *program) idle(ctx context.Context, o options) error {
	if s.admin != "" {
		if err := s.join(1, s.open); err != nil {
			return err
		}
		if _, _, err := s.window(ctx, o.settle); err != nil {
			return err
		}
		s.closeAll()
		s.joins = nil
	}
	used, _, err := s.window(ctx, o.window/2)
	if err != nil {
		return err
	}
	s.idleCPU = used.Seconds() / (o.window / 2).Seconds()
	if s.memoryBefore, err = s.proc.residentMemory(); err != nil || s.pprof == "" {
		return err
	}
	s.usageBefore, err = readUsage(ctx, s.pprof)
	return err
}

func (s *program) window(ctx context.Context, d time.Duration) (cpu time.Duration, took time.Duration, err error) {
	begun := time.Now()
	was, err := s.proc.cpuTime()
	if err != nil {
		return 0, 0, err
	}
	select {
	case <-ctx.Done():
		return 0, 0, ctx.Err()
	case <-time.After(d):
	}
	is, err := s.proc.cpuTime()
	return is - was, time.Since(begun), err
}

// measure connects the viewers, waits until they have settled, measures and disconnects them.
func (s *program) measure(ctx context.Context, o options) error {
	s.viewers = o.viewers
	if err := s.join(o.viewers, s.open); err != nil {
		return err
	}
	if _, _, err := s.window(ctx, 3*time.Second); err != nil {
		return err
	}
	end := func() error { return nil }
	if s.background != nil {
		end = s.background()
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
		return fmt.Errorf("write CPU profile: %w", err)
	}
	if err := end(); err != nil {
		return err
	}
	s.sent += s.bytes.Load() - was
	s.packets += s.reads.Load() - packets
	s.cpu += used - time.Duration(s.idleCPU*float64(took))
	s.duration += took
	if s.memoryAfter == 0 { // only in the first round: later rounds reuse memory
		if s.memoryAfter, err = s.proc.residentMemory(); err != nil {
			return err
		}
		if s.pprof != "" {
			if s.usageAfter, err = readUsage(ctx, s.pprof); err != nil {
				return err
			}
		}
	}
	if n := s.ended.Load(); n > 0 {
		return fmt.Errorf("the program closed %d viewers", n)
	}
	s.closeAll()
	return nil
}

// profile writes a CPU profile of the relay during the measurement, if one is requested.
func (s *program) profile(ctx context.Context, o options) <-chan error {
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

func (s *program) perGigabit() float64 { return s.cpu.Seconds() / (8 * float64(s.sent) / 1e9) }

func (s *program) perPacket() float64 { return s.cpu.Seconds() / float64(s.packets) }

func (s *program) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	each := float64(max(1, s.viewers))
	text := fmt.Sprintf("%-8s %.3f CPU s per Gb, %.2f Gb/s, gap between writes median %.1f ms p99 %.1f ms, join median %.1f ms p99 %.1f ms, %.1f KiB a viewer, idle %.1f %% of a core",
		s.name, s.perGigabit(), 8*float64(s.sent)/1e9/s.duration.Seconds(),
		ms(quantile(s.gaps, .5)), ms(quantile(s.gaps, .99)), ms(quantile(s.joins, .5)), ms(quantile(s.joins, .99)),
		float64(s.memoryAfter-s.memoryBefore)/1024/each, 100*s.idleCPU)
	if s.pprof != "" {
		text += fmt.Sprintf(", %.2f µs per packet, %.1f packets/s a viewer, %d lost of %d, %.1f goroutines and %.1f KiB of heap and stacks a viewer",
			1e6*s.perPacket(), float64(s.packets)/s.duration.Seconds()/each, s.missing.Load(), s.reads.Load(),
			float64(s.usageAfter.goroutines-s.usageBefore.goroutines)/each, float64(s.usageAfter.bytes-s.usageBefore.bytes)/1024/each)
	}
	return text
}

func ms(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

// startRelay starts a relay with additional settings, and publishes a stream to it.
func startRelay(ctx context.Context, o *options, settings ...string) (*program, func(), error) {
	if o.binary == "" {
		dir, err := os.MkdirTemp("", "holdfast-load")
		if err != nil {
			return nil, nil, err
		}
		o.binary = filepath.Join(dir, "holdfast")
		build := exec.CommandContext(ctx, "go", "build", "-o", o.binary, "./cmd/holdfast")
		build.Stderr = os.Stderr
		if err := build.Run(); err != nil {
			return nil, nil, fmt.Errorf("build the relay: %w", err)
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
	ended, err := publish(ctx, addrs["rtmp"], sourceOptions(o.protocol))
	if err != nil {
		return nil, nil, err
	}
	if err := waitLive(ctx, addrs["admin"]); err != nil {
		return nil, nil, err
	}
	s := &program{name: "holdfast", admin: addrs["admin"], proc: p, open: func() (*viewer, error) { return openFLV(addrs["http"]) }}
	switch o.protocol {
	case "rtmp":
		s.open = func() (*viewer, error) { return openRTMP(addrs["rtmp"]) }
	case "hls":
		s.open = func() (*viewer, error) { return openHLS(addrs["http"]) }
	case "mse":
		s.open = func() (*viewer, error) { return openMSE(addrs["http"]) }
	case "whep":
		s.pprof = s.admin
		s.open = func() (*viewer, error) { return openWHEP("http://" + addrs["http"] + "/live/load/whep") }
	}
	return s, func() { ended(); p.stop() }, nil
}

// waitLive waits until the relay has the first keyframe of the stream. Before that it rejects viewers.
func waitLive(ctx context.Context, admin string) error {
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
			body, _ := io.ReadAll(resp.Body) // a truncated body does not match
			_ = resp.Body.Close()
			if bytes.Contains(body, []byte(`"state":"live"`)) {
				return nil
			}
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("wait for the stream to go live: %w", ctx.Err())
		case <-poll.C:
		}
	}
}

func startBare(ctx context.Context, o options) (*program, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	p, err := start(ctx, self, "-bare", "127.0.0.1:0", "-gather", o.batchInterval.String(), "-protocol", o.protocol)
	if err != nil {
		return nil, err
	}
	addr, err := p.expect(`^(127\S+)$`)
	if err != nil {
		return nil, err
	}
	if o.protocol == "whep" {
		return &program{name: "bare", proc: p, pprof: addr, open: func() (*viewer, error) { return openWHEP("http://" + addr) }}, nil
	}
	return &program{name: "bare", proc: p, open: func() (*viewer, error) {
		begun := time.Now()
		c, err := net.Dial("tcp", addr)
		return &viewer{ReadCloser: c, begun: begun}, err
	}}, nil
}
