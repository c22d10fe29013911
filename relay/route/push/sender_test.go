package push

import (
	"context"
	"errors"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"github.com/holdfast-live/holdfast/packetbuf"
	"github.com/holdfast-live/holdfast/packetbuf/flv"
	"github.com/holdfast-live/holdfast/qos/policy"
)

// cinema is a sender, what it reads and what it writes to.
type cinema struct {
	*reels
	*sender
	to     *screen
	cancel context.CancelFunc
	ended  chan error
	told   counting
}

var stage = film{mark: 'a', picture: 8000, gop: 50, length: 140 * time.Second}

// inCinema has a sender send the stream "a" until f returns.
func inCinema(t *testing.T, full film, others map[string]film, offers []Offer, f func(c *cinema)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		r := &reels{byName: map[string]*reel{"a": full.shoot(time.Now())}, offers: offers}
		for name, o := range others {
			r.byName[name] = o.shoot(time.Now())
		}
		c := &cinema{reels: r, to: &screen{t: t, done: make(chan struct{})}, ended: make(chan error, 1)}
		c.sender = newSender(c.to, r, "a", slog.New(&c.told))
		ctx, cancel := context.WithCancel(t.Context())
		c.cancel = cancel
		time.Sleep(time.Second)
		go func() { c.ended <- c.run(ctx, 0) }()
		f(c)
		cancel()
		<-c.ended
		if r.open != 0 {
			t.Errorf("%d taps are open", r.open)
		}
		if r.most > 3 {
			t.Errorf("%d taps were open at once", r.most)
		}
	})
}

func (c *cinema) do(o Order) { c.order.Store(&o) }

func (c *cinema) line(bytes float64) {
	c.to.mu.Lock()
	defer c.to.mu.Unlock()
	c.to.rate = bytes
}

// until waits until pictures of a source are shown, for most at the most.
func (c *cinema) until(mark byte, most time.Duration) {
	began := time.Now()
	for c.to.showing() != mark {
		if time.Since(began) > most {
			c.to.t.Errorf("pictures of %c did not come in %v", mark, most)
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
}

func lower(offset time.Duration) []Offer {
	return []Offer{{Offer: policy.Offer{Name: "low", Ready: true}, Stream: "b", Offset: offset}}
}

var low = Order{Rung: policy.Rendition, Offer: "low", Share: 1}

func TestSenderSwitchesDownAndUp(t *testing.T) {
	for _, tt := range []struct {
		name   string
		low    film
		offset time.Duration
		gap    time.Duration // the longest step in the sound
	}{
		{"on the same clock", film{}, 0, 20 * time.Millisecond},
		{"on a clock of its own", film{clock: 7 * time.Second}, -7 * time.Second, 20 * time.Millisecond},
		{"keyframes elsewhere", film{gop: 35}, 0, 20 * time.Millisecond},
		{"made a little later", film{delay: 300 * time.Millisecond}, 0, 20 * time.Millisecond},
		{"its pictures behind its sound", film{delay: 100 * time.Millisecond, late: 250 * time.Millisecond}, 0, 20 * time.Millisecond},
		{"a clock that is told late", film{}, 45*time.Millisecond + 300*time.Microsecond, 85 * time.Millisecond},
		{"a clock that is told early", film{}, -45 * time.Millisecond, 85 * time.Millisecond},
		{"sounds cut elsewhere", film{shift: 7 * time.Millisecond}, 0, 27 * time.Millisecond},
		{"without sound", film{quiet: true}, 0, time.Hour},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b := tt.low
			b.mark, b.picture, b.length = 'b', 2000, 90*time.Second
			if b.gop == 0 {
				b.gop = 50
			}
			inCinema(t, stage, map[string]film{"b": b}, lower(tt.offset), func(c *cinema) {
				time.Sleep(5 * time.Second)
				for range 3 {
					c.line(140e3) // of 205
					time.Sleep(2 * time.Second)
					c.do(low)
					c.until('b', 6*time.Second)
					time.Sleep(8 * time.Second)
					if w := c.written.Load(); w != 0 {
						t.Errorf("at %d of the stream while a rendition is sent", w)
					}
					c.line(0)
					c.do(Order{Share: 1})
					c.until('a', 5*time.Second)
					time.Sleep(4 * time.Second)
					if first, w := c.first.Load(), c.written.Load(); first == 0 || w < first || w > 900*10 {
						t.Errorf("%d to %d of the stream were written", first, w)
					}
				}
				if c.to.gap() > tt.gap {
					t.Errorf("a step of %v in the sound", c.to.gap())
				}
				if n := c.to.count(func(p shown) bool { return p.Kind == packetbuf.Config }); n != 2+6 {
					t.Errorf("configured %d times", n)
				}
				if n := c.to.count(func(p shown) bool { return p.Payload[0] == 'b' && p.Kind != packetbuf.Config && p.Seq != 1 }); n > 0 {
					t.Errorf("%d packets of a rendition count as the stream's own", n)
				}
			})
		})
	}
}

// TestSenderLosesNoPicture switches between two streams that are interleaved badly.
func TestSenderLosesNoPicture(t *testing.T) {
	a := stage
	a.late = 300 * time.Millisecond
	b := film{mark: 'b', picture: 2000, gop: 50, length: 140 * time.Second}
	inCinema(t, a, map[string]film{"b": b}, lower(0), func(c *cinema) {
		time.Sleep(5 * time.Second)
		c.do(low)
		c.until('b', 5*time.Second)
		time.Sleep(5 * time.Second)
		last := time.Duration(-1)
		c.to.mu.Lock()
		defer c.to.mu.Unlock()
		for _, p := range c.to.wrote {
			if p.Track != packetbuf.Video || p.Kind == packetbuf.Config {
				continue
			}
			step := 40 * time.Millisecond
			if p.Payload[0] == 'a' {
				step = 80 * time.Millisecond // disposable ones are left out until the lower one can go on
			}
			if last >= 0 && p.DTS-last > step {
				t.Errorf("%v of %c after %v", p.DTS, p.Payload[0], last)
			}
			last = p.DTS
		}
		if c.to.silence > 20*time.Millisecond {
			t.Errorf("a step of %v in the sound", c.to.silence)
		}
	})
}

func TestSenderComesHome(t *testing.T) {
	b := film{mark: 'b', picture: 2000, gop: 50, length: 140 * time.Second}
	for name, err := range map[string]error{"ended": ErrEnded, "changed": ErrChanged} {
		t.Run(name, func(t *testing.T) {
			inCinema(t, stage, map[string]film{"b": b}, lower(0), func(c *cinema) {
				c.byName["b"].cut(time.Now().Add(9300*time.Millisecond), time.Time{}, err)
				time.Sleep(4 * time.Second)
				c.do(low)
				c.until('b', 4*time.Second)
				c.until('a', 9*time.Second)
				time.Sleep(5 * time.Second)
				if c.to.gap() > 40*time.Millisecond {
					t.Errorf("a step of %v in the sound", c.to.gap())
				}
			})
		})
	}
}

func TestSenderLeavesARenditionThatHangs(t *testing.T) {
	b := film{mark: 'b', picture: 2000, gop: 50, length: 140 * time.Second}
	inCinema(t, stage, map[string]film{"b": b}, lower(0), func(c *cinema) {
		c.byName["b"].cut(time.Time{}, time.Now().Add(9300*time.Millisecond), nil)
		time.Sleep(4 * time.Second)
		c.do(low)
		c.until('b', 4*time.Second)
		time.Sleep(6 * time.Second)
		c.do(Order{Share: 1})
		c.until('a', 5*time.Second)
		time.Sleep(5 * time.Second)
	})
}

// TestSenderWaitsForAKeyframeAhead has an offer whose keyframes are all behind what was sent.
func TestSenderWaitsForAKeyframeAhead(t *testing.T) {
	b := film{mark: 'b', picture: 2000, gop: 50, length: 90 * time.Second, delay: 3 * time.Second}
	inCinema(t, stage, map[string]film{"b": b}, lower(0), func(c *cinema) {
		began := c.byName["a"].packets[0].Arrived
		time.Sleep(4 * time.Second)
		c.do(low)
		time.Sleep(10 * time.Second)
		if c.to.showing() != 'a' || c.to.gap() > 20*time.Millisecond {
			t.Errorf("pictures of %c, a step of %v in the sound", c.to.showing(), c.to.gap())
		}
		c.mu.Lock()
		taps := c.taps
		c.mu.Unlock()
		if taps > 120 {
			t.Errorf("looked %d times in 10 s", taps)
		}
		late := func() int {
			return c.to.count(func(p shown) bool {
				return p.Track == packetbuf.Video && time.Since(p.at) < time.Second && p.at.Sub(began)-p.DTS > 100*time.Millisecond
			})
		}
		if late() == 0 {
			t.Error("no picture waited")
		}
		time.Sleep(10 * time.Second)
		if n := late(); n > 0 {
			t.Errorf("%d pictures still wait", n)
		}
	})
}

func TestSenderForgetsAnOfferThatIsWithdrawn(t *testing.T) {
	b := film{mark: 'b', picture: 2000, gop: 50, length: 140 * time.Second}
	inCinema(t, stage, map[string]film{"b": b}, lower(0), func(c *cinema) {
		time.Sleep(4 * time.Second)
		for range 10 {
			c.do(low)
			time.Sleep(70 * time.Millisecond)
			c.do(Order{Share: 1})
			time.Sleep(110 * time.Millisecond)
		}
		c.until('a', 6*time.Second)
		c.do(Order{Rung: policy.Rendition, Offer: "another", Share: 1})
		time.Sleep(3 * time.Second)
	})
}

func TestSenderWritesLittleAtATime(t *testing.T) {
	full := stage
	full.picture = 20000
	inCinema(t, full, nil, nil, func(c *cinema) {
		c.line(100e3) // of 505
		time.Sleep(10 * time.Second)
		c.to.mu.Lock()
		n := len(c.to.wrote)
		for _, w := range c.to.writes {
			size := 0
			for _, p := range w[:len(w)-1] {
				size += len(p.Payload)
			}
			if size >= gathered {
				t.Errorf("%d bytes at once, and one more packet", size)
			}
		}
		c.to.mu.Unlock()
		// One write of 40,000 bytes at the most is under way.
		c.do(Order{Rung: policy.Audio, Share: 1})
		time.Sleep(2 * time.Second)
		c.to.mu.Lock()
		defer c.to.mu.Unlock()
		pictures := 0
		for _, p := range c.to.wrote[n:] {
			if p.Track == packetbuf.Video {
				pictures++
			}
		}
		if pictures > 2 || c.to.silence > 20*time.Millisecond {
			t.Errorf("%d pictures after the order, a step of %v in the sound", pictures, c.to.silence)
		}
	})
}

func TestSenderSkips(t *testing.T) {
	inCinema(t, stage, nil, nil, func(c *cinema) {
		time.Sleep(5 * time.Second)
		c.line(20e3)
		time.Sleep(6 * time.Second)
		c.line(400e3)
		c.do(Order{Share: 1, Skips: 1})
		asked := time.Now()
		time.Sleep(3 * time.Second)
		old := c.to.count(func(p shown) bool {
			return p.Track == packetbuf.Video && p.at.After(asked.Add(2*time.Second)) && p.at.Sub(p.Arrived) > 2500*time.Millisecond
		})
		if old > 0 || c.to.gap() > 20*time.Millisecond {
			t.Errorf("%d old pictures after the skip, a step of %v in the sound", old, c.to.gap())
		}
	})
}

func TestSenderLeavesOutWhatCannotBeCarried(t *testing.T) {
	inCinema(t, stage, nil, nil, func(c *cinema) {
		c.to.mu.Lock()
		c.to.refuse = func(p *packetbuf.Packet) error {
			if p.Track == packetbuf.Audio {
				return &flv.UnsupportedError{Track: p.Track, Codec: "FLAC"}
			}
			return nil
		}
		c.to.mu.Unlock()
		time.Sleep(10 * time.Second)
		c.cancel()
		c.ended <- <-c.ended
		if c.told.n != 1 {
			t.Errorf("told %d times", c.told.n)
		}
		if n := c.to.count(func(p shown) bool { return p.Track == packetbuf.Video }); n < 250 {
			t.Errorf("%d pictures", n)
		}
	})
}

func TestSenderEnds(t *testing.T) {
	gone := errors.New("gone")
	for _, tt := range []struct {
		name string
		end  func(c *cinema)
		want error
	}{
		{"with the stream", func(c *cinema) { c.byName["a"].cut(time.Now(), time.Time{}, ErrEnded) }, ErrEnded},
		{"with its context", func(c *cinema) { c.cancel() }, context.Canceled},
		{"with the push", func(c *cinema) {
			c.to.mu.Lock()
			c.to.err = gone
			c.to.mu.Unlock()
			close(c.to.done)
		}, gone},
	} {
		t.Run(tt.name, func(t *testing.T) {
			full := stage
			full.length = 10 * time.Second
			inCinema(t, full, nil, nil, func(c *cinema) {
				time.Sleep(5 * time.Second)
				select {
				case <-c.started:
				default:
					t.Error("it has not begun")
				}
				tt.end(c)
				time.Sleep(6 * time.Second)
				select {
				case err := <-c.ended:
					if !errors.Is(err, tt.want) {
						t.Error(err)
					}
					c.ended <- err
				default:
					t.Error("it goes on")
				}
			})
		})
	}
	s := newSender(&screen{}, &reels{}, "a", slog.New(slog.DiscardHandler))
	if err := s.run(t.Context(), 0); !errors.Is(err, ErrEnded) {
		t.Errorf("of a stream that is not there: %v", err)
	}
}

func TestSenderBeginsWhereItIsTold(t *testing.T) {
	inCinema(t, stage, nil, nil, func(c *cinema) {
		time.Sleep(8 * time.Second)
		again := &screen{t: c.to.t, done: make(chan struct{})}
		s := newSender(again, c.reels, "a", slog.New(slog.DiscardHandler))
		ctx, cancel := context.WithCancel(c.to.t.Context())
		ended := make(chan error, 1)
		go func() { ended <- s.run(ctx, 10) }()
		time.Sleep(time.Second)
		cancel()
		<-ended
		if first := s.first.Load(); first != 10 {
			t.Errorf("it began at %d", first)
		}
	})
}
