//go:build race

package rtmpconn

// raceDetector makes memory cost several times what it does.
const raceDetector = true
