package packetbuf

// Wire is a serialised form that all viewers of a protocol share.
type Wire uint8

// The shared wire forms.
const (
	FLVTag      Wire = iota // an FLV tag with its PreviousTagSize
	RTMPMessage             // an RTMP message in chunks
	RTPPayloads             // the payloads of RTP packets, each behind its length in two bytes
	numWires
)

// left stands for the wire forms of a packet that has left its ring: none is kept any more.
var left []byte

// Serialized returns the packet's wire form w, made by build on first need. Two
// viewers that need it at the same moment may both build it; one result stays, as long as the
// packet is in its ring. The bytes must not be changed.
func (p *Packet) Serialized(w Wire, build func(*Packet) []byte) []byte {
	kept := p.wire[w].Load()
	if kept != nil && kept != &left {
		return *kept
	}
	b := build(p)
	if kept == &left {
		return b
	}
	if p.wire[w].CompareAndSwap(nil, &b) {
		if p.Kind != Config {
			p.account.Add(len(b))
		}
		return b
	}
	if kept = p.wire[w].Load(); kept != &left {
		return *kept
	}
	return b
}

// dropWires takes the wire forms of a packet that leaves its ring out of the account. A reader that
// still has the packet makes those that it needs for itself. A Config keeps its own: it may be in
// force for long, and is not counted.
func (p *Packet) dropWires() {
	if p.account == nil || p.Kind == Config {
		return
	}
	for w := range p.wire {
		if b := p.wire[w].Swap(&left); b != nil && b != &left {
			p.account.Add(-len(*b))
		}
	}
}
