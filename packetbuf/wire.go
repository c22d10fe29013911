package packetbuf

// Wire identifies a serialised form of a packet, which all viewers of a protocol share.
type Wire uint8

// The shared wire forms.
const (
	FLVTag      Wire = iota // an FLV tag with its PreviousTagSize
	RTMPMessage             // an RTMP message in chunks
	RTPPayloads             // the payloads of RTP packets, each after its length in two bytes
	numWires
)

// evicted replaces the wire forms of a packet that has left its ring. Its wire forms are no longer kept.
var evicted []byte

// Serialized returns the packet's wire form w. It calls build on first use and keeps the result while
// the packet is in its ring. If two viewers need the form at the same moment, both may build it, and one
// result is kept. The bytes must not be changed.
func (p *Packet) Serialized(w Wire, build func(*Packet) []byte) []byte {
	kept := p.wire[w].Load()
	if kept != nil && kept != &evicted {
		return *kept
	}
	b := build(p)
	if kept == &evicted {
		return b
	}
	if p.wire[w].CompareAndSwap(nil, &b) {
		if p.Kind != Config {
			p.account.Add(len(b))
		}
		return b
	}
	if kept = p.wire[w].Load(); kept != &evicted {
		return *kept
	}
	return b
}

// dropWires releases the wire forms of an evicted packet and subtracts them from the account. A reader
// that still has the packet builds the forms it needs itself. A Config keeps its wire forms, because it
// may stay in force for long; they are not counted.
func (p *Packet) dropWires() {
	if p.account == nil || p.Kind == Config {
		return
	}
	for w := range p.wire {
		if b := p.wire[w].Swap(&evicted); b != nil && b != &evicted {
			p.account.Add(-len(*b))
		}
	}
}
