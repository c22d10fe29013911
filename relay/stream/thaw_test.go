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
		key.DTS, key.Arrived = 20*time.Second+80*time.Millisecond, arrived.Add(100*time.Millisecond)
		if err := p.sink.Write(key); err != nil {
			t.Fatal(err)
		}
		// It may be held again by now: since that key arrived a second has passed.
		returned := false
		for _, e := range b.told() {
			returned = returned || e.Type == State && e.From == lifecycle.Held && e.To == lifecycle.Live
			if e.Outage < 0 {
				t.Errorf("got an outage of %v, want none below 0", e.Outage)
			}
		}
		if !returned {
			t.Errorf("the stream is %v and was never live again", b.state())
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
		for _, e := range b.told() {
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

// Who hung and thaws when another has its place, or was kicked meanwhile, has no part in the
// stream any more.
func TestThawTooLate(t *testing.T) {
	for name, meanwhile := range map[string]func(b *bench) *push{
		"taken over": func(b *bench) *push { return b.publish(gen.Options{Source: 1}) },
		"kicked":     func(b *bench) *push { b.Kick("enough"); return b.publish(gen.Options{Source: 1}) },
	} {
		t.Run(name, func(t *testing.T) {
			story(t, nil, func(b *bench) {
				p := b.publish(gen.Options{})
				p.run(20 * time.Second)
				r := b.attach()
				time.Sleep(4 * time.Second)
				next := meanwhile(b)
				if p.sess.closed == "" {
					t.Error("the hung session was not closed")
				}
				for range 100 { // past its next keyframe
					if p.sink.Write(p.gen.Next()) == nil {
						t.Fatal("the hung session still writes")
					}
				}
				next.run(time.Second)
				packets, err := drain(t, r)
				if err != nil || b.state() != lifecycle.Live {
					t.Fatalf("%v, %v", err, b.state())
				}
				if n := count(packets, func(p *packetbuf.Packet) bool { return p.Flags&packetbuf.Splice != 0 }); n != 1 {
					t.Errorf("%d splices", n)
				}
			})
		})
	}
}

// Two candidates, and neither has had its keyframe: the newer one counts, the older is told,
// and the one that feeds goes on until then.
func TestTwoCandidates(t *testing.T) {
	story(t, func(c *Config) { c.Takeover = lifecycle.Always }, func(b *bench) {
		first := b.publish(gen.Options{})
		first.run(3 * time.Second)
		second := b.publish(gen.Options{Source: 1})
		third := b.publish(gen.Options{Source: 2})
		if second.sess.closed != ingest.Takeover || first.sess.closed != "" {
			t.Errorf("closed: %q, %q", first.sess.closed, second.sess.closed)
		}
		first.run(100 * time.Millisecond)
		third.run(time.Second)
		if first.sess.closed != ingest.Takeover || b.state() != lifecycle.Live {
			t.Errorf("closed: %q, %v", first.sess.closed, b.state())
		}
		for _, e := range b.told() {
			if e.To == lifecycle.Held {
				t.Error("held, though one fed all the while")
			}
		}
	})
}
