package rtmp

import (
	"slices"

	"github.com/holdfast-live/holdfast/packetbuf"
	"github.com/holdfast-live/holdfast/packetbuf/flv"
	wire "github.com/holdfast-live/holdfast/packetbuf/rtmp"
)

// The properties of connect in which Enhanced RTMP v2 negotiates ("Enhancing NetConnection
// connect Command").
const (
	capsEx         = "capsEx"
	fourCCList     = "fourCcList"
	videoFourCCMap = "videoFourCcInfoMap"
	audioFourCCMap = "audioFourCcInfoMap"
)

// Bits of capsEx. That we read nanoseconds is not said: our clock has none.
const (
	capMultitrack = 2
	capModEx      = 4
)

// forwards is the bit of a codec that is passed on as it is, neither decoded nor encoded.
const forwards = 4

// anyCodec stands for every FourCC.
const anyCodec = "*"

// Codecs are those that a peer says it can do something with, by their FourCCs.
type Codecs struct {
	any   [packetbuf.NumTracks]bool
	known []packetbuf.Codec
}

// Has tells whether a codec of a track is among them. What there was before Enhanced RTMP always
// is.
func (c *Codecs) Has(t packetbuf.Track, one packetbuf.Codec) bool {
	switch one {
	case packetbuf.H264, packetbuf.AAC, packetbuf.MP3, packetbuf.AMF0:
		return true
	}
	return c.any[t] || slices.Contains(c.known, one)
}

func (c *Codecs) add(fourCC string, tracks ...packetbuf.Track) {
	if fourCC == anyCodec {
		for _, t := range tracks {
			c.any[t] = true
		}
		return
	}
	if one := flv.CodecOf(fourCC); one != packetbuf.NoCodec && !slices.Contains(c.known, one) {
		c.known = append(c.known, one)
	}
}

// announced is what a peer says in connect; nil where it says nothing of codecs.
func announced(o wire.Object) *Codecs {
	var c Codecs
	list, said := o.Find(fourCCList).(wire.StrictArray)
	for _, v := range list {
		s, _ := v.(wire.String)
		c.add(string(s), packetbuf.Video, packetbuf.Audio)
	}
	for key, track := range map[string]packetbuf.Track{videoFourCCMap: packetbuf.Video, audioFourCCMap: packetbuf.Audio} {
		v := o.Find(key)
		said = said || v != nil
		for _, p := range wire.Properties(v) {
			if bits, ok := p.Value.(wire.Number); ok && bits > 0 {
				c.add(p.Key, track)
			}
		}
	}
	if !said {
		return nil
	}
	return &c
}

// enhanced answers in kind what a peer asks in connect, with what we carry.
func enhanced(o wire.Object) (out []wire.Property) {
	if o.Find(capsEx) != nil {
		out = append(out, wire.Property{Key: capsEx, Value: wire.Number(capMultitrack | capModEx)})
	}
	if o.Find(fourCCList) != nil {
		var list wire.StrictArray
		for _, f := range slices.Concat(flv.FourCCs(packetbuf.Video), flv.FourCCs(packetbuf.Audio)) {
			list = append(list, wire.String(f))
		}
		out = append(out, wire.Property{Key: fourCCList, Value: list})
	}
	for _, m := range []struct {
		key   string
		track packetbuf.Track
	}{{videoFourCCMap, packetbuf.Video}, {audioFourCCMap, packetbuf.Audio}} {
		if o.Find(m.key) != nil {
			out = append(out, wire.Property{Key: m.key, Value: infoMap(flv.FourCCs(m.track))})
		}
	}
	return out
}

func infoMap(fourCCs []string) (m wire.Object) {
	for _, f := range fourCCs {
		m = append(m, wire.Property{Key: f, Value: wire.Number(forwards)})
	}
	return m
}
