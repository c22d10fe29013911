//go:build race

package rtmp

// raceDetector makes memory cost several times what it does.
const raceDetector = true
