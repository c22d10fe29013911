package rtmp

import (
	"slices"
	"strings"
	"unicode"

	wire "github.com/holdfast-live/holdfast/packetbuf/rtmp"
)

// client is what a peer said of itself in connect.
type client struct {
	transaction float64
	app         string
	tcURL       string
	agent       string
	opus        bool
	enhanced    []wire.Property // Enhanced RTMP's part of our answer
}

// maxAgent is how many bytes of flashVer are kept.
const maxAgent = 256

// fourCCs of the codecs that are carried; see flv.Carried.
var videoFourCCs, audioFourCCs = []string{"avc1"}, []string{"mp4a", ".mp3"}

// forwards is the bit of a codec that is passed on as it is, neither decoded nor encoded.
const forwards = 4

func parseConnect(cmd wire.Command) client {
	o := wire.Properties(cmd.Arg(0))
	text := func(key string) string {
		s, _ := o.Find(key).(wire.String)
		return string(s)
	}
	c := client{
		transaction: cmd.Transaction,
		app:         text("app"),
		tcURL:       text("tcUrl"),
		agent:       printable(text("flashVer")),
		opus:        takesOpus(o),
	}
	// What the peer knows of Enhanced RTMP is answered in kind, with what we carry.
	if o.Find("capsEx") != nil {
		c.enhanced = append(c.enhanced, wire.Property{Key: "capsEx", Value: wire.Number(0)})
	}
	if o.Find("fourCcList") != nil {
		var list wire.StrictArray
		for _, f := range slices.Concat(videoFourCCs, audioFourCCs) {
			list = append(list, wire.String(f))
		}
		c.enhanced = append(c.enhanced, wire.Property{Key: "fourCcList", Value: list})
	}
	if o.Find("videoFourCcInfoMap") != nil {
		c.enhanced = append(c.enhanced, wire.Property{Key: "videoFourCcInfoMap", Value: infoMap(videoFourCCs)})
	}
	if o.Find("audioFourCcInfoMap") != nil {
		c.enhanced = append(c.enhanced, wire.Property{Key: "audioFourCcInfoMap", Value: infoMap(audioFourCCs)})
	}
	return c
}

func infoMap(fourCCs []string) (m wire.Object) {
	for _, f := range fourCCs {
		m = append(m, wire.Property{Key: f, Value: wire.Number(forwards)})
	}
	return m
}

// takesOpus tells whether a player says that it can do something with Opus.
func takesOpus(o wire.Object) bool {
	if list, ok := o.Find("fourCcList").(wire.StrictArray); ok {
		for _, v := range list {
			if v == wire.String("Opus") || v == wire.String("*") {
				return true
			}
		}
	}
	info := wire.Properties(o.Find("audioFourCcInfoMap"))
	for _, key := range []string{"Opus", "*"} {
		if n, ok := info.Find(key).(wire.Number); ok && n > 0 {
			return true
		}
	}
	return false
}

// printable bounds what a peer says of itself before it gets into a log.
func printable(s string) string {
	s = s[:min(len(s), maxAgent)]
	return strings.Map(func(r rune) rune {
		if r == unicode.ReplacementChar || !unicode.IsPrint(r) {
			return -1
		}
		return r
	}, s)
}

// window is the acknowledgement window and the bandwidth that we announce.
const window = 2_500_000

// reply is all that answers a connect: what holds for the connection, then the result.
func (c *client) reply() []byte {
	b := wire.AppendWindowAckSize(nil, window)
	b = wire.AppendSetPeerBandwidth(b, window, wire.LimitDynamic)
	b = wire.AppendSetChunkSize(b, chunkSize)
	b = wire.AppendUserControl(b, wire.EventStreamBegin, 0)
	properties := wire.Object{
		{Key: "fmsVer", Value: wire.String("FMS/3,0,1,123")}, // what clients know
		{Key: "capabilities", Value: wire.Number(31)},
		{Key: "mode", Value: wire.Number(1)},
	}
	information := wire.Object{
		{Key: "level", Value: wire.String("status")},
		{Key: "code", Value: wire.String("NetConnection.Connect.Success")},
		{Key: "description", Value: wire.String("Connection succeeded.")},
		{Key: "objectEncoding", Value: wire.Number(0)},
	}
	// Clients differ in which of the two objects they look for Enhanced RTMP's part.
	return append(b, command(0, wire.Command{
		Name: "_result", Transaction: c.transaction,
		Args: []wire.Value{append(properties, c.enhanced...), append(information, c.enhanced...)},
	})...)
}

// reject answers a connect that is refused. The properties come as null: with an object
// there, ffmpeg does not show the description.
func (c *client) reject(description string) []byte {
	return append(wire.AppendSetChunkSize(nil, chunkSize), command(0, wire.Command{
		Name: "_error", Transaction: c.transaction,
		Args: []wire.Value{wire.Null{}, wire.Object{
			{Key: "level", Value: wire.String("error")},
			{Key: "code", Value: wire.String("NetConnection.Connect.Rejected")},
			{Key: "description", Value: wire.String(description)},
		}},
	})...)
}
