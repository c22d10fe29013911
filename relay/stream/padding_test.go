package stream

import (
	"testing"
	"time"

	"github.com/holdfast-live/holdfast/ingest"
	"github.com/holdfast-live/holdfast/packetbuf"
	"github.com/holdfast-live/holdfast/testmedia/gen"
)

// The rates in bytes per second at which padded filler starts and to which it falls.
const (
	paddedFirst = 128 << 10
	paddedRate  = 96 << 10
)

// Filler and its padding start near the rate of the session before them and fall to paddedRate, or
// stay at 1.5 times the session's rate where that is less. The pace is even.
func TestPaddedRate(t *testing.T) {
	for _, tt := range []struct {
		name    string
		options gen.Options
		first   float64 // bytes per second
		want    float64 // in the end
	}{
		{"more than the bound", gen.Options{VideoBitrate: 2_000_000}, paddedFirst, paddedRate},
		{"less than the bound", gen.Options{VideoBitrate: 160_000, AudioBitrate: 64_000}, 42_000, 42_000},
		{"audio alone", gen.Options{NoVideo: true, AudioBitrate: 64_000}, 12_000, 12_000},
		{"video alone", gen.Options{NoAudio: true, VideoBitrate: 2_000_000}, paddedFirst, paddedRate},
	} {
		t.Run(tt.name, func(t *testing.T) {
			story(t, nil, func(b *bench) {
				p := b.publish(tt.options)
				p.run(6 * time.Second)
				r := b.attach()
				p.sink.End(ingest.Reset, "")
				drain(t, r)
				const held = 24 * time.Second
				first, total, padded := 0, 0, time.Duration(0)
				for second := range held / time.Second {
					time.Sleep(time.Second)
					packets, _ := drain(t, r)
					if second == 0 {
						first = size(packets)
					}
					if second < 12 { // the rate falls
						continue
					}
					for _, p := range packets {
						if p.Padding == 0 {
							continue
						}
						if gap := p.DTS - padded; padded > 0 && tt.want == paddedRate && gap > 400*time.Millisecond {
							t.Errorf("%v without padding", gap)
						}
						padded = p.DTS
					}
					total += size(packets)
				}
				if got := float64(total) / (held.Seconds() - 12); got < 0.93*tt.want || got > 1.07*tt.want {
					t.Errorf("%.0f bytes per second in the end, want %.0f", got, tt.want)
				}
				if got, want := float64(first), tt.first; got < 0.75*want || got > 1.1*want {
					t.Errorf("%.0f bytes in the first second, want %.0f", got, want)
				}
			})
		})
	}
}

// size returns the number of bytes of packets and their padding.
func size(packets []*packetbuf.Packet) (n int) {
	for _, p := range packets {
		n += len(p.Payload) + int(p.Padding)*packetbuf.PaddingUnit
	}
	return n
}

// A publisher's own packets carry no padding.
func TestNoPaddingWhileLive(t *testing.T) {
	story(t, nil, func(b *bench) {
		p := b.publish(gen.Options{})
		p.run(time.Second)
		r := b.attach()
		p.run(5 * time.Second)
		packets, _ := drain(t, r)
		for _, p := range packets {
			if p.Padding != 0 {
				t.Fatalf("%d units behind a packet at %v", p.Padding, p.DTS)
			}
		}
	})
}
