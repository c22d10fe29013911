// Package standby decides how a stream goes on after its publisher: which media is kept of a session
// that may take over, how the stream goes over to it, and how a session comes back that had fallen
// silent.
//
// The package is pure. What it decides comes back as values, which the stream carries out on its
// clock and its ring.
package standby

import (
	"bytes"
	"fmt"
	"time"

	"github.com/holdfast-live/holdfast/packetbuf"
)

const (
	// evidence is how many frames in a row must be the same in two sessions whose timestamps differ
	// for both to be of one encoder.
	evidence = 8
	// ends is how many of the newest frames on either side are looked for on the other: a keyframe
	// at which the stream was spliced may have been given parameter sets.
	ends = 3
)

// Switchover is how a stream goes over to a standby.
type Switchover struct {
	// Packets is what was kept of the standby.
	Packets []*packetbuf.Packet
	// Aligned is a packet of the same encoder that viewers have had already, at DTS At: the stream
	// goes on with the very next. Nil: there is none, and the stream is spliced at Packets[0].
	Aligned *packetbuf.Packet
	At      time.Duration
}

// Plan returns how a stream goes over to a standby of which kept is held. sent is what viewers have
// had; frozen tells that they have seen made frames since. sameConfigs tells that the configurations
// of the standby are those that viewers have, and sameTime reports whether a timestamp of the
// standby is that of the session in force for what stands at dts. Frames are compared on track.
//
// A standby that is behind delivers once more what viewers have had, which is to be passed over.
func Plan(sent, kept Window, track packetbuf.Track, frozen, sameConfigs bool, sameTime func(dts, raw time.Duration) bool) Switchover {
	if sameConfigs {
		m := match{sent: only(sent.packets, track), kept: only(kept.packets, track), sameTime: sameTime}
		if p, at := m.find(); p != nil {
			return Switchover{Packets: kept.packets, Aligned: p, At: at}
		}
	}
	return Switchover{Packets: kept.packets[max(0, kept.Start(frozen)):]}
}

// match looks for one encoder's frame in what viewers have had and in what is kept of a standby.
type match struct {
	sent, kept []*packetbuf.Packet
	sameTime   func(dts, raw time.Duration) bool
}

// find returns a packet of kept that viewers have had, and the DTS at which they had it; nil if
// there is none.
func (m *match) find() (p *packetbuf.Packet, at time.Duration) {
	for n := 1; n <= min(ends, len(m.sent)); n++ {
		for j := len(m.kept) - 1; j >= 0; j-- {
			if i := len(m.sent) - n; m.same(i, j) {
				return m.kept[j], m.sent[i].DTS
			}
		}
	}
	for n := 1; n <= min(ends, len(m.kept)); n++ {
		for i := len(m.sent) - 1; i >= 0; i-- {
			if j := len(m.kept) - n; m.same(i, j) {
				return m.kept[j], m.sent[i].DTS
			}
		}
	}
	return nil, 0
}

// same reports whether sent[i] and kept[j] are one encoder's frame: with one timestamp on both
// publishers' clocks, or at the end of a run of frames that are the same.
func (m *match) same(i, j int) bool {
	equal := func(n int) bool { return bytes.Equal(m.sent[i-n].Payload, m.kept[j-n].Payload) }
	if !equal(0) {
		return false
	}
	if m.sameTime(m.sent[i].DTS, m.kept[j].DTS) {
		return true
	}
	if i < evidence || j < evidence || bytes.Equal(m.sent[i].Payload, m.sent[i-1].Payload) {
		return false
	}
	for n := 1; n < evidence; n++ {
		if !equal(n) {
			return false
		}
	}
	return true
}

func only(packets []*packetbuf.Packet, tr packetbuf.Track) (out []*packetbuf.Packet) {
	for _, p := range packets {
		if p.Track == tr {
			out = append(out, p)
		}
	}
	return out
}

// Follows returns an error if a backup whose frame is p cannot take over from the stream whose
// newest keyframe is live, nil for a stream without video.
func Follows(live, p *packetbuf.Packet) error {
	if live == nil || p.Track != packetbuf.Video || live.Codec == p.Codec {
		return nil
	}
	return fmt.Errorf("the backup's video is %v and the stream's %v: set both encoders to one codec", p.Codec, live.Codec)
}
