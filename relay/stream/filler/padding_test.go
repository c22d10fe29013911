package filler

import (
	"testing"
	"time"

	"github.com/holdfast-live/holdfast/packetbuf"
)

// Padding neither piles up over a gap nor stops for long after a large frame.
func TestPaddingIsBounded(t *testing.T) {
	p := newPadding(10<<20, 10*time.Second)
	if got := p.before(time.Hour, 100); got > packetbuf.MaxPadding {
		t.Errorf("%d units after an hour", got)
	}
	p = newPadding(10<<20, 10*time.Second)
	p.before(time.Second, 10<<20)
	if got := p.before(3*time.Second, 0); got == 0 {
		t.Error("no padding two seconds after a large frame")
	}
}
