//go:build unix

package main

import (
	"testing"
	"time"
)

// frame returns a drawn picture as a reader sees it.
func frame(stamp time.Duration, change func(pixels []byte)) luma {
	pixels := make([]byte, width*height)
	draw(pixels, width, height, uint32(stamp.Milliseconds())) //nolint:gosec // small
	change(pixels)
	return mean(pixels, width, height, 1, 0)
}

func TestReadPicture(t *testing.T) {
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
		{"the lower half of another picture", func(p []byte) {
			other := make([]byte, width*height)
			draw(other, width, height, uint32(stamp.Milliseconds())+2000)
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
			got := readPicture(time.Minute, frame(stamp, tt.change))
			if got.right != tt.right || got.blank != tt.blank || got.right && got.stamp != stamp {
				t.Errorf("got %+v, want right %v, blank %v, stamp %v", got, tt.right, tt.blank, stamp)
			}
		})
	}
}

// A player shows pictures 1 s old until the push breaks at 10 s, a held one for 4 s with a second
// of wrong pictures, and then pictures 1.5 s old.
func TestJudge(t *testing.T) {
	var all []sample
	for at := time.Duration(0); at < 20*time.Second; at += sampleInterval {
		s := sample{at: at, stamp: at - time.Second, right: at > time.Second}
		switch {
		case at >= 10*time.Second && at < 14*time.Second:
			s.stamp = 9 * time.Second
			s.right = at < 12*time.Second || at >= 13*time.Second
		case at >= 14*time.Second:
			s.stamp = at - 1500*time.Millisecond
		}
		all = append(all, s)
	}
	got := judge(recording{samples: all}, 10*time.Second)
	want := result{before: time.Second, after: 1500 * time.Millisecond, broken: time.Second, still: 4 * time.Second, gap: sampleInterval, sync: [2]string{"none", "none"}}
	if got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
}
