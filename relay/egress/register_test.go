package egress

import (
	"testing"
	"testing/synctest"
	"time"
)

// Who is there is told of the end and waited for; nobody comes after it.
func TestRegister(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := NewRegister()
		left := false
		if !r.Go(func() { <-r.Context().Done(); time.Sleep(time.Second); left = true }) || !r.Enter() {
			t.Fatal("nobody may enter")
		}
		r.Leave()
		if r.Close(); !left {
			t.Error("not waited for")
		}
		if r.Enter() || r.Go(func() { t.Error("runs after the end") }) {
			t.Error("somebody enters after the end")
		}
		r.Close()
	})
}
