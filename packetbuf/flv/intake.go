package flv

import (
	"bytes"
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
	configured [packetbuf.NumTracks]*packetbuf.Packet // the newest configuration
	beside     [packetbuf.NumTracks]beside
	others     map[place]packetbuf.Codec // what configured is for track 0
}

// place is a track of a multitrack body.
type place struct {
	track packetbuf.Track
	id    uint8
}

// beside is what was said of track 0 beside its configuration.
type beside struct {
	codec packetbuf.Codec
	said  []byte
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
	if p != nil {
		p.Payload = own(p.Payload, body)
	}
	var unsupported *UnsupportedError
	switch {
	case errors.As(err, &unsupported):
		return nil, err
	case err != nil || p != nil && !readable(p):
		in.Dropped++
		return nil, nil
	case p == nil:
		if p = in.describe(track, body); p == nil {
			return nil, nil
		}
	case p.Kind == packetbuf.Config:
		in.configure(p)
	case needsConfig(p.Codec) && (in.configured[track] == nil || in.configured[track].Codec != p.Codec):
		return nil, nil
	}
	p.DTS = time.Duration(timestamp) * time.Millisecond
	return p, nil
}

// own is part of a body that keeps about itself from being freed, and no more: a copy, where it is
// the lesser part.
func own(part, body []byte) []byte {
	if len(part) >= len(body)/2 {
		return part
	}
	return bytes.Clone(part)
}

// configure notes a configuration, and puts beside it what was said before of the same one, or
// before there was any.
func (in *Intake) configure(p *packetbuf.Packet) {
	was, b := in.configured[p.Track], &in.beside[p.Track]
	if was != nil && !(was.Codec == p.Codec && bytes.Equal(was.Payload, p.Payload)) || b.codec != p.Codec {
		*b = beside{}
	}
	p.Beside = b.said
	in.configured[p.Track] = p
}

// describe takes what is said of a track beside its configuration. It returns the configuration
// once more if that is news, and nil else.
func (in *Intake) describe(track packetbuf.Track, body []byte) *packetbuf.Packet {
	codec, said, err := description(track, body)
	if err != nil {
		in.Dropped++
		return nil
	}
	if said == nil || !describable(codec) {
		return nil
	}
	said = own(said, body)
	in.beside[track] = beside{codec, said}
	was := in.configured[track]
	if was == nil || was.Codec != codec || bytes.Equal(was.Beside, said) {
		return nil
	}
	p := &packetbuf.Packet{Track: track, Codec: codec, Kind: packetbuf.Config, Payload: was.Payload, Beside: said}
	in.configured[track] = p
	return p
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
		p.Payload = own(p.Payload, body)
		p.DTS = time.Duration(timestamp) * time.Millisecond
		taken = append(taken, one)
	}
	return taken
}
