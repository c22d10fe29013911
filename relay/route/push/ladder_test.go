package push

import (
	"fmt"
	"testing"
	"time"

	"github.com/holdfast-live/holdfast/packetbuf"
	"github.com/holdfast-live/holdfast/qos/policy"
)

// lineSim simulates a stream over a line of a given rate, in virtual time. Packets wait in a ring, a small
// socket buffers them and the line drains it. A thinner follows the ladder.
type lineSim struct {
	fps, gop               int
	key, delta, disposable int // bytes of a frame; every second one is disposable
	audio                  int // bytes of an audio frame, 40 a second
	rate                   func(at time.Duration) float64

	ladder      *policy.Ladder
	thin        thinner
	ring        []*packetbuf.Packet
	next        int
	socket      []*packetbuf.Packet
	firstLeft   float64 // bytes left of the socket's first packet
	socketBytes int

	maxLag      time.Duration
	levels      []string
	maxAudioGap time.Duration // longest gap in the audio sent, on the stream's clock
	lastAudio   time.Duration
	moves       int
	drained     []float64 // bytes per tick of 10 ms
	lags        []time.Duration
	undecodable int // frames sent without the frames they refer to
	decodable   bool
}

const simTick = 10 * time.Millisecond

func (s *lineSim) run(t *testing.T, length time.Duration, each func(at time.Duration, c policy.Choice)) {
	t.Helper()
	start := time.Unix(0, 0)
	s.ladder = policy.NewLadder([]policy.Place{{Rung: policy.Full}, {Rung: policy.DropDisposable}, {Rung: policy.Trim}, {Rung: policy.Keyframes}, {Rung: policy.Audio}})
	s.ladder.Begin(start, s.offers(), 0)
	frames, audioFrames := 0, 0
	for at := time.Duration(0); at < length; at += simTick {
		for ; time.Duration(frames)*time.Second/time.Duration(s.fps) <= at; frames++ {
			s.ring = append(s.ring, s.frame(frames, time.Duration(frames)*time.Second/time.Duration(s.fps), start))
		}
		for ; time.Duration(audioFrames)*25*time.Millisecond <= at; audioFrames++ {
			d := time.Duration(audioFrames) * 25 * time.Millisecond
			s.ring = append(s.ring, &packetbuf.Packet{Track: packetbuf.Audio, Kind: packetbuf.Delta, DTS: d, Arrived: start.Add(d), Seq: uint64(len(s.ring) + 1), Payload: make([]byte, s.audio)})
		}
		s.drain(s.rate(at) / 8 * simTick.Seconds())
		lag := s.lag(start.Add(at))
		s.maxLag = max(s.maxLag, lag)
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

func (s *lineSim) frame(n int, at time.Duration, start time.Time) *packetbuf.Packet {
	p := &packetbuf.Packet{Track: packetbuf.Video, Kind: packetbuf.Delta, DTS: at, Arrived: start.Add(at), Seq: uint64(len(s.ring) + 1)}
	size := s.delta
	switch {
	case n%s.gop == 0:
		p.Kind, size = packetbuf.Key, s.key
	case n%2 == 0:
		p.Kind, size = packetbuf.Disposable, s.disposable
	}
	p.Payload = make([]byte, size)
	return p
}

func (s *lineSim) offers() []policy.Offer {
	f := float64(s.fps) / float64(s.gop)
	half := float64(s.fps)/2 - f
	return []policy.Offer{{Ready: true, Rates: policy.Rates{
		Key: 8 * f * float64(s.key), Delta: 8 * float64(s.fps) / 2 * float64(s.delta), Disposable: 8 * half * float64(s.disposable), Audio: 8 * 40 * float64(s.audio), Keyframe: 8 * float64(s.key),
	}}}
}

// drain moves bytes over the line, and packets into the socket as it empties.
func (s *lineSim) drain(bytes float64) {
	moved := 0.0
	for {
		for s.socketBytes < 64<<10 && s.next < len(s.ring) {
			p := s.ring[s.next]
			s.next++
			if s.thin.keep(p) {
				s.check(p)
				s.socket = append(s.socket, p)
				s.socketBytes += len(p.Payload)
			}
		}
		if len(s.socket) == 0 || bytes <= 0 {
			break
		}
		if s.firstLeft == 0 {
			s.firstLeft = float64(len(s.socket[0].Payload))
		}
		n := min(bytes, s.firstLeft)
		bytes, s.firstLeft, moved = bytes-n, s.firstLeft-n, moved+n
		if s.firstLeft == 0 {
			s.socketBytes -= len(s.socket[0].Payload)
			s.socket = s.socket[1:]
		}
	}
	s.drained = append(s.drained, moved)
}

// check checks what is sent: audio without a gap, no frame without its references.
func (s *lineSim) check(p *packetbuf.Packet) {
	if p.Track == packetbuf.Audio {
		s.maxAudioGap = max(s.maxAudioGap, p.DTS-s.lastAudio)
		s.lastAudio = p.DTS
		return
	}
	if p.Kind == packetbuf.Key {
		s.decodable = true
	} else if !s.decodable {
		s.undecodable++
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

// sims returns typical streams: with and without disposable frames, small and big keyframes, short and
// long GOPs.
func sims() map[string]lineSim {
	return map[string]lineSim{
		"B-frames":      {fps: 30, gop: 60, key: 60000, delta: 13000, disposable: 4000, audio: 400},
		"no B-frames":   {fps: 30, gop: 60, key: 60000, delta: 9000, disposable: 9000, audio: 400},
		"big keyframes": {fps: 30, gop: 60, key: 200000, delta: 6000, disposable: 3000, audio: 400},
		"long GOPs":     {fps: 60, gop: 240, key: 90000, delta: 6000, disposable: 2500, audio: 400},
		"short GOPs":    {fps: 25, gop: 25, key: 40000, delta: 9000, disposable: 4000, audio: 200},
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
				t.Logf("max lag %.1f s, %d rung changes, full again after %.1f s", s.maxLag.Seconds(), s.moves, (back - heals).Seconds())
				for _, l := range s.levels {
					t.Log(l)
				}
				// Nothing can be dropped from a keyframe. One that takes more than a second of the line adds
				// to the lag.
				alone := time.Duration(8 * float64(s.key) / (share * full) * float64(time.Second))
				if maximum := 3*time.Second + max(0, alone-time.Second); s.maxLag > maximum {
					t.Errorf("got a lag of %v, want at most %v", s.maxLag, maximum)
				}
				if s.maxAudioGap > 30*time.Millisecond {
					t.Errorf("got a gap of %v in the audio, want at most 30ms", s.maxAudioGap)
				}
				if back > heals+30*time.Second {
					t.Errorf("got full %v after the line recovered, want at most 30s", back-heals)
				}
				if s.undecodable > 0 {
					t.Errorf("got %d frames before a keyframe, want 0", s.undecodable)
				}
			})
		}
	}
}
