package rtmpconn

import (
	"slices"

	"github.com/holdfast-live/holdfast/packetbuf"
	"github.com/holdfast-live/holdfast/packetbuf/flv"
	wire "github.com/holdfast-live/holdfast/packetbuf/rtmp"
)

// Properties of connect by which Enhanced RTMP v2 negotiates ("Enhancing NetConnection connect
// Command").
const (
	capsEx         = "capsEx"
	fourCCList     = "fourCcList"
	videoFourCCMap = "videoFourCcInfoMap"
	audioFourCCMap = "audioFourCcInfoMap"
)

// Bits of capsEx. The bit for timestamps in nanoseconds is not set, because the relay does not read
// them.
const (
	capMultitrack = 2
	capModEx      = 4
)

// canForward is the bit for a codec that is forwarded without being decoded or encoded.
const canForward = 4

// anyCodec stands for every FourCC.
const anyCodec = "*"

// Codecs holds the codecs that a peer has announced, by their FourCCs.
type Codecs struct {
	any   [packetbuf.NumTracks]bool
	known []packetbuf.Codec
}

// Has reports whether the peer supports a codec of a track. Codecs that RTMP has without Enhanced
// RTMP are always supported.
func (c *Codecs) Has(t packetbuf.Track, codec packetbuf.Codec) bool {
	switch codec {
	case packetbuf.H264, packetbuf.AAC, packetbuf.MP3, packetbuf.AMF0:
		return true
	}
	return c.any[t] || slices.Contains(c.known, codec)
}

func (c *Codecs) add(fourCC string, tracks ...packetbuf.Track) {
	if fourCC == anyCodec {
		for _, t := range tracks {
			c.any[t] = true
		}
		return
	}
	if codec := flv.CodecOf(fourCC); codec != packetbuf.NoCodec && !slices.Contains(c.known, codec) {
		c.known = append(c.known, codec)
	}
}

// announcedCodecs returns the codecs that a peer announces in connect, or nil if it announces none.
func announcedCodecs(connect wire.Object) *Codecs {
	var c Codecs
	list, said := connect.Find(fourCCList).(wire.StrictArray)
	for _, v := range list {
		s, _ := v.(wire.String)
		c.add(string(s), packetbuf.Video, packetbuf.Audio)
	}
	for key, track := range map[string]packetbuf.Track{videoFourCCMap: packetbuf.Video, audioFourCCMap: packetbuf.Audio} {
		v := connect.Find(key)
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

// announcement holds the properties of Announcement. They are built once, because the answer to
// each connect that negotiates contains them.
var announcement = func() wire.Object {
	var list wire.StrictArray
	for _, f := range slices.Concat(flv.FourCCs(packetbuf.Video), flv.FourCCs(packetbuf.Audio)) {
		list = append(list, wire.String(f))
	}
	return wire.Object{
		{Key: capsEx, Value: wire.Number(capMultitrack | capModEx)},
		{Key: fourCCList, Value: list},
		{Key: videoFourCCMap, Value: infoMap(flv.FourCCs(packetbuf.Video))},
		{Key: audioFourCCMap, Value: infoMap(flv.FourCCs(packetbuf.Audio))},
	}
}()

// Announcement returns the properties of Enhanced RTMP by which Holdfast announces the codecs that
// it supports, in connect and in the answer to connect. They must not be modified.
func Announcement() wire.Object { return announcement }

func infoMap(fourCCs []string) (m wire.Object) {
	for _, f := range fourCCs {
		m = append(m, wire.Property{Key: f, Value: wire.Number(canForward)})
	}
	return m
}

// negotiated returns the properties of the announcement that a peer's connect has too.
func negotiated(connect wire.Object) (out []wire.Property) {
	for _, p := range announcement {
		if connect.Find(p.Key) != nil {
			out = append(out, p)
		}
	}
	return out
}
