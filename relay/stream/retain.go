package stream

import (
	"github.com/holdfast-live/holdfast/packetbuf"
	"github.com/holdfast-live/holdfast/relay/stream/standby"
)

// standbyState is what a stream keeps for a switchover to a standby or back to a session that fell
// silent.
type standbyState struct {
	sentWindow standby.Window    // recent packets that viewers were sent, while a standby exists
	returning  standby.Returning // the return of the session that fell silent
	flaps      standby.Flaps     // limits what is logged about pushes that break and return too often
}

// retainActive keeps packet p of the session that feeds the stream, unmodified, while a standby
// exists. The session may itself become the standby. s.mu is held.
func (s *Stream) retainActive(pub *publisherSession, p *packetbuf.Packet) {
	if s.machine.Spare() == 0 {
		pub.gopWindow.Clear()
		pub.memory.Set(0)
		return
	}
	kind := p.Kind
	if p.Track == packetbuf.Audio && pub.HasVideo() {
		kind = packetbuf.Delta // p is Key if video is silent, so that viewers may start with audio
	}
	pub.retain(&packetbuf.Packet{
		Track: p.Track, Codec: p.Codec, Kind: kind, DTS: p.DTS, CTO: p.CTO, Arrived: p.Arrived, Payload: p.Payload,
	})
}

// retainSent records a packet that viewers were sent, while a standby exists that may send the same
// packet. s.mu is held.
func (s *Stream) retainSent(p *packetbuf.Packet) {
	if s.machine.Spare() == 0 {
		s.standby.sentWindow.Clear()
		return
	}
	s.standby.sentWindow.Add(p, true, false, s.cfg.Load().Buffer)
}
