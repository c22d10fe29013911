package link

import (
	"time"

	wire "github.com/holdfast-live/holdfast/packetbuf/rtmp"
)

// heartbeat is the longest time for which a push sends nothing. NATs drop connections that are
// silent for longer, and a dead line is noticed only when something is sent.
const heartbeat = 15 * time.Second

// sendHeartbeats sends a heartbeat whenever nothing else has been sent for a while, until over is
// closed.
func (p *Push) sendHeartbeats(over <-chan struct{}) {
	tick := time.NewTicker(heartbeat / 2)
	defer tick.Stop()
	for before := uint64(0); ; {
		select {
		case <-over:
			return
		case <-tick.C:
		}
		if sent := p.socket.sent.Load(); sent != before {
			before = sent
			continue
		}
		if err := p.sendHeartbeat(); err != nil {
			p.fail(err)
		}
	}
}

// sendHeartbeat sends an acknowledgement, which every server understands and no server answers.
func (p *Push) sendHeartbeat() error {
	p.queueAnswer(wire.AppendAck(nil, uint32(p.received.Load()))) //nolint:gosec // wraps by design
	return p.flushAnswers()
}
