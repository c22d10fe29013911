package stream

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/holdfast-live/holdfast/ingest"
	"github.com/holdfast-live/holdfast/packetbuf"
	"github.com/holdfast-live/holdfast/relay/lifecycle"
	"github.com/holdfast-live/holdfast/testmedia/gen"
)

// runLate pushes for d like run, but the goroutine that reads the socket runs late: at random
// it stands for up to most, while what the publisher sends waits in the socket. It returns the
// numbers of the video frames that were handed over.
func (p *push) runLate(r *rand.Rand, d, most time.Duration) (frames []uint64) {
	p.b.t.Helper()
	for end := time.Now().Add(d); time.Now().Before(end); p.next = nil {
		if p.next == nil {
			p.next = p.gen.Next()
		}
		time.Sleep(time.Until(p.began.Add(p.next.DTS - p.start)))
		arrived := time.Now()
		if r.IntN(60) == 0 {
			p.sess.unread.Store(true) // what comes meanwhile
			stands := time.Duration(r.Int64N(int64(most)))
			if r.IntN(2) == 0 {
				time.Sleep(stands) // between the socket and the stream: it arrived before
			} else {
				time.Sleep(stands) // before the socket is read
				arrived = time.Now()
			}
		}
		p.next.Arrived = arrived
		if p.next.Track == packetbuf.Video && p.next.Media() {
			id, err := gen.Identify(p.next)
			if err != nil {
				p.b.t.Fatal(err)
			}
			frames = append(frames, uint64(id.Source)<<32|id.Number)
		}
		p.sess.unread.Store(true) // it is being handled
		err := p.sink.Write(p.next)
		p.sess.unread.Store(false)
		if err != nil {
			p.b.t.Fatalf("write: %v", err)
		}
	}
	return frames
}

// However late the goroutines of the relay run, a return that is accepted loses nothing, and
// no publisher is called silent whose bytes wait to be read.
func TestReturnsLoseNothingHoweverLateTheRelay(t *testing.T) {
	for seed := range uint64(6) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			story(t, func(c *Config) { c.Takeover = lifecycle.Always }, func(b *bench) {
				r := rand.New(rand.NewPCG(seed, 8))
				var mu sync.Mutex // guards chance
				chance := rand.New(rand.NewPCG(seed, 9))
				b.observe = func(Event) { // the loop and the writers flush here
					mu.Lock()
					late := time.Duration(chance.Int64N(int64(9 * time.Second)))
					mu.Unlock()
					if late < 3*time.Second {
						time.Sleep(late)
					}
				}
				p := b.publish(gen.Options{})
				p.run(3 * time.Second)
				w := b.watch()
				var fed []uint64
				for n := range uint32(30) {
					switch r.IntN(3) {
					case 0:
						p.sink.End(ingest.Reset, "")
						time.Sleep(time.Duration(r.Int64N(int64(8 * time.Second))))
					case 1: // it hangs, and is pushed anew
						time.Sleep(time.Duration(r.Int64N(int64(8 * time.Second))))
					case 2: // another takes over
					}
					p = b.publish(gen.Options{Source: n + 1})
					fed = append(fed, p.runLate(r, time.Duration(2000+r.IntN(5000))*time.Millisecond, 4*time.Second)...)
				}
				p.run(2 * time.Second)
				w.mu.Lock()
				defer w.mu.Unlock()
				for _, id := range fed {
					if _, ok := w.frames[id]; !ok {
						t.Fatalf("frame %d of push %d did not come", uint32(id), id>>32)
					}
				}
			})
		})
	}
}
