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

// A tone of one of four pitches begins with each second of the stream, so that a listener can tell
// when what it hears was made.
const (
	audioRate  = 44100
	toneLength = 60 * time.Millisecond
	tonePeriod = time.Second
)

var tones = [...]float64{900, 1300, 1800, 2500} // hertz, one a second in turn

// cycle is the time after which the tones repeat.
const cycle = time.Duration(len(tones)) * tonePeriod

// appendAudio appends the samples from one time to another, of two channels in 16 bits.
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

// speaker is a sound server whose only output is recorded.
type speaker struct {
	cmd    *exec.Cmd
	socket string
}

// openSpeaker starts a PulseAudio server with a null sink.
func openSpeaker(ctx context.Context, dir string) (*speaker, error) {
	s := &speaker{socket: filepath.Join(dir, "sound")}
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

func (s *speaker) close() {
	_ = s.cmd.Process.Signal(syscall.SIGTERM)
	_ = s.cmd.Wait()
}

// tone is the beginning of a tone that was heard.
type tone struct {
	at    time.Duration // since the start of the program
	pitch int           // index into tones
}

// recordRate is the number of samples per second of the recording, and recordStep the number of
// samples in which a tone is looked for.
const recordRate, recordStep = 8000, 40

// listen records the output until ctx ends and returns the tones in it.
func (s *speaker) listen(ctx context.Context, began time.Time) ([]tone, error) {
	cmd := exec.CommandContext(ctx, "parec", "-s", "unix:"+s.socket, "-d", "out.monitor", "--raw", "--format=s16le", //nolint:gosec // arguments of this program's own
		fmt.Sprintf("--rate=%d", recordRate), "--channels=1", "--latency-msec=10")
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start parec: %w", err)
	}
	heard := hear(bufio.NewReaderSize(out, 64<<10), began)
	_ = cmd.Wait()
	return heard, nil
}

// hear returns the tones in a recording that is read as it is made.
func hear(in io.Reader, began time.Time) (out []tone) {
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

// detector finds where tones begin.
type detector struct{ quiet int }

// step takes the next samples and returns the pitch of a tone that begins there, -1 without one.
func (d *detector) step(raw []byte) int {
	pitch, best := -1, 0.0
	for i, f := range tones {
		if p := power(raw, f); p > best {
			pitch, best = i, p
		}
	}
	const loud = 0.05 // the tone has 0.5
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

// power returns the square of the amplitude of a frequency in samples of 16 bits.
func power(raw []byte, frequency float64) float64 {
	re, im := 0.0, 0.0
	n := len(raw) / 2
	for i := range n {
		v := float64(int16(binary.LittleEndian.Uint16(raw[2*i:]))) / math.MaxInt16 //nolint:gosec // two's complement
		sin, cos := math.Sincos(2 * math.Pi * frequency * float64(i) / recordRate)
		re, im = re+v*cos, im+v*sin
	}
	return (re*re + im*im) * 4 / float64(n*n)
}

// offset returns by how much audio comes after video between two times, given the age of the
// pictures that were shown: the median over the tones. A picture is shown for a while, so it is
// half of that older than when it appeared. It reports false where there are fewer than two tones.
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

// writeTones writes what was heard to a file, one tone on a line.
func writeTones(path string, all []tone, broke time.Duration) {
	var b strings.Builder
	for _, t := range all {
		fmt.Fprintf(&b, "%.3f %.3f %d\n", (t.at - broke).Seconds(), t.at.Seconds(), t.pitch)
	}
	_ = os.WriteFile(path, []byte(b.String()), 0o644) //nolint:gosec // a log
}
