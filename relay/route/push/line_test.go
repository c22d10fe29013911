package push

import (
	"fmt"
	"testing"
	"time"

	"github.com/holdfast-live/holdfast/packetbuf"
	"github.com/holdfast-live/holdfast/qos/policy"
)

// lineSim is a stream behind a line of a given rate, in virtual time: packets wait in a ring,
// a small socket takes them, the line drains it. What the ladder says is done by a thinner.
type lineSim struct {
	fps, gop             int
	key, delta, disposal int // bytes of a picture; every second one is disposable
	sound                int // bytes of an audio frame, 40 a second
	rate                 func(at time.Duration) float64

	ladder *policy.Ladder
	thin   thinner
	ring   []*packetbuf.Packet
	next   int
	socket []*packetbuf.Packet
	left   float64 // bytes of the socket's first packet
	inside int

	worst    time.Duration
	levels   []string
	silent   time.Duration // longest gap in the sound that went out, on the stream's clock
	lastTone time.Duration
	moves    int
	drained  []float64 // bytes by tick of 10 ms
	lags     []time.Duration
	broken   int // pictures that went out without what they need
	intact   bool
}

const simTick = 10 * time.Millisecond

func (s *lineSim) run(t *testing.T, length time.Duration, each func(at time.Duration, c policy.Choice)) {
	t.Helper()
	start := time.Unix(0, 0)
	s.ladder = policy.NewLadder([]policy.Place{{Rung: policy.Full}, {Rung: policy.DropDisposable}, {Rung: policy.Trim}, {Rung: policy.Keyframes}, {Rung: policy.Audio}})
	s.ladder.Begin(start, s.offers(), 0)
	frames, tones := 0, 0
	for at := time.Duration(0); at < length; at += simTick {
		for ; time.Duration(frames)*time.Second/time.Duration(s.fps) <= at; frames++ {
			s.ring = append(s.ring, s.picture(frames, time.Duration(frames)*time.Second/time.Duration(s.fps), start))
		}
		for ; time.Duration(tones)*25*time.Millisecond <= at; tones++ {
			d := time.Duration(tones) * 25 * time.Millisecond
			s.ring = append(s.ring, &packetbuf.Packet{Track: packetbuf.Audio, Kind: packetbuf.Delta, DTS: d, Arrived: start.Add(d), Seq: uint64(len(s.ring) + 1), Payload: make([]byte, s.sound)})
		}
		s.drain(s.rate(at) / 8 * simTick.Seconds())
		lag := s.lag(start.Add(at))
		s.worst = max(s.worst, lag)
		if at%(250*time.Millisecond) != 0 {
			continue
		}
		s.lags = append(s.lags, lag)
		c := s.ladder.Step(start.Add(at), s.line(lag), s.offers())
		if c.Changed {
			s.moves++
			s.levels = append(s.levels, fmt.Sprintf("%5.1f %s %.2f: %s", at.Seconds(), c.Step.Rung, c.Share, c.Reason.Text))
		}
		s.thin.rung, s.thin.share = c.Step.Rung, c.Share
		if c.Skip {
			s.thin.skipTo = s.newestKey()
		}
		if each != nil {
			each(at, c)
		}
	}
}

func (s *lineSim) picture(n int, at time.Duration, start time.Time) *packetbuf.Packet {
	p := &packetbuf.Packet{Track: packetbuf.Video, Kind: packetbuf.Delta, DTS: at, Arrived: start.Add(at), Seq: uint64(len(s.ring) + 1)}
	size := s.delta
	switch {
	case n%s.gop == 0:
		p.Kind, size = packetbuf.Key, s.key
	case n%2 == 0:
		p.Kind, size = packetbuf.Disposable, s.disposal
	}
	p.Payload = make([]byte, size)
	return p
}

func (s *lineSim) offers() []policy.Offer {
	f := float64(s.fps) / float64(s.gop)
	half := float64(s.fps)/2 - f
	return []policy.Offer{{Ready: true, Rates: policy.Rates{
		Key: 8 * f * float64(s.key), Delta: 8 * float64(s.fps) / 2 * float64(s.delta), Disposable: 8 * half * float64(s.disposal), Audio: 8 * 40 * float64(s.sound), Keyframe: 8 * float64(s.key),
	}}}
}

// drain moves bytes through the line, and packets into the socket as it empties.
func (s *lineSim) drain(bytes float64) {
	moved := 0.0
	for {
		for s.inside < 64<<10 && s.next < len(s.ring) {
			p := s.ring[s.next]
			s.next++
			if s.thin.keep(p) {
				s.out(p)
				s.socket = append(s.socket, p)
				s.inside += len(p.Payload)
			}
		}
		if len(s.socket) == 0 || bytes <= 0 {
			break
		}
		if s.left == 0 {
			s.left = float64(len(s.socket[0].Payload))
		}
		n := min(bytes, s.left)
		bytes, s.left, moved = bytes-n, s.left-n, moved+n
		if s.left == 0 {
			s.inside -= len(s.socket[0].Payload)
			s.socket = s.socket[1:]
		}
	}
	s.drained = append(s.drained, moved)
}

// out checks what goes out: the sound whole, no picture without its references.
func (s *lineSim) out(p *packetbuf.Packet) {
	if p.Track == packetbuf.Audio {
		s.silent = max(s.silent, p.DTS-s.lastTone)
		s.lastTone = p.DTS
		return
	}
	if p.Kind == packetbuf.Key {
		s.intact = true
	} else if !s.intact {
		s.broken++
	}
}

func (s *lineSim) lag(now time.Time) time.Duration {
	switch {
	case len(s.socket) > 0:
		return now.Sub(s.socket[0].Arrived)
	case s.next < len(s.ring):
		return now.Sub(s.ring[s.next].Arrived)
	}
	return 0
}

func (s *lineSim) line(lag time.Duration) policy.Line {
	sum := 0.0
	last := s.drained[max(0, len(s.drained)-100):]
	for _, b := range last {
		sum += b
	}
	limited := len(s.lags) > 4
	for _, l := range s.lags[max(0, len(s.lags)-5):] {
		limited = limited && l > minLag
	}
	return policy.Line{Lag: lag, Rate: 8 * sum / (float64(len(last)) * simTick.Seconds()), Limited: limited}
}

func (s *lineSim) newestKey() uint64 {
	for i := len(s.ring) - 1; i >= 0; i-- {
		if s.ring[i].Kind == packetbuf.Key {
			return s.ring[i].Seq
		}
	}
	return 0
}

// sims are typical streams: with and without frames that nothing refers to, keyframes small
// and big, GOPs short and long.
func sims() map[string]lineSim {
	return map[string]lineSim{
		"B-frames":      {fps: 30, gop: 60, key: 60000, delta: 13000, disposal: 4000, sound: 400},
		"no B-frames":   {fps: 30, gop: 60, key: 60000, delta: 9000, disposal: 9000, sound: 400},
		"big keyframes": {fps: 30, gop: 60, key: 200000, delta: 6000, disposal: 3000, sound: 400},
		"long GOPs":     {fps: 60, gop: 240, key: 90000, delta: 6000, disposal: 2500, sound: 400},
		"short GOPs":    {fps: 25, gop: 25, key: 40000, delta: 9000, disposal: 4000, sound: 200},
	}
}

func TestLadderHoldsAtABottleneckAndClimbsBack(t *testing.T) {
	for name, s := range sims() {
		for _, share := range []float64{0.8, 0.6, 0.4, 0.25} {
			t.Run(fmt.Sprintf("%s at %.0f %%", name, 100*share), func(t *testing.T) {
				s := s
				full := s.offers()[0].Rates.Total()
				const heals = 90 * time.Second
				s.rate = func(at time.Duration) float64 {
					switch {
					case at < 10*time.Second, at >= heals:
						return 1.3 * full
					}
					return share * full
				}
				var back time.Duration
				s.run(t, heals+90*time.Second, func(at time.Duration, c policy.Choice) {
					switch {
					case c.Step.Rung != policy.Full:
						back = at
					}
				})
				t.Logf("worst lag %.1f s, %d moves, back after %.1f s", s.worst.Seconds(), s.moves, (back - heals).Seconds())
				for _, l := range s.levels {
					t.Log(l)
				}
				// Nothing can be left out of a keyframe: one that takes more than a second of the
				// line comes on top.
				alone := time.Duration(8 * float64(s.key) / (share * full) * float64(time.Second))
				if most := 3*time.Second + max(0, alone-time.Second); s.worst > most {
					t.Errorf("the lag came to %v, more than %v", s.worst, most)
				}
				if s.silent > 30*time.Millisecond {
					t.Errorf("the sound had a gap of %v", s.silent)
				}
				if back > heals+30*time.Second {
					t.Errorf("full again only %v after the line was good", back-heals)
				}
				if s.broken > 0 {
					t.Errorf("%d pictures before a keyframe", s.broken)
				}
			})
		}
	}
}
