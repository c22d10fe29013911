package cmaf

import (
	"time"

	"github.com/holdfast-live/holdfast/packetbuf"
)

// piece is a sample of a chunk without its payload.
type piece struct {
	size         int
	at, dur, cto int64 // in units of the track's scale
	kind         packetbuf.Kind
}

func piecesOf(samples *[2][]sample) (out [2][]piece) {
	all := make([]piece, 0, len(samples[0])+len(samples[1]))
	for tr, s := range samples {
		from := len(all)
		for i := range s {
			p := s[i].p
			all = append(all, piece{len(p.Payload), s[i].at, s[i].dur, s[i].cto, p.Kind})
		}
		out[tr] = all[from:len(all):len(all)]
	}
	return out
}

// Split splits c into two chunks. The duration of head is as long as possible within the range from
// least to most. Split returns nil if c cannot be split. Both parts keep the sequence number of c.
// The sequence numbers in their mfhd boxes, which must increase (ISO/IEC 14496-12, 8.8.5), count
// half chunks.
func (c *Chunk) Split(least, most time.Duration) (head, tail *Chunk) {
	at, ok := c.splitPoint(packetbuf.Video, least, most)
	if !ok {
		at, ok = c.splitPoint(packetbuf.Audio, least, most)
	}
	if !ok {
		return nil, nil
	}
	var samples [2][2][]sample // of the head and of the tail
	data := c.Data[len(c.Data)-c.payloadSize():]
	for tr, frames := range c.pieces {
		for _, f := range frames {
			half := 0
			if c.Info.tracks[tr].time(f.at) >= at {
				half = 1
			}
			p := &packetbuf.Packet{Kind: f.kind, Payload: data[:f.size]}
			samples[half][tr] = append(samples[half][tr], sample{p, f.at, f.dur, f.cto})
			data = data[f.size:]
		}
	}
	first, second := *c, *c
	first.Duration = at - c.Start
	second.Start, second.Duration, second.Wall = at, c.Duration-first.Duration, c.Wall.Add(first.Duration)
	second.Segment, second.StandIn = false, false
	second.Independent, second.Discontinuity = c.Independent && c.Info.tracks[packetbuf.Video] == nil, false
	for i, half := range []*Chunk{&first, &second} {
		half.Data, half.VideoFrames = c.Info.tracks.fragment(2*c.Seq+uint64(i), &samples[i]), len(samples[i][packetbuf.Video])
		half.pieces = piecesOf(&samples[i])
	}
	return &first, &second
}

// splitPoint returns the start of the last frame of a track at which c can be split, if the
// duration of the first part must be in the range from least to most. ok is false if there is none.
func (c *Chunk) splitPoint(tr packetbuf.Track, least, most time.Duration) (at time.Duration, ok bool) {
	for i, f := range c.pieces[tr] {
		begins := c.Info.tracks[tr].time(f.at)
		if d := begins - c.Start; i > 0 && d > 0 && d >= least && d <= most && d < c.Duration {
			at, ok = begins, true
		}
	}
	return at, ok
}

// payloadSize returns the number of payload bytes, which are at the end of Data.
func (c *Chunk) payloadSize() (n int) {
	for _, frames := range c.pieces {
		for _, f := range frames {
			n += f.size
		}
	}
	return n
}
