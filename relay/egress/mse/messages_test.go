package mse

import (
	"encoding/json"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/holdfast-live/holdfast/packetbuf"
	"github.com/holdfast-live/holdfast/testmedia/gen"
)

// The client receives the state of the stream after the greeting, and whenever it changes.
func TestState(t *testing.T) {
	state, changed := "live", make(chan struct{})
	story(t, nil, func(b *bench) {
		b.opts.State = func(stream string) (any, <-chan struct{}) {
			b.mu.Lock()
			defer b.mu.Unlock()
			if stream != "live/cam" {
				t.Errorf("State called for %s", stream)
			}
			return map[string]string{"state": state}, changed
		}
		changed = make(chan struct{}) // belongs to this bubble
		p := b.publish(gen.Options{})
		c := b.dial("", nil)
		defer c.leave()
		p.publishFor(time.Second)
		if c.hello().Session == "" || c.count("state") != 1 {
			t.Errorf("got %d state messages", c.count("state"))
		}
		b.mu.Lock()
		state = "held"
		last := changed
		changed = make(chan struct{})
		b.mu.Unlock()
		close(last)
		synctest.Wait()
		all := c.received()
		if got := all[len(all)-1].text; got != `{"state":"held"}` {
			t.Errorf("got %q", got)
		}
	})
}

// The client receives the time of day of the media before the first media, and repeatedly after
// that.
func TestClock(t *testing.T) {
	story(t, nil, func(b *bench) {
		p := b.publish(gen.Options{})
		c := b.dial("", nil)
		defer c.leave()
		p.publishFor(25 * time.Second)
		var clocks int
		for i, m := range c.received() {
			var said struct {
				Clock *struct {
					Media float64
					Wall  time.Time
				}
			}
			if m.text == "" || json.Unmarshal([]byte(m.text), &said) != nil || said.Clock == nil {
				continue
			}
			if clocks++; clocks == 1 && !c.received()[i-1].init() {
				t.Error("got media before the time of day")
			}
			if off := said.Clock.Wall.Sub(p.began) - time.Duration(said.Clock.Media*float64(time.Second)); off.Abs() > 100*time.Millisecond {
				t.Errorf("time of day is off by %v", off)
			}
		}
		if clocks != 3 {
			t.Errorf("got %d clock messages in 25 seconds", clocks)
		}
	})
}

// An unsupported codec is named before the close, because other protocols may support it.
func TestUnsupported(t *testing.T) {
	story(t, nil, func(b *bench) {
		c := b.dial("", nil)
		b.mu.Lock()
		b.places[0].packets <- &packetbuf.Packet{Track: packetbuf.Video, Codec: packetbuf.VP8, Kind: packetbuf.Key, Payload: []byte{0}, Seq: 1, Arrived: time.Now()}
		b.mu.Unlock()
		if code, reason := c.closed(); code != Refused || !strings.Contains(reason, packetbuf.VP8.String()) {
			t.Errorf("got close code %d %q", code, reason)
		}
		if all := c.received(); len(all) != 1 || all[0].text != `{"unsupported":"`+packetbuf.VP8.String()+`"}` {
			t.Errorf("got messages %v", all)
		}
	})
}
