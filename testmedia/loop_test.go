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

// TestLoopDecodes hands ffmpeg three rounds of the clip, starting near the wrap of 24 bits,
// and expects every picture and not a word.
func TestLoopDecodes(t *testing.T) {
	if _, err := exec.LookPath("ffmpeg"); err != nil {
		t.Skip("needs ffmpeg")
	}
	const rounds = 3
	file := flv.Header(true, true)
	l := NewLoop(1<<24*time.Millisecond - ClipDuration)
	for pictures, sounds := 0, 0; pictures < rounds*ClipPictures || sounds < rounds*ClipSounds; {
		p := l.Next()
		file = append(file, flv.Tag(p)...)
		switch {
		case p.Media() && p.Track == packetbuf.Video:
			pictures++
		case p.Media():
			sounds++
		}
	}
	cmd := exec.CommandContext(context.WithoutCancel(t.Context()), "ffmpeg", "-v", "warning", "-xerror",
		"-i", "-", "-f", "framehash", "-hash", "crc32", "-")
	cmd.Stdin = bytes.NewReader(file)
	var out, complaints bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &complaints
	if err := cmd.Run(); err != nil || complaints.Len() > 0 {
		t.Fatalf("ffmpeg: %v\n%s", err, complaints.String())
	}
	pictures := 0
	for line := range strings.Lines(out.String()) {
		if strings.HasPrefix(line, "0,") {
			pictures++
		}
	}
	if pictures != rounds*ClipPictures {
		t.Errorf("%d pictures decoded", pictures)
	}
}
