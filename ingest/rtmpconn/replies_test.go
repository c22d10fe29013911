package rtmpconn

import (
	"bytes"
	"testing"

	wire "github.com/holdfast-live/holdfast/packetbuf/rtmp"
)

// What go-rtmp's message package encodes are the bytes that clients have always got.
func TestRepliesAreStable(t *testing.T) {
	result := func(transaction float64, args ...wire.Value) []byte {
		h := wire.Header{ChunkStream: 3, Type: wire.TypeCommandAMF0}
		return wire.AppendMessage(nil, h, 4096, wire.AppendCommand(nil, wire.Command{Name: "_result", Transaction: transaction, Args: args}))
	}
	caps := wire.Property{Key: "capsEx", Value: wire.Number(6)}
	accepted := wire.AppendWindowAckSize(nil, 2_500_000)
	accepted = wire.AppendSetPeerBandwidth(accepted, 2_500_000, wire.LimitDynamic)
	accepted = wire.AppendSetChunkSize(accepted, 4096)
	accepted = wire.AppendUserControl(accepted, wire.EventStreamBegin, 0)
	properties := wire.Object{
		{Key: "fmsVer", Value: wire.String("FMS/3,0,1,123")},
		{Key: "capabilities", Value: wire.Number(31)},
		{Key: "mode", Value: wire.Number(1)},
		caps,
	}
	information := wire.Object{
		{Key: "level", Value: wire.String("status")},
		{Key: "code", Value: wire.String("NetConnection.Connect.Success")},
		{Key: "description", Value: wire.String("Connection succeeded.")},
		{Key: "objectEncoding", Value: wire.Number(0)},
		caps,
	}
	accepted = append(accepted, result(1, properties, information)...)
	p := parseConnect(wire.Command{Transaction: 1, Args: []wire.Value{wire.Object{{Key: "capsEx", Value: wire.Number(15)}}}})
	for name, c := range map[string]struct{ got, want []byte }{
		"connect":                      {p.accept(), accepted},
		"createStream":                 {createStreamResult(wire.Command{Transaction: 4}, 1), result(4, wire.Null{}, wire.Number(1))},
		"createStream, no transaction": {createStreamResult(wire.Command{}, 2), result(0, wire.Null{}, wire.Number(2))},
		"createStream, a bad one":      {createStreamResult(wire.Command{Transaction: -1e300}, 3), result(0, wire.Null{}, wire.Number(3))},
	} {
		if !bytes.Equal(c.got, c.want) {
			t.Errorf("%s: got\n%x, want\n%x", name, c.got, c.want)
		}
	}
}
