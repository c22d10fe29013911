// Package arrivals simulates publishers and networks: when each frame of a push is sent, and when the
// relay receives it. The tests of the watchdog and silencesim share it.
package arrivals

import (
	"iter"
	"math/rand/v2"
	"time"
)

const ms = time.Millisecond

// Frame is a video frame of a push.
type Frame struct {
	// Time is the media time, from 0 at the start of the trace.
	Time time.Duration
	// Received is when the frame arrives at the relay's socket, and Read when the relay reads it. Both
	// count from the start of the trace and never decrease.
	Received, Read time.Duration
	Key            bool
}

// Trace is a publisher and its network.
type Trace struct {
	Name  string
	About string
	// Rhythm is the longest gap that the publisher itself causes.
	Rhythm time.Duration
	// Frames is an endless sequence of frames in order.
	Frames iter.Seq[Frame]
}

// gop is the media time between keyframes.
const gop = 2 * time.Second

const frame30 = time.Second / 30

// generate returns the frames of an encoder that sends one each period, over a network that delivers a
// frame sent at t not before delivered(t). TCP keeps the order. A nil read means that the relay reads at
// once.
func generate(period func() time.Duration, delivered, read func(t time.Duration) time.Duration) iter.Seq[Frame] {
	return func(yield func(Frame) bool) {
		var f Frame
		key := time.Duration(0)
		for t := time.Duration(0); ; t += period() {
			f.Time = t
			f.Received = max(f.Received, delivered(t))
			at := f.Received
			if read != nil {
				at = read(at)
			}
			f.Read = max(f.Read, at)
			if f.Key = t >= key; f.Key {
				key += gop
			}
			if !yield(f) {
				return
			}
		}
	}
}

func constant(d time.Duration) func() time.Duration { return func() time.Duration { return d } }
func onTime(t time.Duration) time.Duration          { return t }
func delayed(by func(t time.Duration) time.Duration) func(time.Duration) time.Duration {
	return func(t time.Duration) time.Duration { return t + by(t) }
}

// stalls returns a delivery function that is on time except during stalls. next returns the start and
// length of the next stall, given the end of the last one. Frames sent in a stall arrive at its end.
func stalls(next func(after time.Duration) (begin, length time.Duration)) func(time.Duration) time.Duration {
	begin, length := next(0)
	return func(t time.Duration) time.Duration {
		for t >= begin+length {
			begin, length = next(begin + length)
		}
		if t >= begin {
			return begin + length
		}
		return t
	}
}

func uniform(r *rand.Rand, lo, hi time.Duration) time.Duration {
	return lo + time.Duration(r.Int64N(int64(hi-lo)))
}

// Regular returns publishers whose gaps and jitter are regular, so that they must not be taken for a
// break. Their Rhythm is exact.
func Regular(seed uint64) []Trace {
	n := uint64(0)
	source := func() *rand.Rand { n++; return rand.New(rand.NewPCG(seed, n)) } //nolint:gosec // reproducible on purpose
	screen, rate, jitter, leaps, sat := source(), source(), source(), source(), source()
	bursts := func(d time.Duration) func(time.Duration) time.Duration {
		return func(t time.Duration) time.Duration { return t - t%d + d }
	}
	return []Trace{
		{"steady", "30 frames a second", frame30, generate(constant(frame30), onTime, nil)},
		{"screen", "5 frames a second", 220 * ms, generate(constant(200*ms), delayed(func(time.Duration) time.Duration { return uniform(screen, 0, 20*ms) }), nil)},
		{"slides", "1 frame a second", time.Second, generate(constant(time.Second), onTime, nil)},
		{"variable rate", "16 to 900 ms a frame", 900 * ms, generate(func() time.Duration {
			return []time.Duration{16 * ms, 33 * ms, 100 * ms, 500 * ms, 900 * ms}[rate.IntN(5)]
		}, onTime, nil)},
		{"jitter", "up to 300 ms", 300 * ms, generate(constant(frame30), delayed(func(time.Duration) time.Duration { return uniform(jitter, 0, 300*ms) }), nil)},
		{"latency steps", "100 ms and 1 s, 40 s each, jitter 100 ms", time.Second, generate(constant(frame30), delayed(func(t time.Duration) time.Duration {
			base := 100 * ms
			if t/(40*time.Second)%2 == 1 {
				base = time.Second
			}
			return base + uniform(leaps, 0, 100*ms)
		}), nil)},
		{"bursts of 2 s", "all frames of two seconds at once", 2 * time.Second, generate(constant(frame30), bursts(2*time.Second), nil)},
		{"bursts of 6 s", "all frames of six seconds at once", 6 * time.Second, generate(constant(frame30), bursts(6*time.Second), nil)},
		{"satellite", "a burst every 5 s, 0.3 s early or late", 5600 * ms, generate(constant(frame30), burstsAbout(sat, 5*time.Second, 300*ms), nil)},
		{"slow start", "from one frame in 2 s to 30 a second", 2 * time.Second, generate(slowStart(), onTime, nil)},
	}
}

func slowStart() func() time.Duration {
	p := 2 * time.Second
	return func() time.Duration { p = max(frame30, p*3/4); return p }
}

func burstsAbout(r *rand.Rand, every, by time.Duration) func(time.Duration) time.Duration {
	next, middle := every, every
	return func(t time.Duration) time.Duration {
		for t >= next {
			middle += every
			next = middle + uniform(r, -by, by)
		}
		return next
	}
}

// Irregular returns networks that stall now and then. Rhythm is the publisher's gap between stalls.
func Irregular(seed uint64) []Trace {
	n := uint64(1000)
	source := func() *rand.Rand { n++; return rand.New(rand.NewPCG(seed, n)) } //nolint:gosec // reproducible on purpose
	single, growing, roam, load, obs, slides := source(), source(), source(), source(), source(), source()
	randomStalls := func(r *rand.Rand, apart, lo, hi time.Duration) func(time.Duration) time.Duration {
		return stalls(func(after time.Duration) (time.Duration, time.Duration) {
			return after + time.Duration(r.ExpFloat64()*float64(apart)), uniform(r, lo, hi)
		})
	}
	return []Trace{
		{"single stalls", "0.5 to 15 s, one in two minutes", frame30, generate(constant(frame30), randomStalls(single, 2*time.Minute, 500*ms, 15*time.Second), nil)},
		{"growing stalls", "0.8, 1.6, 3 and 6 s, 7 s apart, once in five minutes", frame30, generate(constant(frame30), growingStalls(growing), nil)},
		{"roaming", "0.1 to 2 s, one in 30 s", frame30, generate(constant(frame30), randomStalls(roam, 30*time.Second, 100*ms, 2*time.Second), nil)},
		{"loaded relay", "it reads up to 3 s late", frame30, generate(constant(frame30), onTime, randomStalls(load, 20*time.Second, 200*ms, 3*time.Second))},
		{"dynamic bitrate", "congestion: up to 900 ms queued, then drained", frame30, generate(constant(frame30), congestion(obs), nil)},
		{"slides that stall", "1 frame a second, 2 to 10 s, one in two minutes", time.Second, generate(constant(time.Second), randomStalls(slides, 2*time.Minute, 2*time.Second, 10*time.Second), nil)},
		{"5 % loss", "TCP, 60 ms round trip", frame30, lossy(source(), 0.05, 60*ms)},
		{"10 % loss", "TCP, 60 ms round trip", frame30, lossy(source(), 0.10, 60*ms)},
		{"15 % loss", "TCP, 60 ms round trip", frame30, lossy(source(), 0.15, 60*ms)},
	}
}

func growingStalls(r *rand.Rand) func(time.Duration) time.Duration {
	lengths, i := []time.Duration{800 * ms, 1600 * ms, 3 * time.Second, 6 * time.Second}, 0
	return stalls(func(after time.Duration) (time.Duration, time.Duration) {
		length, begin := lengths[i%len(lengths)], after+7*time.Second
		if i%len(lengths) == 0 {
			begin = after + uniform(r, 4*time.Minute, 6*time.Minute)
		}
		i++
		return begin, length
	})
}

// congestion returns a delivery function for a sender that queues frames, as OBS does. The delay rises
// until the encoder has lowered its bitrate, and falls while the bitrate rises again in steps.
func congestion(r *rand.Rand) func(time.Duration) time.Duration {
	begin, top := 30*time.Second, 500*ms
	part := func(d, of time.Duration) time.Duration {
		return time.Duration(float64(top) * d.Seconds() / of.Seconds())
	}
	return func(t time.Duration) time.Duration {
		const rise, fall = 3 * time.Second, 4 * time.Second
		for t >= begin+rise+fall {
			begin += rise + fall + uniform(r, 10*time.Second, time.Minute)
			top = uniform(r, 200*ms, 900*ms)
		}
		switch d := t - begin; {
		case d < 0:
			return t
		case d < rise:
			return t + part(d, rise)
		default:
			return t + part(rise+fall-d, fall)
		}
	}
}

// lossy returns the frames of an encoder over a network that loses a share of all segments. A lost segment
// is retransmitted after a round trip, and if it is lost again, after a timeout that doubles. Nothing
// behind it arrives until it does. The encoder drops frames that have waited for 900 ms, as OBS does.
func lossy(r *rand.Rand, loss float64, rtt time.Duration) iter.Seq[Frame] {
	const segments = 2 // per frame, at the bitrate that remains on such a network
	return func(yield func(Frame) bool) {
		busy, key := time.Duration(0), time.Duration(0)
		for sent := time.Duration(0); ; sent += frame30 {
			if busy-sent > 900*ms {
				continue
			}
			busy = max(busy, sent)
			for range segments {
				busy += rtt/8 + retransmissionDelay(r, loss, rtt)
			}
			f := Frame{Time: sent, Received: busy + rtt/2, Read: busy + rtt/2}
			if f.Key = sent >= key; f.Key {
				key = sent - sent%gop + gop
			}
			if !yield(f) {
				return
			}
		}
	}
}

// retransmissionDelay returns how much longer a segment takes than without loss.
func retransmissionDelay(r *rand.Rand, loss float64, rtt time.Duration) time.Duration {
	delay, timeout := time.Duration(0), 200*ms+rtt
	for try := 0; r.Float64() < loss; try++ {
		if try == 0 {
			delay += rtt
			continue
		}
		delay += timeout
		timeout = min(2*timeout, 2*time.Minute)
	}
	return delay
}
