package cmaf

import (
	"errors"
	"testing"

	"github.com/holdfast-live/holdfast/packetbuf/panics"
)

// A panic while a chunk is appended leaves the ring to its readers, which are told how it ended.
func TestPanicOfAppendLeavesTheRing(t *testing.T) {
	r := newRing(1, Limits{})
	r.append(&Chunk{Seq: 1, Independent: true})
	var p *panics.Error
	err := panics.Run(func() error { r.append(nil); return nil })
	if !errors.As(err, &p) {
		t.Fatalf("got %v, want a panic", err)
	}
	if !r.mu.TryLock() {
		t.Fatal("the lock is held")
	}
	r.mu.Unlock()
	r.close(err)
	c := Cursor{r: r}
	if got, err := c.Next(t.Context()); len(got) != 1 || err != nil {
		t.Errorf("got %d chunks, %v, want the one before", len(got), err)
	}
	if _, err := c.Next(t.Context()); !errors.As(err, &p) {
		t.Errorf("got %v, want the panic", err)
	}
}
