package flv

import (
	"bytes"
	"errors"
	"slices"
	"time"

	"github.com/holdfast-live/holdfast/packetbuf"
	"github.com/holdfast-live/holdfast/packetbuf/codec"
	"github.com/holdfast-live/holdfast/packetbuf/repair"
)

// Intake makes packets of the bodies that one publisher or origin sends, in their order. It repairs
// what they get wrong; see package repair. Its zero value is ready.
type Intake struct {
	// Repairs counts what was repaired and what was left out.
	Repairs packetbuf.RepairCounts

	video       *repair.Video
	audio       *repair.Audio
	configured  [packetbuf.NumTracks]*packetbuf.Packet // the newest configuration
	beside      [packetbuf.NumTracks]beside
	others      map[place]*repair.Video   // of video
	configs     map[place]packetbuf.Codec // what configured is for track 0, of those not repaired
	out         []*packetbuf.Packet       // what Take returned last
	behind      []*packetbuf.Packet       // what waits behind a picture in assembly
	behindBytes int                       // of its payloads
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

// needsConfig reports whether frames of a codec need a configuration first. Those of VP8 and VP9
// say themselves what the decoder has to know.
func needsConfig(c packetbuf.Codec) bool {
	switch c {
	case packetbuf.H264, packetbuf.HEVC, packetbuf.AV1, packetbuf.AAC, packetbuf.Opus, packetbuf.FLAC:
		return true
	}
	return false
}

// readable reports whether a packet is one to pass on, as far as its configuration can be
// understood. Those of H.264 and AAC, and parameter sets of HEVC with start codes, are left to
// package repair.
func readable(p *packetbuf.Packet) bool {
	switch {
	case p.Kind != packetbuf.Config:
		return true
	case p.Codec == packetbuf.H264 || p.Codec == packetbuf.AAC || p.Codec == packetbuf.AMF0,
		p.Codec == packetbuf.HEVC && codec.IsAnnexB(p.Payload):
		return true
	}
	_, err := codec.Describe(p)
	return err == nil
}

// Take takes a body that arrived at now, with its timestamp in milliseconds for DTS, and returns
// the packets that are whole now, in order: none for what carries nothing, for a body that is no
// media, which it counts, for media that no decoder can read, and for a part of a picture. They
// are valid until the next call. The error is an *UnsupportedError.
func (in *Intake) Take(now time.Time, track packetbuf.Track, timestamp uint32, body []byte) ([]*packetbuf.Packet, error) {
	p, err := Decode(track, body)
	in.out = in.out[:0]
	var unsupported *UnsupportedError
	switch {
	case errors.As(err, &unsupported):
		return nil, err
	case err != nil || p != nil && !readable(p):
		in.Unreadable(track)
		return nil, nil
	case p == nil:
		if p = in.describe(track, body); p != nil {
			p.DTS, p.Arrived = millis(timestamp), now
			in.out = append(in.out, p)
		}
		return in.out, nil
	}
	p.Payload = own(p.Payload, body)
	p.DTS, p.Arrived = millis(timestamp), now
	switch track {
	case packetbuf.Video:
		if in.video == nil {
			in.video = repair.NewVideo(&in.Repairs)
		}
		held := in.video.Held()
		in.out = in.video.Take(in.out, now, p, saidKind(body[0]))
		in.release(held)
	case packetbuf.Audio:
		if in.audio == nil {
			in.audio = repair.NewAudio(&in.Repairs)
		}
		in.out = in.audio.Take(in.out, p)
		in.keepBack()
	case packetbuf.Data:
		in.out = append(in.out, p)
		in.keepBack()
	}
	in.configureAll()
	return in.out, nil
}

// maxBehind and maxBehindBytes bound the packets that wait behind a picture in assembly, and their
// payloads.
const (
	maxBehind      = 256
	maxBehindBytes = 1 << 20
)

// keepBack has the packets wait that come behind a picture in assembly: a stream begins with its
// first keyframe, and audio that overtook it would be lost.
func (in *Intake) keepBack() {
	if in.video == nil || in.video.Held() == nil {
		return
	}
	for _, p := range in.out {
		in.behindBytes += len(p.Payload)
	}
	in.behind = append(in.behind, in.out...)
	in.out = in.out[:0]
	if len(in.behind) > maxBehind || in.behindBytes > maxBehindBytes {
		held := in.video.Held()
		in.out = in.video.Flush(in.out)
		in.release(held)
	}
}

// release puts what waited behind a picture at its place in what Take returns, once that is among
// it or has been left out.
func (in *Intake) release(held *packetbuf.Packet) {
	if len(in.behind) == 0 || in.video.Held() == held {
		return
	}
	in.out = slices.Insert(in.out, 1+slices.Index(in.out, held), in.behind...)
	clear(in.behind)
	in.behind, in.behindBytes = in.behind[:0], 0
}

// configureAll notes the configurations among the packets that Take returns.
func (in *Intake) configureAll() {
	for _, p := range in.out {
		if p.Kind == packetbuf.Config {
			in.configure(p)
		}
	}
}

func millis(timestamp uint32) time.Duration { return time.Duration(timestamp) * time.Millisecond }

// Unreadable counts a body of a track that is no media.
func (in *Intake) Unreadable(track packetbuf.Track) { in.Repairs.Note(track, packetbuf.Unreadable) }

// Due returns when Flush has something to pass on, unless more comes before; zero if it has not.
func (in *Intake) Due() (due time.Time) {
	consider := func(v *repair.Video) {
		if v == nil {
			return
		}
		if at := v.Due(); due.IsZero() || !at.IsZero() && at.Before(due) {
			due = at
		}
	}
	consider(in.video)
	for _, v := range in.others {
		consider(v)
	}
	return due
}

// Flush returns the packets that are not waited for any longer at now, those of Take and those of
// TakeOthers; with a zero time all that there are, at the end of a session.
func (in *Intake) Flush(now time.Time) (own []*packetbuf.Packet, others []Numbered) {
	over := func(v *repair.Video) bool {
		due := v.Due()
		return !due.IsZero() && (now.IsZero() || !now.Before(due))
	}
	in.out = in.out[:0]
	if in.video != nil && over(in.video) {
		held := in.video.Held()
		in.out = in.video.Flush(in.out)
		in.release(held)
		in.configureAll()
	}
	for at, v := range in.others {
		if over(v) {
			others = appendNumbered(others, at.id, v.Flush(nil))
		}
	}
	return in.out, others
}

func appendNumbered(dst []Numbered, id uint8, packets []*packetbuf.Packet) []Numbered {
	for _, p := range packets {
		dst = append(dst, Numbered{id, p})
	}
	return dst
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
		in.Unreadable(track)
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

// TakeOthers takes the tracks of a body that Take leaves out, as Take does. A track in a codec that
// is not carried is counted with those that are no media.
func (in *Intake) TakeOthers(now time.Time, track packetbuf.Track, timestamp uint32, body []byte) []Numbered {
	all, left := Others(track, body)
	for range left {
		in.Unreadable(track)
	}
	var taken []Numbered
	for _, one := range all {
		p, at := one.Packet, place{track, one.ID}
		if !readable(p) {
			in.Unreadable(track)
			continue
		}
		p.Payload = own(p.Payload, body)
		p.DTS, p.Arrived = millis(timestamp), now
		if v := in.other(at); v != nil {
			taken = appendNumbered(taken, one.ID, v.Take(nil, now, p, saidKind(body[0])))
		} else if in.otherConfigured(at, p) {
			taken = append(taken, one)
		}
	}
	return taken
}

// maxRepaired bounds the further tracks of video that are repaired: each may hold a picture. More
// pass as they are.
const maxRepaired = 8

// other returns what repairs a further track; nil for one that passes as it is.
func (in *Intake) other(at place) *repair.Video {
	v := in.others[at]
	if v == nil && at.track == packetbuf.Video && len(in.others) < maxRepaired {
		if in.others == nil {
			in.others = map[place]*repair.Video{}
		}
		v = repair.NewVideo(&in.Repairs)
		in.others[at] = v
	}
	return v
}

// otherConfigured reports whether p, of a further track that is not repaired, can be decoded.
func (in *Intake) otherConfigured(at place, p *packetbuf.Packet) bool {
	if p.Kind == packetbuf.Config {
		if in.configs == nil {
			in.configs = map[place]packetbuf.Codec{}
		}
		in.configs[at] = p.Codec
	}
	return !needsConfig(p.Codec) || in.configs[at] == p.Codec
}
