package rendition

import (
	"fmt"

	"github.com/holdfast-live/holdfast/packetbuf"
)

// bridgeFormats are ffmpeg's names of the input formats.
var bridgeFormats = map[packetbuf.Codec]string{packetbuf.AAC: "aac", packetbuf.MP3: "mp3", packetbuf.Opus: "ogg"}

// bridgeArguments returns the arguments of ffmpeg for transcoding audio. They minimize latency:
// ffmpeg probes as little as possible, and writes each packet at once, in a separate Ogg page.
//
// The flag nobuffer is unsuitable, because it drops the probed data. aresample inserts silence where
// a frame could not be decoded, so that samples can be counted. It does so at once if the time of
// every frame is reliable, otherwise after a tenth of a second.
func bridgeArguments(e *entry, to packetbuf.Codec) []string {
	args := []string{
		"-hide_banner", "-loglevel", "error", "-nostats", "-nostdin",
		"-flags", "low_delay", "-probesize", "32", "-analyzeduration", "0", "-f", bridgeFormats[e.codec], "-i", "pipe:0",
		"-map", "0:a:0", "-map_metadata", "-1",
	}
	if e.channels > 2 {
		args = append(args, "-ac", "2")
	}
	hard := "0.1"
	if e.exact {
		hard = "0.01"
	}
	args = append(args, "-af", fmt.Sprintf("aresample=%d:async=1:min_hard_comp=%s:first_pts=0", sampleRate, hard), "-ar", fmt.Sprint(sampleRate))
	bits := "128k"
	if e.channels == 1 {
		bits = "96k"
	}
	if to == packetbuf.Opus {
		return append(
			args, "-c:a", "libopus", "-b:a", bits, "-frame_duration", "20",
			"-page_duration", "20000", "-flush_packets", "1", "-f", "ogg", "pipe:1",
		)
	}
	return append(args, "-c:a", "aac", "-b:a", bits, "-flush_packets", "1", "-f", "adts", "pipe:1")
}
