// Package standby decides how a stream continues when its publisher fails: which media is kept of a
// session that may take over, how the stream switches over to it, and how a session returns that had
// fallen silent.
//
// The package is pure. It returns its decisions as values, which the stream applies to its clock and
// its ring.
package standby

import (
	"bytes"
	"fmt"
	"time"

	"github.com/holdfast-live/holdfast/packetbuf"
)

const (
	// evidence is how many consecutive frames must be equal in two sessions with different timestamps,
	// before both are assumed to come from the same encoder.
	evidence = 8
	// ends is how many of the newest sent frames are compared with the frames of the standby. More than
	// one is needed, since a keyframe at which the stream was spliced may have been given parameter
	// sets.
	ends = 3
)

// Switchover is the plan of a switchover to a standby.
type Switchover struct {
	// Packets are the packets to send from the standby.
	Packets []*packetbuf.Packet
	// Aligned is a packet of the standby that viewers have already received from the same encoder, at
	// DTS At. The stream continues with the packet after it. If Aligned is nil, the stream is spliced
	// at Packets[0].
	Aligned *packetbuf.Packet
	At      time.Duration
}

// Plan returns the plan of a switchover to a standby whose recent media is kept. sent is the media
// that viewers received, and frozen reports whether they were sent generated frames after it.
// sameConfigs reports whether the standby has the configurations that viewers have. sameTime reports
// whether raw, a timestamp of the standby, equals the active session's timestamp of the packet at
// dts on the stream's clock. Frames are compared on track.
//
// A standby that is behind the stream sends again what viewers have already received; that has to be
// skipped.
func Plan(sent, kept Window, track packetbuf.Track, frozen, sameConfigs bool, sameTime func(dts, raw time.Duration) bool) Switchover {
	if sameConfigs {
		m := match{sent: only(sent.packets, track), kept: only(kept.packets, track), sameTime: sameTime}
		if p, at := m.find(); p != nil {
			return Switchover{Packets: kept.packets, Aligned: p, At: at}
		}
	}
	return Switchover{Packets: kept.packets[max(0, kept.Start(frozen)):]}
}

// match searches for a frame of one encoder both in the sent media and in the media kept of a
// standby.
type match struct {
	sent, kept []*packetbuf.Packet
	sameTime   func(dts, raw time.Duration) bool
}

// find returns a packet of kept that viewers have already received, and the DTS at which they
// received it, or nil if there is none.
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

// same reports whether sent[i] and kept[j] are the same frame of one encoder. That is so if their
// payloads are equal and either their timestamps are equal or enough frames before them are equal
// too.
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

// Follows returns an error if a backup that sends frame p cannot take over from the stream, whose
// newest keyframe is live, because their video codecs differ. live is nil for a stream without
// video.
func Follows(live, p *packetbuf.Packet) error {
	if live == nil || p.Track != packetbuf.Video || live.Codec == p.Codec {
		return nil
	}
	return fmt.Errorf("the backup's video is %v and the stream's %v: set both encoders to one codec", p.Codec, live.Codec)
}
