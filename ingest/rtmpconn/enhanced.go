package rtmpconn

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

// Bits of capsEx. The one for timestamps in nanoseconds is not set: they are not read.
const (
	capMultitrack = 2
	capModEx      = 4
)

// canForward is the bit of a codec that is passed on as it is, neither decoded nor encoded.
const canForward = 4

// anyCodec stands for every FourCC.
const anyCodec = "*"

// Codecs are those that a peer says it can do something with, by their FourCCs.
type Codecs struct {
	any   [packetbuf.NumTracks]bool
	known []packetbuf.Codec
}

// Has reports whether a codec of a track is among them. The codecs from before Enhanced RTMP
// always are.
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

// announcedCodecs returns what a peer says of codecs in connect, nil if it says nothing.
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

// announcement is made once: it is part of the answer to each connect that negotiates.
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

// Announcement returns the properties of connect, and of its answer, that say in Enhanced
// RTMP's terms what Holdfast carries. They must not be modified.
func Announcement() wire.Object { return announcement }

func infoMap(fourCCs []string) (m wire.Object) {
	for _, f := range fourCCs {
		m = append(m, wire.Property{Key: f, Value: wire.Number(canForward)})
	}
	return m
}

// negotiated returns the properties of the announcement that a peer has in its connect too.
func negotiated(connect wire.Object) (out []wire.Property) {
	for _, p := range announcement {
		if connect.Find(p.Key) != nil {
			out = append(out, p)
		}
	}
	return out
}
