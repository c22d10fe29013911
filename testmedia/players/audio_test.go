//go:build unix

package main

import (
	"testing"
	"time"
)

// TestToneOffset plays the audio of the stream with a delay, resampled as by the sound server.
func TestToneOffset(t *testing.T) {
	for _, late := range []time.Duration{-300 * time.Millisecond, 0, 35 * time.Millisecond, 1700 * time.Millisecond} {
		const age, length = 900 * time.Millisecond, 10 // in seconds
		samples := appendAudio(nil, 0, length*audioRate)
		var d detector
		var heard []tone
		for from := 0; from+recordStep <= length*recordRate; from += recordStep {
			var raw []byte
			for n := from; n < from+recordStep; n++ {
				at := n * audioRate / recordRate * 4 // 16 bits, two channels
				raw = append(raw, samples[at:at+2]...)
			}
			if pitch := d.step(raw); pitch >= 0 {
				at := time.Duration(from+recordStep) * time.Second / recordRate
				heard = append(heard, tone{at + age + late - time.Second/pictureRate/2, pitch})
			}
		}
		got, ok := offset(heard, age, 3*time.Second, 9*time.Second)
		if !ok || got < late || got > late+10*time.Millisecond {
			t.Errorf("got %v, %v from %d tones, want %v", got, ok, len(heard), late)
		}
	}
	if _, ok := offset(nil, 0, 0, time.Hour); ok {
		t.Error("got an offset without a tone, want none")
	}
}
