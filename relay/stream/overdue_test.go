package stream

import (
	"testing"
	"time"

	"github.com/holdfast-live/holdfast/ingest"
	"github.com/holdfast-live/holdfast/packetbuf"
	"github.com/holdfast-live/holdfast/relay/lifecycle"
)

// A hang is noticed more than a second after the last frame. Players of HTTP-FLV and RTMP have run
// dry by then and would play all the silence that covers that time: they get little of it, yet no
// hole above 100 ms. Other protocols get all of it, and so does everyone after a break that shows
// at once.
func TestOverdueSilenceIsThinned(t *testing.T) {
	for _, tt := range []struct {
		name, protocol string
		silence        bool
		late           time.Duration // most audio that players play late
	}{
		{"HTTP-FLV", "httpflv", true, 500 * time.Millisecond},
		{"RTMP", "rtmp", true, 500 * time.Millisecond},
		{"HLS", "hls", true, time.Hour},
		{"HTTP-FLV, reset", "httpflv", false, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			story(t, nil, func(b *bench) {
				p := b.publishClip()
				p.until(t, 3500*time.Millisecond)
				r, err := b.Attach(tt.protocol)
				if err != nil {
					t.Fatal(err)
				}
				defer r.Close()
				before, _ := drain(t, r)
				var last *packetbuf.Packet
				for _, p := range before {
					if p.Track == packetbuf.Audio && p.Media() {
						last = p
					}
				}
				if !tt.silence {
					p.sink.End(ingest.Reset, "")
				}
				time.Sleep(4 * time.Second)
				if b.state() != lifecycle.Held {
					t.Fatalf("the stream is %v, want held", b.state())
				}
				packets, _ := drain(t, r)
				frame := b.audioFrame()
				late, widest, full := time.Duration(0), time.Duration(0), true
				player := last.DTS + frame // where the audio of mpegts.js ends: it closes holes of three frames
				var begun time.Time        // of the filler: when its first packets were made
				for _, p := range packets {
					if p.Track != packetbuf.Audio || !p.Media() {
						continue
					}
					if begun.IsZero() {
						begun = p.Arrived
					}
					if p.Arrived.Equal(begun) {
						late += frame
					}
					step := p.DTS - last.DTS
					widest, full, last = max(widest, step), full && step <= frame+2*time.Millisecond, p
					if hole := p.DTS - player; hole >= 3*frame {
						player += hole / frame * frame
					}
					player += frame
				}
				if tt.late > 0 && late > tt.late {
					t.Errorf("%v of late silence, want at most %v", late, tt.late)
				}
				if widest > 100*time.Millisecond {
					t.Errorf("%v between two audio frames, want at most 100ms", widest)
				}
				if early := last.DTS + frame - player; early > frame {
					t.Errorf("audio of a player that closes holes of three frames is %v early, want at most %v", early, frame)
				}
				if wantAll := tt.protocol == "hls" || !tt.silence; full != wantAll {
					t.Errorf("audio without holes: %v, want %v", full, wantAll)
				}
				if behind := b.lag(); last.DTS == 0 || behind > 200*time.Millisecond {
					t.Errorf("audio ends %v behind the stream's clock", behind)
				}
			})
		})
	}
}
