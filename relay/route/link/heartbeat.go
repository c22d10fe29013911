package link

import (
	"time"

	wire "github.com/holdfast-live/holdfast/packetbuf/rtmp"
)

// heartbeat is how long a push is silent at most: boxes between forget a connection that is for
// longer, and of a line that died nobody would know before there is something to send.
const heartbeat = 15 * time.Second

// beat pulses where nothing else was said for a while, until over is closed.
func (p *Push) beat(over <-chan struct{}) {
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
		if err := p.pulse(); err != nil {
			p.fail(err)
		}
	}
}

// pulse says how many bytes have come, which every far side understands and none answers.
func (p *Push) pulse() error {
	p.owe(wire.AppendAck(nil, uint32(p.heard.Load()))) //nolint:gosec // wraps by design
	return p.answer()
}
