//go:build unix

package main

import "time"

// A picture carries the time at which it was made in a row of black and white blocks along its
// top, and a pattern that follows from that time below it. So a viewer of the picture can say how
// old it is and whether it was decoded right.
const (
	stampBits = 24 // milliseconds since the start of the program
	checkBits = 8  // a checksum of those
	blocks    = stampBits + checkBits

	pictureRate = 30
	stampRows   = 8 // the top eighth of the picture

	gridX, gridY = 32, 16 // points at which a picture is compared
	// tolerance is the mean difference in luma up to which a picture is right: an encoder at
	// 1.5 Mb/s leaves less than 6, one missing reference picture more than 20.
	tolerance = 12
)

// checksum spreads each bit of the stamp over the check bits.
func checksum(stamp uint32) uint32 { return (stamp * 0x9e3779b1) >> (32 - checkBits) }

// pattern is the luma of the picture at a point given in 1/256 of its width and height.
func pattern(stamp uint32, x, y int) byte {
	v := (x + 2*y + int(stamp/25)) % 256
	if v > 127 {
		v = 255 - v
	}
	return byte(64 + v) //nolint:gosec // 64 to 191
}

// draw fills a picture of one byte of luma per pixel.
func draw(frame []byte, width, height int, stamp uint32) {
	bits := stamp | checksum(stamp)<<stampBits
	for y := range height {
		row := frame[y*width : (y+1)*width]
		for x := range row {
			if y >= height/stampRows {
				row[x] = pattern(stamp, x*256/width, y*256/height)
				continue
			}
			row[x] = 16
			if bits>>(x*blocks/width)&1 == 1 {
				row[x] = 235
			}
		}
	}
}

// sample is what a player showed at one moment.
type sample struct {
	at    time.Duration // since the start of the program
	stamp time.Duration // when the picture was made
	right bool          // the picture was decoded right; stamp holds only then
	blank bool          // there was no picture
}

// luma returns the luma at a point in 1/256 of the width and height.
type luma func(x, y float64) float64

// readPicture reads the stamp of a picture and compares the rest with what it should be.
func readPicture(at time.Duration, l luma) sample {
	s := sample{at: at}
	var bits uint32
	blank := true
	for i := range blocks {
		v := l((float64(i)+0.5)*256/blocks, 256/stampRows/2)
		blank = blank && v < 8
		if v > 125 {
			bits |= 1 << i
		}
	}
	if blank {
		s.blank = true
		return s
	}
	stamp := bits & (1<<stampBits - 1)
	if bits>>stampBits != checksum(stamp) {
		return s
	}
	sum, n := 0.0, 0
	for gy := gridY / stampRows * 2; gy < gridY; gy++ {
		for gx := range gridX {
			x, y := (float64(gx)+0.5)*256/gridX, (float64(gy)+0.5)*256/gridY
			d := l(x, y) - float64(pattern(stamp, int(x), int(y)))
			sum, n = sum+max(d, -d), n+1
		}
	}
	s.stamp = time.Duration(stamp) * time.Millisecond
	s.right = sum/float64(n) <= tolerance
	return s
}
