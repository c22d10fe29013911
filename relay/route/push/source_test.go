package push

import (
	"bytes"
	"testing"
	"time"

	"github.com/holdfast-live/holdfast/packetbuf"
	"github.com/holdfast-live/holdfast/packetbuf/codec"
	"github.com/holdfast-live/holdfast/testmedia/gen"
)

// TestSourceTakesOver checks frames with B-frames before the keyframe of another source. No frame that
// would be shown later may be sent, nor any that may refer to such a frame.
func TestSourceTakesOver(t *testing.T) {
	s := &source{videoDTS: 1080 * time.Millisecond, videoPTS: 1080 * time.Millisecond}
	for _, p := range []struct {
		dts, pts time.Duration // in ms
		over     bool
	}{{920, 1040, false}, {960, 960, false}, {1000, 1160, true}, {1040, 1000, true}, {1080, 1080, true}} {
		frame := &packetbuf.Packet{
			Track: packetbuf.Video, Kind: packetbuf.Delta, DTS: p.dts * time.Millisecond, CTO: (p.pts - p.dts) * time.Millisecond,
		}
		if over := s.takesOver(frame); over != p.over {
			t.Errorf("DTS %d, PTS %d: got %v, want %v", p.dts, p.pts, over, p.over)
		}
	}
}

// TestWithParameterSets checks that parameter sets are prepended once and that the original packet is not
// changed.
func TestWithParameterSets(t *testing.T) {
	var cfg, key *packetbuf.Packet
	for g := gen.New(gen.Options{NoAudio: true, NoMetadata: true}); key == nil; {
		switch p := g.Next(); p.Kind {
		case packetbuf.Config:
			cfg = p
		case packetbuf.Key:
			key = p
		case packetbuf.Delta, packetbuf.Disposable:
		}
	}
	before := bytes.Clone(key.Payload)
	out := withParameterSets(key, cfg)
	if !codec.AVCHas(out.Payload, 4, codec.NALSPS) || !bytes.HasSuffix(out.Payload, before) || out.DTS != key.DTS || out.CTO != key.CTO {
		t.Errorf("got %d bytes before and %d with parameter sets", len(before), len(out.Payload))
	}
	if !bytes.Equal(key.Payload, before) {
		t.Error("the original packet was changed")
	}
	if again := withParameterSets(out, cfg); again != out {
		t.Error("parameter sets were prepended twice")
	}
	if bare := withParameterSets(key, nil); bare != key {
		t.Error("without configuration the packet was changed")
	}
}
