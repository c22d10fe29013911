package stream

import (
	"github.com/holdfast-live/holdfast/packetbuf"
	"github.com/holdfast-live/holdfast/relay/stream/standby"
)

// standbyState is what a stream holds for going over to a standby, or back to a session that fell
// silent.
type standbyState struct {
	sentWindow standby.Window    // what viewers have had, while there is a standby
	returning  standby.Returning // the return of the session that fell silent
	flaps      standby.Flaps     // of pushes that break and return too often
}

// retainActive keeps p of the session that feeds the stream, as it came, while there is a standby:
// the two may change places. s.mu is held.
func (s *Stream) retainActive(pub *publisherSession, p *packetbuf.Packet) {
	if s.machine.Spare() == 0 {
		pub.gopWindow.Clear()
		pub.memory.Set(0)
		return
	}
	kind := p.Kind
	if p.Track == packetbuf.Audio && pub.HasVideo() {
		kind = packetbuf.Delta // where its video is silent, viewers may start with audio
	}
	pub.retain(&packetbuf.Packet{
		Track: p.Track, Codec: p.Codec, Kind: kind, DTS: p.DTS, CTO: p.CTO, Arrived: p.Arrived, Payload: p.Payload,
	})
}

// retainSent notes a packet that viewers have had, while there is a standby that might have it too.
// s.mu is held.
func (s *Stream) retainSent(p *packetbuf.Packet) {
	if s.machine.Spare() == 0 {
		s.standby.sentWindow.Clear()
		return
	}
	s.standby.sentWindow.Add(p, true, false, s.cfg.Load().Buffer)
}
