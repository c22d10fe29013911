package rtmpconn

import (
	"slices"
	"testing"

	"github.com/holdfast-live/holdfast/packetbuf"
	wire "github.com/holdfast-live/holdfast/packetbuf/rtmp"
)

func TestAnnouncedCodecs(t *testing.T) {
	list := func(names ...string) wire.Property {
		var a wire.StrictArray
		for _, n := range names {
			a = append(a, wire.String(n))
		}
		return wire.Property{Key: "fourCcList", Value: a}
	}
	info := func(key string, bits float64, names ...string) wire.Property {
		var o wire.Object
		for _, n := range names {
			o = append(o, wire.Property{Key: n, Value: wire.Number(bits)})
		}
		return wire.Property{Key: key, Value: o}
	}
	for name, c := range map[string]struct {
		o    wire.Object
		said bool
		has  []packetbuf.Codec
	}{
		"nothing":          {wire.Object{{Key: "capsEx", Value: wire.Number(4)}}, false, nil},
		"a list":           {wire.Object{list("hvc1", "Opus", "x", "zzzz")}, true, []packetbuf.Codec{packetbuf.HEVC, packetbuf.Opus}},
		"an empty list":    {wire.Object{list()}, true, nil},
		"all":              {wire.Object{list("*")}, true, []packetbuf.Codec{packetbuf.HEVC, packetbuf.AV1, packetbuf.VP8, packetbuf.VP9, packetbuf.Opus, packetbuf.FLAC, packetbuf.AC3, packetbuf.EAC3}},
		"a map":            {wire.Object{info("videoFourCcInfoMap", 1, "av01"), info("audioFourCcInfoMap", 4, "fLaC")}, true, []packetbuf.Codec{packetbuf.AV1, packetbuf.FLAC}},
		"no bits":          {wire.Object{info("videoFourCcInfoMap", 0, "av01", "*")}, true, nil},
		"all sound":        {wire.Object{info("audioFourCcInfoMap", 1, "*")}, true, []packetbuf.Codec{packetbuf.Opus, packetbuf.FLAC, packetbuf.AC3, packetbuf.EAC3}},
		"of another kind":  {wire.Object{{Key: "fourCcList", Value: wire.String("hvc1")}}, false, nil},
		"a map of nothing": {wire.Object{{Key: "videoFourCcInfoMap", Value: wire.Number(3)}}, true, nil},
	} {
		got := announcedCodecs(c.o)
		if (got != nil) != c.said {
			t.Errorf("%s: %+v", name, got)
		}
		if got == nil {
			continue
		}
		for one := packetbuf.H264; one < packetbuf.AMF0; one++ {
			track := packetbuf.Audio
			if one < packetbuf.AAC {
				track = packetbuf.Video
			}
			legacy := one == packetbuf.H264 || one == packetbuf.AAC || one == packetbuf.MP3
			if want := legacy || slices.Contains(c.has, one); got.Has(track, one) != want {
				t.Errorf("%s: %s is %v", name, one, !want)
			}
		}
	}
}
