package flv

import (
	"errors"
	"time"

	"github.com/holdfast-live/holdfast/packetbuf"
)

// Intake makes packets of the bodies that one publisher or origin sends, in their order. Its
// zero value is ready.
type Intake struct {
	// Dropped counts the bodies that were no media.
	Dropped    int
	configured [packetbuf.NumTracks]packetbuf.Codec
}

// Carried tells which codecs the relay takes in.
func Carried(c packetbuf.Codec) bool {
	switch c {
	case packetbuf.H264, packetbuf.AAC, packetbuf.MP3, packetbuf.AMF0:
		return true
	}
	return false
}

// needsConfig tells whether frames of a codec need a configuration first.
func needsConfig(c packetbuf.Codec) bool { return c == packetbuf.H264 || c == packetbuf.AAC }

// Take makes a packet of a body, with its timestamp in milliseconds for DTS. It returns nil
// for what carries nothing, for a body that is no media, which it counts, and for media whose
// configuration has not come: nobody could decode it. The error is an *UnsupportedError.
func (in *Intake) Take(track packetbuf.Track, timestamp uint32, body []byte) (*packetbuf.Packet, error) {
	p, err := Decode(track, body)
	var unsupported *UnsupportedError
	switch {
	case errors.As(err, &unsupported):
		return nil, err
	case err != nil:
		in.Dropped++
		return nil, nil
	case p == nil:
		return nil, nil
	case !Carried(p.Codec):
		return nil, &UnsupportedError{Track: track, Codec: p.Codec.String()}
	}
	if p.Kind == packetbuf.Config {
		in.configured[track] = p.Codec
	} else if needsConfig(p.Codec) && in.configured[track] != p.Codec {
		return nil, nil
	}
	p.DTS = time.Duration(timestamp) * time.Millisecond
	return p, nil
}
