//go:build unix

package main

import "time"

// Each frame carries the time of its creation, in a row of black and white blocks along its top, and a
// pattern below that derives from this time. So the age of a frame that is shown can be computed, and
// whether it was decoded correctly.
const (
	stampBits = 24 // milliseconds since the start of the program
	checkBits = 8  // checksum of the stamp
	blocks    = stampBits + checkBits

	pictureRate = 30
	stampRows   = 8 // the stamp covers 1/8 of the height

	gridX, gridY = 32, 16 // points at which a frame is compared
	// maxLumaDifference is the mean difference in luma up to which a frame is correct. An encoder at 1.5
	// Mb/s causes less than 6, one missing reference frame more than 20.
	maxLumaDifference = 12
)

// checksum spreads each bit of the stamp over the check bits.
func checksum(stamp uint32) uint32 { return (stamp * 0x9e3779b1) >> (32 - checkBits) }

// pattern returns the luma of a frame at a point given in 1/256 of its width and height.
func pattern(stamp uint32, x, y int) byte {
	v := (x + 2*y + int(stamp/25)) % 256
	if v > 127 {
		v = 255 - v
	}
	return byte(64 + v) //nolint:gosec // 64 to 191
}

// drawFrame draws a frame with one byte of luma per pixel.
func drawFrame(frame []byte, width, height int, stamp uint32) {
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
	at      time.Duration // since the start of the program
	stamp   time.Duration // when the frame was created
	correct bool          // the frame was decoded correctly; only then stamp is valid
	blank   bool          // there was no frame
}

// luma returns the luma at a point in 1/256 of the width and height.
type luma func(x, y float64) float64

// readFrame reads the stamp of a frame and compares the frame with its pattern.
func readFrame(at time.Duration, l luma) sample {
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
	s.correct = sum/float64(n) <= maxLumaDifference
	return s
}
