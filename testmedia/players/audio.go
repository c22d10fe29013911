//go:build unix

package main

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"
)

// Each second of the stream begins with a tone of one of four pitches, which shows when the audio was
// created.
const (
	audioRate  = 44100
	toneLength = 60 * time.Millisecond
	tonePeriod = time.Second
)

var tones = [...]float64{900, 1300, 1800, 2500} // in hertz, one each second in turn

// cycle is the time after which the tones repeat.
const cycle = time.Duration(len(tones)) * tonePeriod

// appendAudio appends the samples between two sample numbers, 16 bits and two channels.
func appendAudio(b []byte, from, to int64) []byte {
	for n := from; n < to; n++ {
		at := time.Duration(n) * time.Second / audioRate
		v := 0.0
		if at%tonePeriod < toneLength {
			v = 0.5 * math.Sin(2*math.Pi*tones[at%cycle/tonePeriod]*at.Seconds())
		}
		sample := uint16(int16(v * math.MaxInt16)) //nolint:gosec // two's complement
		b = binary.LittleEndian.AppendUint16(b, sample)
		b = binary.LittleEndian.AppendUint16(b, sample)
	}
	return b
}

// soundServer is a sound server that records its only output.
type soundServer struct {
	cmd    *exec.Cmd
	socket string
}

// startSoundServer starts a PulseAudio server with a null sink.
func startSoundServer(ctx context.Context, dir string) (*soundServer, error) {
	s := &soundServer{socket: filepath.Join(dir, "sound")}
	s.cmd = exec.CommandContext(ctx, "pulseaudio", "-n", "--daemonize=no", "--exit-idle-time=-1", "--use-pid-file=no", "--log-level=error", //nolint:gosec // arguments of this program's own
		"-L", fmt.Sprintf("module-null-sink sink_name=out rate=%d", audioRate),
		"-L", "module-native-protocol-unix auth-anonymous=1 socket="+s.socket)
	s.cmd.Env = append(os.Environ(), "HOME="+dir, "XDG_RUNTIME_DIR="+dir, "XDG_CONFIG_HOME="+dir)
	if err := s.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start pulseaudio: %w", err)
	}
	for range 100 {
		if _, err := os.Stat(s.socket); err == nil {
			return s, os.Chmod(s.socket, 0o777) //nolint:gosec // players that run as another user
		}
		pause(ctx, 50*time.Millisecond)
	}
	s.close()
	return nil, errors.New("start pulseaudio: no socket")
}

func (s *soundServer) close() {
	_ = s.cmd.Process.Signal(syscall.SIGTERM)
	_ = s.cmd.Wait()
}

// tone is the beginning of a tone in the recording.
type tone struct {
	at    time.Duration // since the start of the program
	pitch int           // index into tones
}

// recordRate is the number of samples per second of the recording, and recordStep the number of samples
// that are searched for a tone at once.
const recordRate, recordStep = 8000, 40

// listen records the output until ctx is done and returns the tones in it.
func (s *soundServer) listen(ctx context.Context, began time.Time) ([]tone, error) {
	cmd := exec.CommandContext(ctx, "parec", "-s", "unix:"+s.socket, "-d", "out.monitor", "--raw", "--format=s16le", //nolint:gosec // arguments of this program's own
		fmt.Sprintf("--rate=%d", recordRate), "--channels=1", "--latency-msec=10")
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start parec: %w", err)
	}
	heard := detectTones(bufio.NewReaderSize(out, 64<<10), began)
	_ = cmd.Wait()
	return heard, nil
}

// detectTones returns the tones in a recording while it is being made.
func detectTones(in io.Reader, began time.Time) (out []tone) {
	raw := make([]byte, 2*recordStep)
	var d detector
	for {
		if _, err := io.ReadFull(in, raw); err != nil {
			return out
		}
		pitch := d.step(raw)
		if pitch >= 0 {
			out = append(out, tone{time.Since(began), pitch})
		}
	}
}

// detector finds the beginnings of tones.
type detector struct{ quiet int }

// step examines the next samples and returns the pitch of a tone that begins there, or -1.
func (d *detector) step(raw []byte) int {
	pitch, best := -1, 0.0
	for i, f := range tones {
		if p := tonePower(raw, f); p > best {
			pitch, best = i, p
		}
	}
	const loud = 0.05 // a tone has 0.5
	if math.Sqrt(best) < loud {
		d.quiet++
		return -1
	}
	began := d.quiet >= 10 // 50 ms
	d.quiet = 0
	if !began {
		return -1
	}
	return pitch
}

// tonePower returns the square of the amplitude of a frequency in 16-bit samples.
func tonePower(raw []byte, frequency float64) float64 {
	re, im := 0.0, 0.0
	n := len(raw) / 2
	for i := range n {
		v := float64(int16(binary.LittleEndian.Uint16(raw[2*i:]))) / math.MaxInt16 //nolint:gosec // two's complement
		sin, cos := math.Sincos(2 * math.Pi * frequency * float64(i) / recordRate)
		re, im = re+v*cos, im+v*sin
	}
	return (re*re + im*im) * 4 / float64(n*n)
}

// offset returns the delay of audio behind video between two times, as the median over the tones. age is
// the age of the frames that were shown. A frame is shown for a while, so on average it is half of that
// older than when it appeared. offset returns false for fewer than two tones.
func offset(heard []tone, age, from, to time.Duration) (time.Duration, bool) {
	var all []time.Duration
	for _, t := range heard {
		if t.at < from || t.at >= to {
			continue
		}
		made := t.at - (age - time.Second/pictureRate/2) - time.Duration(t.pitch)*tonePeriod
		late := (made%cycle + cycle) % cycle
		if late > cycle/2 {
			late -= cycle
		}
		all = append(all, late)
	}
	if len(all) < 2 {
		return 0, false
	}
	slices.Sort(all)
	return all[len(all)/2], true
}

// writeTones writes the tones to a file, one on each line.
func writeTones(path string, all []tone, broke time.Duration) {
	var b strings.Builder
	for _, t := range all {
		fmt.Fprintf(&b, "%.3f %.3f %d\n", (t.at - broke).Seconds(), t.at.Seconds(), t.pitch)
	}
	_ = os.WriteFile(path, []byte(b.String()), 0o644) //nolint:gosec // a log
}
