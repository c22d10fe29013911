package stream

import (
	"sync"
	"testing"
	"time"

	"github.com/holdfast-live/holdfast/ingest"
	"github.com/holdfast-live/holdfast/packetbuf"
	"github.com/holdfast-live/holdfast/relay/lifecycle"
	"github.com/holdfast-live/holdfast/testmedia/gen"
)

// A session that thaws in an endless GOP would feed nobody for ever: it is sent away to dial
// again, while the viewers are held.
func TestThawWithoutAKeyframe(t *testing.T) {
	story(t, nil, func(b *bench) {
		p := b.publish(gen.Options{GOP: 1 << 20})
		p.run(20 * time.Second)
		r := b.attach()
		time.Sleep(4 * time.Second)
		p.run(29 * time.Second)
		if b.state() != lifecycle.Held || p.sess.closed != "" {
			t.Fatalf("%v, closed %q, while a keyframe may still come", b.state(), p.sess.closed)
		}
		var err error
		for end := time.Now().Add(2 * time.Second); err == nil && time.Now().Before(end); time.Sleep(33 * time.Millisecond) {
			err = p.sink.Write(p.gen.Next())
		}
		if err == nil || p.sess.closed != ingest.Silence {
			t.Fatalf("closed %q, %v", p.sess.closed, err)
		}
		time.Sleep(20 * time.Second)
		b.publish(gen.Options{Source: 1}).run(time.Second)
		if b.state() != lifecycle.Live {
			t.Errorf("%v after the redial", b.state())
		}
		if _, err := drain(t, r); err != nil {
			t.Errorf("the viewer: %v", err)
		}
	})
}

// What arrived before the verdict and was looked at after it does not make an outage of less
// than nothing.
func TestOutageIsNeverNegative(t *testing.T) {
	story(t, nil, func(b *bench) {
		p := b.publish(gen.Options{})
		p.run(20 * time.Second)
		arrived := time.Now()
		for b.state() != lifecycle.Held {
			time.Sleep(100 * time.Millisecond)
		}
		key := p.gen.Next()
		for ; !key.Media() || key.Kind != packetbuf.Key || key.Track != packetbuf.Video; key = p.gen.Next() {
		}
		key.Arrived = arrived.Add(100 * time.Millisecond)
		if err := p.sink.Write(key); err != nil || b.state() != lifecycle.Live {
			t.Fatalf("%v, %v", b.state(), err)
		}
		for _, e := range b.events {
			if e.Outage < 0 {
				t.Errorf("an outage of %v", e.Outage)
			}
		}
	})
}

// When the whole process stood still for a while, nobody's push was silent: what came is only
// read late.
func TestStandstillIsNobodysSilence(t *testing.T) {
	story(t, nil, func(b *bench) {
		var once sync.Once
		b.observe = func(e Event) {
			if e.To == lifecycle.Suspect {
				once.Do(func() { time.Sleep(3 * time.Second) }) // the loop stands still
			}
		}
		p := b.publish(gen.Options{})
		p.run(20 * time.Second)
		time.Sleep(3600 * time.Millisecond) // and so does who reads the socket, a little longer
		p.run(time.Second)
		for _, e := range b.events {
			if e.Type == Broke {
				t.Errorf("broke: %s", e.Cause)
			}
		}
		if b.state() != lifecycle.Live {
			t.Error(b.state())
		}
		time.Sleep(1500 * time.Millisecond)
		if b.state() != lifecycle.Held {
			t.Errorf("%v after a silence that was one", b.state())
		}
	})
}
