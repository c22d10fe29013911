package rendition

import (
	"errors"
	"fmt"
	"log/slog"
	"os/exec"
	"strings"
	"time"
)

// exitWait is how long a child that has closed its output is given to end by itself, so that its
// exit status is its own and not that of being killed.
const exitWait = 500 * time.Millisecond

// failure is how a child process failed.
type failure struct {
	err    error
	exit   string   // "exit status 1", "signal: killed"; empty: the relay ended it
	said   []string // the last lines it wrote to its standard error
	memory int64    // the limit of its address space in bytes; 0: none
}

// Error implements error: the reason in one line, without what the child said.
func (f *failure) Error() string {
	if f.exit == "" {
		return f.err.Error()
	}
	return fmt.Sprintf("%v: %s", f.err, f.exit)
}

// Unwrap gives the reason.
func (f *failure) Unwrap() error { return f.err }

// attrs are the log fields: the reason, what the child said, and what to do where that is known.
func (f *failure) attrs() []any {
	out := []any{slog.String("err", f.Error())}
	said := strings.Join(f.said, " | ")
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

// hints are what to do about what ffmpeg says, by a part of its words.
var hints = []struct{ part, hint string }{
	{"unknown encoder", "this ffmpeg lacks an encoder: install one with libx264 and libopus"},
	{"unrecognized option", "this ffmpeg is too old: install 5.1 or later"},
	{"option not found", "this ffmpeg is too old: install 5.1 or later"},
	{"no space left", "the disk is full"},
	{"picture size", "the picture is larger than is transcoded: publish at most 4096x4096"},
	{"invalid data found", "the stream is damaged, or in a form that ffmpeg does not decode: look at the encoder"},
}

// memoryWords are how ffmpeg and its libraries say that they were refused memory.
var memoryWords = []string{"cannot allocate memory", "out of memory", "bad_alloc", "failed to allocate", "enomem", "malloc of size"}

// hint returns what to do about it; empty where that is not known.
func (f *failure) hint() string {
	said := strings.ToLower(strings.Join(f.said, "\n"))
	for _, w := range memoryWords {
		if f.memory > 0 && strings.Contains(said, w) {
			return fmt.Sprintf("it reached limits.child_memory (%d MiB): raise it and restart, or publish a smaller picture", f.memory>>20)
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
