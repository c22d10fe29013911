package rtmp

import (
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
	codecs      *Codecs
	enhanced    []wire.Property // Enhanced RTMP's part of our answer
}

// maxAgent is how many bytes of flashVer are kept.
const maxAgent = 256

func parseConnect(cmd wire.Command) client {
	o := wire.Properties(cmd.Arg(0))
	text := func(key string) string {
		s, _ := o.Find(key).(wire.String)
		return string(s)
	}
	return client{
		transaction: cmd.Transaction,
		app:         text("app"),
		tcURL:       text("tcUrl"),
		agent:       printable(text("flashVer")),
		codecs:      announced(o),
		enhanced:    enhanced(o),
	}
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
