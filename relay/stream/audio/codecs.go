// Package audio decides which audio a stream's viewers get: the publisher's own, or bridged audio,
// which is the same audio converted to another codec. It tracks which codecs viewers need, and
// selects the audio for each viewer.
//
// The package is pure.
package audio

import (
	"github.com/holdfast-live/holdfast/packetbuf"
)

// Codecs is a set of audio codecs that a viewer accepts. The empty set accepts only the publisher's
// own audio, in any codec.
type Codecs uint32

// CodecsOf returns the set of the given codecs.
func CodecsOf(codecs []packetbuf.Codec) (s Codecs) {
	for _, c := range codecs {
		s |= 1 << c
	}
	return s
}

// Has reports whether c is in the set.
func (s Codecs) Has(c packetbuf.Codec) bool { return c != packetbuf.NoCodec && s&(1<<c) != 0 }

// Accepts reports whether a viewer with this set gets the publisher's audio of codec c without a
// bridge.
func (s Codecs) Accepts(c packetbuf.Codec) bool { return s == 0 || s.Has(c) }

// NeedBridge reports whether a viewer with this set needs a bridge for the publisher's audio of
// codec source.
func (s Codecs) NeedBridge(source packetbuf.Codec) bool {
	return !s.Has(source) && s.Has(BridgeTarget(source))
}

// BridgeTarget returns the codec to which a bridge converts a publisher's audio of codec source. It
// returns NoCodec if source is NoCodec.
func BridgeTarget(source packetbuf.Codec) packetbuf.Codec {
	switch source {
	case packetbuf.NoCodec:
		return packetbuf.NoCodec
	case packetbuf.Opus:
		return packetbuf.AAC
	}
	return packetbuf.Opus
}
