package publisher

import (
	"testing"
	"time"
)

func TestLatenessIsForgotten(t *testing.T) {
	var l Lateness
	now := time.Now()
	l.Note(now, 300*time.Millisecond)
	l.Note(now.Add(time.Second), 100*time.Millisecond)
	if got := l.Recent(now.Add(time.Second)); got != 300*time.Millisecond {
		t.Errorf("got %v, want the worst, 300ms", got)
	}
	if got := l.Recent(now.Add(latenessKept + time.Millisecond)); got != 0 {
		t.Errorf("got %v later, want 0", got)
	}
	l.Note(now, time.Hour)
	if got := l.Recent(now); got != latenessMost {
		t.Errorf("got %v, want at most %v", got, latenessMost)
	}
}
