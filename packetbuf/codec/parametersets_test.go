package codec_test

import (
	"bytes"
	"slices"
	"testing"

	"github.com/holdfast-live/holdfast/packetbuf"
	"github.com/holdfast-live/holdfast/packetbuf/codec"
	"github.com/holdfast-live/holdfast/testmedia"
)

// WithParameterSets returns a new packet; the original, which others may hold, does not change.
func TestWithParameterSetsLeavesTheKeyframe(t *testing.T) {
	var cfg, key *packetbuf.Packet
	for _, p := range testmedia.Clip() {
		switch {
		case p.Track == packetbuf.Video && p.Kind == packetbuf.Config:
			cfg = p
		case p.Track == packetbuf.Video && p.Kind == packetbuf.Key && key == nil:
			key = p
		}
	}
	idr := codec.AppendNAL(nil, []byte{0x65, 0x88})
	key = key.WithPayload(slices.Clip(idr))
	key.Flags, key.CTO = packetbuf.Splice, 40
	got := codec.WithParameterSets(key, cfg)
	if got == key || !bytes.Equal(key.Payload, codec.AppendNAL(nil, []byte{0x65, 0x88})) {
		t.Fatalf("original keyframe: got %x, want it unchanged", key.Payload)
	}
	if !codec.AVCHas(got.Payload, 4, codec.NALSPS) || !codec.AVCHas(got.Payload, 4, codec.NALPPS) || !bytes.HasSuffix(got.Payload, idr) {
		t.Errorf("got %x, want SPS and PPS before the frame", got.Payload)
	}
	if got.Flags != key.Flags || got.CTO != key.CTO || got.DTS != key.DTS || got.Kind != key.Kind || got.Codec != key.Codec {
		t.Error("got a packet that differs in more than its payload")
	}
	for name, tt := range map[string]struct{ key, cfg *packetbuf.Packet }{
		"with an SPS already":   {got, cfg},
		"without configuration": {key, nil},
		"malformed":             {key, &packetbuf.Packet{Track: packetbuf.Video, Codec: packetbuf.H264, Kind: packetbuf.Config, Payload: []byte{1, 2}}},
		"of another codec":      {&packetbuf.Packet{Track: packetbuf.Video, Codec: packetbuf.HEVC, Kind: packetbuf.Key, Payload: idr}, cfg},
	} {
		if got := codec.WithParameterSets(tt.key, tt.cfg); got != tt.key {
			t.Errorf("%s: got another packet, want the same", name)
		}
	}
}
