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

// senderTest is a sender with its fake streams and destination.
type senderTest struct {
	*fakeStreams
	*sender
	dst    *fakeDestination
	cancel context.CancelFunc
	ended  chan error
	log    countingHandler
}

var fullSpec = streamSpec{mark: 'a', frameSize: 8000, gop: 50, length: 140 * time.Second}

// runSender runs a sender of the stream "a" until f returns.
func runSender(t *testing.T, full streamSpec, others map[string]streamSpec, offers []Offer, f func(c *senderTest)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		r := &fakeStreams{byName: map[string]*fakeStream{"a": full.generate(time.Now())}, offers: offers}
		for name, o := range others {
			r.byName[name] = o.generate(time.Now())
		}
		c := &senderTest{fakeStreams: r, dst: &fakeDestination{t: t, done: make(chan struct{})}, ended: make(chan error, 1)}
		c.sender = newSender(c.dst, r, "a", slog.New(&c.log))
		ctx, cancel := context.WithCancel(t.Context())
		c.cancel = cancel
		time.Sleep(time.Second)
		go func() { c.ended <- c.run(ctx, 0) }()
		f(c)
		cancel()
		<-c.ended
		if r.open != 0 {
			t.Errorf("got %d open taps at the end, want 0", r.open)
		}
		if r.maxOpen > 3 {
			t.Errorf("got %d taps open at once, want at most 3", r.maxOpen)
		}
	})
}

func (c *senderTest) setOrder(o Order) { c.order.Store(&o) }

func (c *senderTest) setRate(bytes float64) {
	c.dst.mu.Lock()
	defer c.dst.mu.Unlock()
	c.dst.rate = bytes
}

// waitForSource waits until video of a source is written. It fails the test after most.
func (c *senderTest) waitForSource(mark byte, maximum time.Duration) {
	began := time.Now()
	for c.dst.source() != mark {
		if time.Since(began) > maximum {
			c.dst.t.Errorf("no video of %c within %v", mark, maximum)
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
}

func lowOffer(offset time.Duration) []Offer {
	return []Offer{{Offer: policy.Offer{Name: "low", Ready: true}, Stream: "b", Offset: offset}}
}

var lowOrder = Order{Rung: policy.Rendition, Offer: "low", Share: 1}

func TestSenderSwitchesDownAndUp(t *testing.T) {
	for _, tt := range []struct {
		name   string
		low    streamSpec
		offset time.Duration
		gap    time.Duration // longest step in the audio
	}{
		{"on the same clock", streamSpec{}, 0, 20 * time.Millisecond},
		{"on another clock", streamSpec{clock: 7 * time.Second}, -7 * time.Second, 20 * time.Millisecond},
		{"keyframes at other times", streamSpec{gop: 35}, 0, 20 * time.Millisecond},
		{"delayed", streamSpec{delay: 300 * time.Millisecond}, 0, 20 * time.Millisecond},
		{"video behind audio", streamSpec{delay: 100 * time.Millisecond, videoDelay: 250 * time.Millisecond}, 0, 20 * time.Millisecond},
		{"offset too high", streamSpec{}, 45*time.Millisecond + 300*time.Microsecond, 85 * time.Millisecond},
		{"offset too low", streamSpec{}, -45 * time.Millisecond, 85 * time.Millisecond},
		{"audio framed differently", streamSpec{audioShift: 7 * time.Millisecond}, 0, 27 * time.Millisecond},
		{"without audio", streamSpec{noAudio: true}, 0, time.Hour},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b := tt.low
			b.mark, b.frameSize, b.length = 'b', 2000, 90*time.Second
			if b.gop == 0 {
				b.gop = 50
			}
			runSender(t, fullSpec, map[string]streamSpec{"b": b}, lowOffer(tt.offset), func(c *senderTest) {
				time.Sleep(5 * time.Second)
				for range 3 {
					c.setRate(140e3) // the stream needs 205e3
					time.Sleep(2 * time.Second)
					c.setOrder(lowOrder)
					c.waitForSource('b', 6*time.Second)
					time.Sleep(8 * time.Second)
					if w := c.lastWritten.Load(); w != 0 {
						t.Errorf("got last written %d while a rendition is sent, want 0", w)
					}
					c.setRate(0)
					c.setOrder(Order{Share: 1})
					c.waitForSource('a', 5*time.Second)
					time.Sleep(4 * time.Second)
					if first, w := c.firstWritten.Load(), c.lastWritten.Load(); first == 0 || w < first || w > 900*10 {
						t.Errorf("got packets %d to %d of the stream written", first, w)
					}
				}
				if c.dst.maxAudioGap() > tt.gap {
					t.Errorf("got a step of %v in the audio, want at most %v", c.dst.maxAudioGap(), tt.gap)
				}
				if n := c.dst.count(func(p written) bool { return p.Kind == packetbuf.Config }); n != 2+6 {
					t.Errorf("got %d configurations, want 8", n)
				}
				if n := c.dst.count(func(p written) bool { return p.Payload[0] == 'b' && p.Kind != packetbuf.Config && p.Seq != 1 }); n > 0 {
					t.Errorf("got %d packets of a rendition with a sequence number, want 0", n)
				}
			})
		})
	}
}

// TestSenderSwitchLosesNoFrame switches between two streams with badly interleaved tracks.
func TestSenderSwitchLosesNoFrame(t *testing.T) {
	a := fullSpec
	a.videoDelay = 300 * time.Millisecond
	b := streamSpec{mark: 'b', frameSize: 2000, gop: 50, length: 140 * time.Second}
	runSender(t, a, map[string]streamSpec{"b": b}, lowOffer(0), func(c *senderTest) {
		time.Sleep(5 * time.Second)
		c.setOrder(lowOrder)
		c.waitForSource('b', 5*time.Second)
		time.Sleep(5 * time.Second)
		last := time.Duration(-1)
		c.dst.mu.Lock()
		defer c.dst.mu.Unlock()
		for _, p := range c.dst.packets {
			if p.Track != packetbuf.Video || p.Kind == packetbuf.Config {
				continue
			}
			step := 40 * time.Millisecond
			if p.Payload[0] == 'a' {
				step = 80 * time.Millisecond // disposable frames are dropped until the sender can switch
			}
			if last >= 0 && p.DTS-last > step {
				t.Errorf("got DTS %v of %c after %v, want no gap", p.DTS, p.Payload[0], last)
			}
			last = p.DTS
		}
		if c.dst.audioGap > 20*time.Millisecond {
			t.Errorf("got a step of %v in the audio, want at most 20ms", c.dst.audioGap)
		}
	})
}

func TestSenderReturnsToStreamWhenRenditionEnds(t *testing.T) {
	b := streamSpec{mark: 'b', frameSize: 2000, gop: 50, length: 140 * time.Second}
	for name, err := range map[string]error{"ended": ErrEnded, "changed": ErrChanged} {
		t.Run(name, func(t *testing.T) {
			runSender(t, fullSpec, map[string]streamSpec{"b": b}, lowOffer(0), func(c *senderTest) {
				c.byName["b"].stopAt(time.Now().Add(9300*time.Millisecond), time.Time{}, err)
				time.Sleep(4 * time.Second)
				c.setOrder(lowOrder)
				c.waitForSource('b', 4*time.Second)
				c.waitForSource('a', 9*time.Second)
				time.Sleep(5 * time.Second)
				if c.dst.maxAudioGap() > 40*time.Millisecond {
					t.Errorf("got a step of %v in the audio, want at most 40ms", c.dst.maxAudioGap())
				}
			})
		})
	}
}

func TestSenderLeavesHangingRendition(t *testing.T) {
	b := streamSpec{mark: 'b', frameSize: 2000, gop: 50, length: 140 * time.Second}
	runSender(t, fullSpec, map[string]streamSpec{"b": b}, lowOffer(0), func(c *senderTest) {
		c.byName["b"].stopAt(time.Time{}, time.Now().Add(9300*time.Millisecond), nil)
		time.Sleep(4 * time.Second)
		c.setOrder(lowOrder)
		c.waitForSource('b', 4*time.Second)
		time.Sleep(6 * time.Second)
		c.setOrder(Order{Share: 1})
		c.waitForSource('a', 5*time.Second)
		time.Sleep(5 * time.Second)
	})
}

// TestSenderWaitsForKeyframeAhead offers a rendition whose keyframes are all behind what has been sent.
func TestSenderWaitsForKeyframeAhead(t *testing.T) {
	b := streamSpec{mark: 'b', frameSize: 2000, gop: 50, length: 90 * time.Second, delay: 3 * time.Second}
	runSender(t, fullSpec, map[string]streamSpec{"b": b}, lowOffer(0), func(c *senderTest) {
		began := c.byName["a"].packets[0].Arrived
		time.Sleep(4 * time.Second)
		c.setOrder(lowOrder)
		time.Sleep(10 * time.Second)
		if c.dst.source() != 'a' || c.dst.maxAudioGap() > 20*time.Millisecond {
			t.Errorf("got video of %c and a step of %v in the audio, want a and at most 20ms", c.dst.source(), c.dst.maxAudioGap())
		}
		c.mu.Lock()
		taps := c.taps
		c.mu.Unlock()
		if taps > 120 {
			t.Errorf("got %d taps opened in 10 s, want at most 120", taps)
		}
		late := func() int {
			return c.dst.count(func(p written) bool {
				return p.Track == packetbuf.Video && time.Since(p.at) < time.Second && p.at.Sub(began)-p.DTS > 100*time.Millisecond
			})
		}
		if late() == 0 {
			t.Error("got no video held back, want some")
		}
		time.Sleep(10 * time.Second)
		if n := late(); n > 0 {
			t.Errorf("got %d frames still held back, want 0", n)
		}
	})
}

func TestSenderForgetsWithdrawnOffer(t *testing.T) {
	b := streamSpec{mark: 'b', frameSize: 2000, gop: 50, length: 140 * time.Second}
	runSender(t, fullSpec, map[string]streamSpec{"b": b}, lowOffer(0), func(c *senderTest) {
		time.Sleep(4 * time.Second)
		for range 10 {
			c.setOrder(lowOrder)
			time.Sleep(70 * time.Millisecond)
			c.setOrder(Order{Share: 1})
			time.Sleep(110 * time.Millisecond)
		}
		c.waitForSource('a', 6*time.Second)
		c.setOrder(Order{Rung: policy.Rendition, Offer: "another", Share: 1})
		time.Sleep(3 * time.Second)
	})
}

func TestSenderLimitsWriteSize(t *testing.T) {
	full := fullSpec
	full.frameSize = 20000
	runSender(t, full, nil, nil, func(c *senderTest) {
		c.setRate(100e3) // the stream needs 505e3
		time.Sleep(10 * time.Second)
		c.dst.mu.Lock()
		n := len(c.dst.packets)
		for _, w := range c.dst.writes {
			size := 0
			for _, p := range w[:len(w)-1] {
				size += len(p.Payload)
			}
			if size >= maxWrite {
				t.Errorf("got a write of %d bytes and one more packet", size)
			}
		}
		c.dst.mu.Unlock()
		// At most one write of 40,000 bytes is in progress.
		c.setOrder(Order{Rung: policy.Audio, Share: 1})
		time.Sleep(2 * time.Second)
		c.dst.mu.Lock()
		defer c.dst.mu.Unlock()
		frames := 0
		for _, p := range c.dst.packets[n:] {
			if p.Track == packetbuf.Video {
				frames++
			}
		}
		if frames > 2 || c.dst.audioGap > 20*time.Millisecond {
			t.Errorf("got %d frames after the order and a step of %v in the audio, want at most 2 and 20ms", frames, c.dst.audioGap)
		}
	})
}

func TestSenderSkips(t *testing.T) {
	runSender(t, fullSpec, nil, nil, func(c *senderTest) {
		time.Sleep(5 * time.Second)
		c.setRate(20e3)
		time.Sleep(6 * time.Second)
		c.setRate(400e3)
		c.setOrder(Order{Share: 1, Skips: 1})
		asked := time.Now()
		time.Sleep(3 * time.Second)
		old := c.dst.count(func(p written) bool {
			return p.Track == packetbuf.Video && p.at.After(asked.Add(2*time.Second)) && p.at.Sub(p.Arrived) > 2500*time.Millisecond
		})
		if old > 0 || c.dst.maxAudioGap() > 20*time.Millisecond {
			t.Errorf("got %d old frames after the skip and a step of %v in the audio, want 0 and at most 20ms", old, c.dst.maxAudioGap())
		}
	})
}

func TestSenderDropsUnsupportedPackets(t *testing.T) {
	runSender(t, fullSpec, nil, nil, func(c *senderTest) {
		c.dst.mu.Lock()
		c.dst.reject = func(p *packetbuf.Packet) error {
			if p.Track == packetbuf.Audio {
				return &flv.UnsupportedError{Track: p.Track, Codec: "FLAC"}
			}
			return nil
		}
		c.dst.mu.Unlock()
		time.Sleep(10 * time.Second)
		c.cancel()
		c.ended <- <-c.ended
		if c.log.n != 1 {
			t.Errorf("got %d log records, want 1", c.log.n)
		}
		if n := c.dst.count(func(p written) bool { return p.Track == packetbuf.Video }); n < 250 {
			t.Errorf("got %d video packets, want at least 250", n)
		}
	})
}

func TestSenderEnds(t *testing.T) {
	gone := errors.New("connection closed")
	for _, tt := range []struct {
		name string
		end  func(c *senderTest)
		want error
	}{
		{"with the stream", func(c *senderTest) { c.byName["a"].stopAt(time.Now(), time.Time{}, ErrEnded) }, ErrEnded},
		{"with its context", func(c *senderTest) { c.cancel() }, context.Canceled},
		{"with the push", func(c *senderTest) {
			c.dst.mu.Lock()
			c.dst.err = gone
			c.dst.mu.Unlock()
			close(c.dst.done)
		}, gone},
	} {
		t.Run(tt.name, func(t *testing.T) {
			full := fullSpec
			full.length = 10 * time.Second
			runSender(t, full, nil, nil, func(c *senderTest) {
				time.Sleep(5 * time.Second)
				select {
				case <-c.started:
				default:
					t.Error("the sender has not started")
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
					t.Error("the sender has not ended")
				}
			})
		})
	}
	s := newSender(&fakeDestination{}, &fakeStreams{}, "a", slog.New(slog.DiscardHandler))
	if err := s.run(t.Context(), 0); !errors.Is(err, ErrEnded) {
		t.Errorf("missing stream: got %v, want ErrEnded", err)
	}
}

func TestSenderStartsAtSequence(t *testing.T) {
	runSender(t, fullSpec, nil, nil, func(c *senderTest) {
		time.Sleep(8 * time.Second)
		again := &fakeDestination{t: c.dst.t, done: make(chan struct{})}
		s := newSender(again, c.fakeStreams, "a", slog.New(slog.DiscardHandler))
		ctx, cancel := context.WithCancel(c.dst.t.Context())
		ended := make(chan error, 1)
		go func() { ended <- s.run(ctx, 10) }()
		time.Sleep(time.Second)
		cancel()
		<-ended
		if first := s.firstWritten.Load(); first != 10 {
			t.Errorf("got a start at %d, want 10", first)
		}
	})
}
