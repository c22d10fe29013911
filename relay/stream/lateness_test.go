package stream

import (
	"testing"
	"time"

	"github.com/holdfast-live/holdfast/relay/lifecycle"
	"github.com/holdfast-live/holdfast/testmedia/gen"
)

// While a publisher's bytes wait in its socket the relay is late, not the publisher: no break
// is declared, however long that takes.
func TestUnreadBytesPutOffTheVerdict(t *testing.T) {
	story(t, nil, func(b *bench) {
		p := b.publish(gen.Options{})
		p.run(20 * time.Second)
		p.sess.unread.Store(true)
		time.Sleep(5 * time.Second)
		if got := b.state(); got != lifecycle.Suspect {
			t.Errorf("got %v with unread bytes, want suspect", got)
		}
		p.run(time.Second)
		if got := b.state(); got != lifecycle.Live {
			t.Errorf("got %v after they were read, want live", got)
		}
		time.Sleep(5 * time.Second)
		if got := b.state(); got != lifecycle.Suspect {
			t.Errorf("got %v with unread bytes, want suspect", got)
		}
		p.sess.unread.Store(false)
		time.Sleep(100 * time.Millisecond)
		if got := b.state(); got != lifecycle.Held {
			t.Errorf("got %v once nothing is left to read, want held", got)
		}
	})
}
