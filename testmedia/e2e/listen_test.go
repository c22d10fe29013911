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

// loudest is the loudest frequency in a file's sound, in Hz, over its last two seconds.
func loudest(t testing.TB, file string) float64 {
	t.Helper()
	const rate, n = 16000, 16384
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	raw, err := exec.CommandContext(ctx, "ffmpeg", "-v", "error", "-i", file, "-vn", "-ac", "1", "-ar", "16000", "-f", "s16le", "-").Output()
	if err != nil {
		t.Errorf("decode the sound of %s: %v", file, err)
		return 0
	}
	samples := make([]float64, len(raw)/2)
	for i := range samples {
		samples[i] = float64(int16(binary.LittleEndian.Uint16(raw[2*i:])))
	}
	if len(samples) < n {
		t.Errorf("%s: %d samples of sound", file, len(samples))
		return 0
	}
	samples = samples[len(samples)-n:]
	best, at := 0.0, 0.0
	for hz := 100.0; hz <= 4000; hz += 5 { // Goertzel's filter at each
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
		t.Errorf("%s: no tone", file)
	}
	return at
}
