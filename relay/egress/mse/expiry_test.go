package mse

import (
	"strings"
	"testing"
	"time"

	"github.com/holdfast-live/holdfast/testmedia/gen"
)

// A viewer is served until its play token expires, whatever comes then, and told why.
func TestEndsWithTheToken(t *testing.T) {
	story(t, nil, func(b *bench) {
		b.until = time.Now().Add(6 * time.Second)
		p := b.publish(gen.Options{})
		c := b.dial("", nil)
		p.run(5 * time.Second)
		select {
		case <-c.done:
			t.Error("closed before the token has expired")
		default:
		}
		p.run(2 * time.Second)
		if code, reason := c.closed(); code != Refused || !strings.Contains(reason, "expired") {
			t.Errorf("closed with %d %q, want %d", code, reason, Refused)
		}
		c.leave()
	})
}
