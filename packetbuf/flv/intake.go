package flv

import (
	"errors"
	"time"

	"github.com/holdfast-live/holdfast/packetbuf"
	"github.com/holdfast-live/holdfast/packetbuf/codec"
)

// Intake makes packets of the bodies that one publisher or origin sends, in their order. Its
// zero value is ready.
type Intake struct {
	// Dropped counts the bodies that were no media, and the tracks of multitrack bodies that
	// were none.
	Dropped    int
	configured [packetbuf.NumTracks]packetbuf.Codec
	others     map[place]packetbuf.Codec // what configured is for track 0
}

// place is a track of a multitrack body.
type place struct {
	track packetbuf.Track
	id    uint8
}

// needsConfig tells whether frames of a codec need a configuration first. Those of VP8 and VP9
// say themselves what the decoder has to know.
func needsConfig(c packetbuf.Codec) bool {
	switch c {
	case packetbuf.H264, packetbuf.HEVC, packetbuf.AV1, packetbuf.AAC, packetbuf.Opus, packetbuf.FLAC:
		return true
	}
	return false
}

// readable tells whether a packet is one to pass on, as far as its configuration can be
// understood. That of H.264 and of AAC is left to the decoder, which may know more of it.
func readable(p *packetbuf.Packet) bool {
	if p.Kind != packetbuf.Config || p.Codec == packetbuf.H264 || p.Codec == packetbuf.AAC || p.Codec == packetbuf.AMF0 {
		return true
	}
	_, err := codec.Describe(p)
	return err == nil
}

// Take makes a packet of a body, with its timestamp in milliseconds for DTS. It returns nil
// for what carries nothing, for a body that is no media, which it counts, and for media whose
// configuration has not come: nobody could decode it. The error is an *UnsupportedError.
func (in *Intake) Take(track packetbuf.Track, timestamp uint32, body []byte) (*packetbuf.Packet, error) {
	p, err := Decode(track, body)
	var unsupported *UnsupportedError
	switch {
	case errors.As(err, &unsupported):
		return nil, err
	case err != nil || p != nil && !readable(p):
		in.Dropped++
		return nil, nil
	case p == nil:
		return nil, nil
	}
	if p.Kind == packetbuf.Config {
		in.configured[track] = p.Codec
	} else if needsConfig(p.Codec) && in.configured[track] != p.Codec {
		return nil, nil
	}
	p.DTS = time.Duration(timestamp) * time.Millisecond
	return p, nil
}

// TakeOthers makes packets of the tracks of a body that Take leaves out, as Take does. A track in
// a codec that is not carried is counted with those that are no media.
func (in *Intake) TakeOthers(track packetbuf.Track, timestamp uint32, body []byte) []Numbered {
	all, left := Others(track, body)
	in.Dropped += left
	taken := all[:0]
	for _, one := range all {
		p, at := one.Packet, place{track, one.ID}
		switch {
		case !readable(p):
			in.Dropped++
			continue
		case p.Kind == packetbuf.Config:
			if in.others == nil {
				in.others = map[place]packetbuf.Codec{}
			}
			in.others[at] = p.Codec
		case needsConfig(p.Codec) && in.others[at] != p.Codec:
			continue
		}
		p.DTS = time.Duration(timestamp) * time.Millisecond
		taken = append(taken, one)
	}
	return taken
}
