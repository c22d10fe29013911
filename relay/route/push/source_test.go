package push

import (
	"bytes"
	"testing"
	"time"

	"github.com/holdfast-live/holdfast/packetbuf"
	"github.com/holdfast-live/holdfast/packetbuf/codec"
	"github.com/holdfast-live/holdfast/testmedia/gen"
)

// TestSourceTakesOver has pictures with B-frames before another source's keyframe: none that
// would be shown as late goes out, nor one that may refer to such a one.
func TestSourceTakesOver(t *testing.T) {
	s := &source{start: 1080 * time.Millisecond, shown: 1080 * time.Millisecond}
	for _, p := range []struct {
		dts, pts time.Duration // ms
		over     bool
	}{{920, 1040, false}, {960, 960, false}, {1000, 1160, true}, {1040, 1000, true}, {1080, 1080, true}} {
		picture := &packetbuf.Packet{
			Track: packetbuf.Video, Kind: packetbuf.Delta, DTS: p.dts * time.Millisecond, CTO: (p.pts - p.dts) * time.Millisecond,
		}
		if over := s.takesOver(picture); over != p.over {
			t.Errorf("DTS %d, PTS %d: %v", p.dts, p.pts, over)
		}
	}
}

// TestWithParameterSets puts them in front once, and changes nothing that others have too.
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
		t.Errorf("%d bytes became %d", len(before), len(out.Payload))
	}
	if !bytes.Equal(key.Payload, before) {
		t.Error("the stream's own packet was changed")
	}
	if again := withParameterSets(out, cfg); again != out {
		t.Error("they came twice")
	}
	if bare := withParameterSets(key, nil); bare != key {
		t.Error("without configuration something was put in front")
	}
}
