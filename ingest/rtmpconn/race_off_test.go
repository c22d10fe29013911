//go:build !race

package rtmpconn

const raceDetector = false
