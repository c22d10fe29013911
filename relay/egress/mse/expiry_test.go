package mse

import (
	"strings"
	"testing"
	"time"

	"github.com/holdfast-live/holdfast/testmedia/gen"
)

// A viewer is served until its play token expires, and the close code says why.
func TestTokenExpiryEndsViewer(t *testing.T) {
	story(t, nil, func(b *bench) {
		b.until = time.Now().Add(6 * time.Second)
		p := b.publish(gen.Options{})
		c := b.dial("", nil)
		p.publishFor(5 * time.Second)
		select {
		case <-c.done:
			t.Error("closed before the token has expired")
		default:
		}
		p.publishFor(2 * time.Second)
		if code, reason := c.closed(); code != Refused || !strings.Contains(reason, "expired") {
			t.Errorf("got close code %d %q, want %d", code, reason, Refused)
		}
		c.leave()
	})
}
