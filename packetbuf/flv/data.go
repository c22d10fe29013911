package flv

import (
	"encoding/binary"

	"github.com/holdfast-live/holdfast/packetbuf"
)

const (
	setDataFrame = "@setDataFrame"
	onMetaData   = "onMetaData"
)

// AMF0 markers of the two string types and of null.
const (
	amfString     = 2
	amfNull       = 5
	amfLongString = 12
)

// decodeData returns a packet of AMF0 values, the first of which is the message's name. It removes a
// leading "@setDataFrame", which is a publisher's instruction to the server and not part of the data.
func decodeData(body []byte) (*packetbuf.Packet, error) {
	if isPadding(body) {
		return nil, nil
	}
	name, rest, err := readAMFName(body)
	if err != nil {
		return nil, err
	}
	if name == setDataFrame {
		body = rest
		if len(body) == 0 {
			return nil, nil
		}
		if name, _, err = readAMFName(body); err != nil {
			return nil, err
		}
	}
	p := &packetbuf.Packet{
		Track: packetbuf.Data, Codec: packetbuf.AMF0, Kind: packetbuf.Delta, Payload: body,
	}
	if name == onMetaData {
		p.Kind = packetbuf.Config
	}
	return p, nil
}

// readAMFName reads the AMF0 string at the start of b.
func readAMFName(b []byte) (name string, rest []byte, err error) {
	var n, at uint64
	switch {
	case len(b) >= 3 && b[0] == amfString:
		n, at = uint64(binary.BigEndian.Uint16(b[1:])), 3
	case len(b) >= 5 && b[0] == amfLongString:
		n, at = uint64(binary.BigEndian.Uint32(b[1:])), 5
	default:
		return "", nil, malformed("data message without a name")
	}
	if at+n > uint64(len(b)) {
		return "", nil, malformed("data message: name of %d bytes, %d left", n, uint64(len(b))-at)
	}
	return string(b[at : at+n]), b[at+n:], nil
}
