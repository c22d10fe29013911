//go:build !race

package rtmp

const raceDetector = false
