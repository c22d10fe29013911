package rendition

import (
	"errors"
	"fmt"
	"log/slog"
	"os/exec"
	"strings"
	"time"
)

// exitWait is how long a child that has closed its output may take to exit. Its exit status is then
// its own, rather than that of being killed.
const exitWait = 500 * time.Millisecond

// failure describes how a child process failed.
type failure struct {
	err    error
	exit   string   // "exit status 1", "signal: killed"; empty if the relay ended the child
	output []string // last lines of its standard error
	memory int64    // limit of its address space in bytes; 0: no limit
}

// Error implements error. It returns the reason in one line, without the child's output.
func (f *failure) Error() string {
	if f.exit == "" {
		return f.err.Error()
	}
	return fmt.Sprintf("%v: %s", f.err, f.exit)
}

// Unwrap returns the reason.
func (f *failure) Unwrap() error { return f.err }

// attrs returns the log fields: the reason, the child's output, and a hint if one is known.
func (f *failure) attrs() []any {
	out := []any{slog.String("err", f.Error())}
	said := strings.Join(f.output, " | ")
	if said == "" && f.exit != "" {
		said = "nothing"
	}
	if said != "" {
		out = append(out, slog.String("said", said))
	}
	if hint := f.hint(); hint != "" {
		out = append(out, slog.String("hint", hint))
	}
	return out
}

// hints maps parts of ffmpeg's messages to hints for the operator.
var hints = []struct{ part, hint string }{
	{"unknown encoder", "this ffmpeg lacks an encoder: install one with libx264 and libopus"},
	{"unrecognized option", "this ffmpeg is too old: install 5.1 or later"},
	{"option not found", "this ffmpeg is too old: install 5.1 or later"},
	{"no space left", "the disk is full"},
	{"picture size", "the video is larger than the limit for transcoding: publish at most 4096x4096"},
	{"invalid data found", "the stream is damaged, or in a format that ffmpeg does not decode: check the encoder"},
}

// memoryWords are parts of the messages of ffmpeg and its libraries about a failed allocation.
var memoryWords = []string{"cannot allocate memory", "out of memory", "bad_alloc", "failed to allocate", "enomem", "malloc of size"}

// hint returns a hint for the failure, or "".
func (f *failure) hint() string {
	said := strings.ToLower(strings.Join(f.output, "\n"))
	for _, w := range memoryWords {
		if f.memory > 0 && strings.Contains(said, w) {
			return fmt.Sprintf("it reached limits.child_memory (%d MiB): raise it and restart, or publish smaller video", f.memory>>20)
		}
	}
	for _, h := range hints {
		if strings.Contains(said, h.part) {
			return h.hint
		}
	}
	switch {
	case errors.Is(f.err, exec.ErrNotFound):
		return "install ffmpeg 5.1 or later, or put it on the PATH of holdfast"
	case errors.Is(f.err, errBehind):
		return "the machine is too slow for it: lower limits.transcodes, or height or bitrate of the rendition"
	case errors.Is(f.err, errSilent):
		return "check that the stream has video that this ffmpeg can decode, and that the CPU is not saturated"
	case f.exit == "signal: killed":
		return "it was killed from outside, as the kernel does where memory runs out: see the kernel's log; lower limits.transcodes, or height of the rendition"
	case strings.HasPrefix(f.exit, "signal: "):
		return "it crashed: try another version of ffmpeg"
	}
	return ""
}
