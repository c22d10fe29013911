package rendition

import (
	"fmt"
	"os"
	"runtime"
	"strconv"
)

const (
	// maxPixels is the maximum size of a decoded frame. 4096x4096 includes 4K in any aspect ratio; 16
	// such frames need 400 MB. A kilobyte of input is enough to declare frames of 10000x10000.
	maxPixels = 4096 * 4096
	// maxThreads is the maximum number of threads of the decoder and of the encoder, because
	// each needs memory.
	maxThreads = 8
)

// arguments returns the arguments of ffmpeg, which must have version 5.1 (2022) or later.
//
// Timestamps are preserved: -copyts is set, and the encoder counts in milliseconds as FLV does.
// Every input frame is output once, in presentation order. ffmpeg's probing is limited in bytes and
// in microseconds of media, so that it starts soon; that is possible because its input begins with
// all configurations. Latency is minimal: the decoder uses no frame threads, the encoder no
// lookahead, and a track does not wait long for another that pauses.
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
		// Keyframes follow the stream's; an extra one is made only if the stream has none for
		// long.
		"-force_key_frames", "source", "-forced-idr", "1", "-sc_threshold", "0", "-g", "600",
		"-enc_time_base", "1:1000", "-fps_mode", "passthrough",
		"-c:a", "copy",
		"-max_interleave_delta", "500000", "-flush_packets", "1",
		"-f", "flv", "-flvflags", "no_duration_filesize", "pipe:1",
	}
}

// environment returns the environment variables that a child needs. Others may contain secrets.
func environment() []string {
	var out []string
	for _, key := range []string{"PATH", "HOME", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "SYSTEMROOT", "TEMP", "TMP"} {
		if v, ok := os.LookupEnv(key); ok {
			out = append(out, key+"="+v)
		}
	}
	// Each arena of glibc reserves 64 MiB of address space, and there are eight per core.
	return append(out, "MALLOC_ARENA_MAX=2")
}
