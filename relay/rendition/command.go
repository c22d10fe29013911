package rendition

import (
	"fmt"
	"os"
	"runtime"
	"strconv"
)

const (
	// maxPixels is the largest picture that is decoded: 4096x4096 holds 4K of any shape, and 16 of
	// its frames take 400 MB. A kilobyte can claim 10000x10000.
	maxPixels = 4096 * 4096
	// maxThreads bounds the decoder's and the encoder's threads: each takes memory of its own.
	maxThreads = 8
)

// arguments are what ffmpeg is called with. It needs version 5.1 or later, of 2022.
//
// Timestamps go through unchanged: -copyts; an encoder that counts milliseconds as FLV does;
// every picture that goes in comes out, none twice, in the order in which it is shown. It
// begins soon, since the stream begins with all configuration: what it looks at first is
// bounded in bytes and in microseconds of media. It keeps nothing back: no frame threads in
// the decoder, no lookahead in the encoder, and where one track pauses the other does not wait
// for long.
func arguments(r Rendition) []string {
	bits, threads := strconv.Itoa(r.Bits), strconv.Itoa(min(runtime.NumCPU(), maxThreads))
	return []string{
		"-hide_banner", "-loglevel", "warning", "-nostats", "-nostdin",
		"-probesize", "500000", "-analyzeduration", "500000", "-fpsprobesize", "0",
		"-max_pixels", strconv.Itoa(maxPixels), "-threads", threads,
		"-copyts", "-thread_type", "slice", "-f", "flv", "-i", "pipe:0",
		"-map", "0:v:0", "-map", "0:a:0?", "-map_metadata", "-1",
		"-vf", fmt.Sprintf("scale=w=-2:h='trunc(min(%d,ih)/2)*2',format=yuv420p", r.Height),
		"-c:v", "libx264", "-threads", threads, "-preset", "veryfast", "-tune", "zerolatency", "-bf", "0",
		"-b:v", bits, "-maxrate", bits, "-bufsize", bits,
		// Keyframes are where the stream has them; one more only where it has none for long.
		"-force_key_frames", "source", "-forced-idr", "1", "-sc_threshold", "0", "-g", "600",
		"-enc_time_base", "1:1000", "-fps_mode", "passthrough",
		"-c:a", "copy",
		"-max_interleave_delta", "500000", "-flush_packets", "1",
		"-f", "flv", "-flvflags", "no_duration_filesize", "pipe:1",
	}
}

// environment is what a child needs of ours; there may be secrets in the rest.
func environment() []string {
	var out []string
	for _, key := range []string{"PATH", "HOME", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "SYSTEMROOT", "TEMP", "TMP"} {
		if v, ok := os.LookupEnv(key); ok {
			out = append(out, key+"="+v)
		}
	}
	// Each of glibc's arenas takes 64 MiB of address space, and there are eight to a core.
	return append(out, "MALLOC_ARENA_MAX=2")
}
