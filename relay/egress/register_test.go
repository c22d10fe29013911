package egress

import (
	"testing"
	"testing/synctest"
	"time"
)

// Close cancels the running viewers and waits for them. Nothing can be started after it.
func TestRegister(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := NewRegister()
		left := false
		if !r.Go(func() { <-r.Context().Done(); time.Sleep(time.Second); left = true }) || !r.Enter() {
			t.Fatal("Go or Enter returned false on an open register")
		}
		r.Leave()
		if r.Close(); !left {
			t.Error("Close returned before the viewer had left")
		}
		if r.Enter() || r.Go(func() { t.Error("function runs after Close") }) {
			t.Error("Enter or Go returned true after Close")
		}
		r.Close()
	})
}
