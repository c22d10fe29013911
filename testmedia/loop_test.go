package testmedia

import (
	"bytes"
	"context"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/holdfast-live/holdfast/packetbuf"
	"github.com/holdfast-live/holdfast/packetbuf/flv"
)

// TestLoopDecodes decodes three rounds of the clip with ffmpeg, starting just before a 24-bit timestamp
// wraps. ffmpeg must decode every frame and print no warning.
func TestLoopDecodes(t *testing.T) {
	if _, err := exec.LookPath("ffmpeg"); err != nil {
		t.Skip("ffmpeg is required")
	}
	const rounds = 3
	file := flv.Header(true, true)
	l := NewLoop(1<<24*time.Millisecond - ClipDuration)
	for frames, audioFrames := 0, 0; frames < rounds*ClipFrames || audioFrames < rounds*ClipAudioFrames; {
		p := l.Next()
		file = append(file, flv.Tag(p)...)
		switch {
		case p.Media() && p.Track == packetbuf.Video:
			frames++
		case p.Media():
			audioFrames++
		}
	}
	cmd := exec.CommandContext(context.WithoutCancel(t.Context()), "ffmpeg", "-v", "warning", "-xerror",
		"-i", "-", "-f", "framehash", "-hash", "crc32", "-")
	cmd.Stdin = bytes.NewReader(file)
	var out, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &stderr
	if err := cmd.Run(); err != nil || stderr.Len() > 0 {
		t.Fatalf("ffmpeg: %v\n%s", err, stderr.String())
	}
	frames := 0
	for line := range strings.Lines(out.String()) {
		if strings.HasPrefix(line, "0,") {
			frames++
		}
	}
	if frames != rounds*ClipFrames {
		t.Errorf("got %d frames decoded, want 600", frames)
	}
}
