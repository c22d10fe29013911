package cmaf

import (
	"errors"
	"testing"

	"github.com/holdfast-live/holdfast/packetbuf/panics"
)

// After a panic in append the ring remains usable for its readers, which learn how the feed
// ended.
func TestPanicOfAppendLeavesTheRing(t *testing.T) {
	r := newRing(1, Limits{})
	r.append(&Chunk{Seq: 1, Independent: true})
	var p *panics.Error
	err := panics.Run(func() error { r.append(nil); return nil })
	if !errors.As(err, &p) {
		t.Fatalf("got %v, want a panic", err)
	}
	if !r.mu.TryLock() {
		t.Fatal("ring is still locked")
	}
	r.mu.Unlock()
	r.close(err)
	c := Cursor{r: r}
	if got, err := c.Next(t.Context()); len(got) != 1 || err != nil {
		t.Errorf("got %d chunks, error %v, want the chunk before the panic", len(got), err)
	}
	if _, err := c.Next(t.Context()); !errors.As(err, &p) {
		t.Errorf("got %v, want the panic", err)
	}
}
