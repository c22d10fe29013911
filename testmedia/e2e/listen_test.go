//go:build unix

package e2e

import (
	"context"
	"encoding/binary"
	"math"
	"os/exec"
	"testing"
	"time"
)

// loudestTone returns the loudest frequency in the last two seconds of a file's audio, in Hz.
func loudestTone(t testing.TB, file string) float64 {
	t.Helper()
	const rate, n = 16000, 16384
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	raw, err := exec.CommandContext(ctx, "ffmpeg", "-v", "error", "-i", file, "-vn", "-ac", "1", "-ar", "16000", "-f", "s16le", "-").Output()
	if err != nil {
		t.Errorf("decode the audio of %s: %v", file, err)
		return 0
	}
	samples := make([]float64, len(raw)/2)
	for i := range samples {
		samples[i] = float64(int16(binary.LittleEndian.Uint16(raw[2*i:])))
	}
	if len(samples) < n {
		t.Errorf("%s: got %d samples of audio", file, len(samples))
		return 0
	}
	samples = samples[len(samples)-n:]
	best, at := 0.0, 0.0
	for hz := 100.0; hz <= 4000; hz += 5 { // Goertzel's filter at each frequency
		k := 2 * math.Cos(2*math.Pi*hz/rate)
		var a, b float64
		for _, x := range samples {
			a, b = x+k*a-b, a
		}
		if power := a*a + b*b - k*a*b; power > best {
			best, at = power, hz
		}
	}
	if math.Sqrt(best)/n < 100 { // of 32,768
		t.Errorf("%s: got no tone", file)
	}
	return at
}
