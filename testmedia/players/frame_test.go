//go:build unix

package main

import (
	"testing"
	"time"
)

// frame returns a frame with a stamp, as a reader sees it.
func frame(stamp time.Duration, change func(pixels []byte)) luma {
	pixels := make([]byte, width*height)
	drawFrame(pixels, width, height, uint32(stamp.Milliseconds())) //nolint:gosec // small
	change(pixels)
	return mean(pixels, width, height, 1, 0)
}

func TestReadFrame(t *testing.T) {
	const stamp = 123456 * time.Millisecond
	fill := func(pixels []byte, v byte) {
		for i := range pixels {
			pixels[i] = v
		}
	}
	for _, tt := range []struct {
		name         string
		change       func(pixels []byte)
		right, blank bool
	}{
		{"as drawn", func([]byte) {}, true, false},
		{"a little darker", func(p []byte) {
			for i := range p {
				p[i] -= 4
			}
		}, true, false},
		{"grey", func(p []byte) { fill(p, 128) }, false, false},
		{"grey below the stamp", func(p []byte) { fill(p[width*height/stampRows:], 128) }, false, false},
		{"the lower half of another frame", func(p []byte) {
			other := make([]byte, width*height)
			drawFrame(other, width, height, uint32(stamp.Milliseconds())+2000)
			copy(p[width*height/2:], other[width*height/2:])
		}, false, false},
		{"one block of the stamp wrong", func(p []byte) {
			for y := range height / stampRows {
				for x := range width / blocks {
					p[y*width+x] = 251 - p[y*width+x]
				}
			}
		}, false, false},
		{"black", func(p []byte) { fill(p, 0) }, false, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := readFrame(time.Minute, frame(stamp, tt.change))
			if got.correct != tt.right || got.blank != tt.blank || got.correct && got.stamp != stamp {
				t.Errorf("got %+v, want correct %v, blank %v, stamp %v", got, tt.right, tt.blank, stamp)
			}
		})
	}
}

// TestEvaluate evaluates a player that shows frames 1 s old until the push breaks at 10 s, then a frozen
// frame for 4 s with one second of corrupt frames, and then frames 1.5 s old.
func TestEvaluate(t *testing.T) {
	var all []sample
	for at := time.Duration(0); at < 20*time.Second; at += sampleInterval {
		s := sample{at: at, stamp: at - time.Second, correct: at > time.Second}
		switch {
		case at >= 10*time.Second && at < 14*time.Second:
			s.stamp = 9 * time.Second
			s.correct = at < 12*time.Second || at >= 13*time.Second
		case at >= 14*time.Second:
			s.stamp = at - 1500*time.Millisecond
		}
		all = append(all, s)
	}
	got := evaluate(recording{samples: all}, 10*time.Second)
	want := result{before: time.Second, after: 1500 * time.Millisecond, corrupt: time.Second, frozen: 4 * time.Second, gap: sampleInterval, avOffset: [2]string{"none", "none"}}
	if got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
}
