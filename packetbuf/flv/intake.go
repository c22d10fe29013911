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

// Intake decodes the bodies that one publisher or origin sends, in order, and repairs their faults;
// see package repair. Its zero value is ready to use.
type Intake struct {
	// Repairs counts what was repaired and what was dropped.
	Repairs packetbuf.RepairCounts

	video        *repair.Video
	audio        *repair.Audio
	configured   [packetbuf.NumTracks]*packetbuf.Packet // the newest configuration
	descriptions [packetbuf.NumTracks]trackDescription
	otherVideo   map[trackKey]*repair.Video   // of video tracks other than track 0
	otherConfigs map[trackKey]packetbuf.Codec // as configured, for other tracks that are not repaired
	result       []*packetbuf.Packet          // returned by the last Take
	waiting      []*packetbuf.Packet          // waiting for a frame in assembly that precedes them
	waitingBytes int                          // of their payloads
}

// trackKey identifies a track of a multitrack body.
type trackKey struct {
	track packetbuf.Track
	id    uint8
}

// trackDescription is the additional description of track 0.
type trackDescription struct {
	codec packetbuf.Codec
	body  []byte
}

// needsConfig reports whether frames of a codec need a configuration first. Frames of VP8 and VP9
// contain what the decoder needs to know.
func needsConfig(c packetbuf.Codec) bool {
	switch c {
	case packetbuf.H264, packetbuf.HEVC, packetbuf.AV1, packetbuf.AAC, packetbuf.Opus, packetbuf.FLAC:
		return true
	}
	return false
}

// isReadable reports whether a packet may be passed on: it is not a configuration, or one that can be
// parsed. Package repair checks those of H.264 and AAC, and HEVC parameter sets with start codes.
func isReadable(p *packetbuf.Packet) bool {
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

// Take decodes a body that arrived at now, with its timestamp in milliseconds as the DTS. It returns
// the packets that are then complete, in order. There are none for a body without media, for part of
// a frame, for media that no decoder can read, and for an unreadable body, which it counts. The
// packets are valid until the next call. The error is an *UnsupportedError.
func (in *Intake) Take(now time.Time, track packetbuf.Track, timestamp uint32, body []byte) ([]*packetbuf.Packet, error) {
	p, err := Decode(track, body)
	in.result = in.result[:0]
	var unsupported *UnsupportedError
	switch {
	case errors.As(err, &unsupported):
		return nil, err
	case err != nil || p != nil && !isReadable(p):
		in.Unreadable(track)
		return nil, nil
	case p == nil:
		if p = in.takeDescription(track, body); p != nil {
			p.DTS, p.Arrived = millis(timestamp), now
			in.result = append(in.result, p)
		}
		return in.result, nil
	}
	p.Payload = detach(p.Payload, body)
	p.DTS, p.Arrived = millis(timestamp), now
	switch track {
	case packetbuf.Video:
		if in.video == nil {
			in.video = repair.NewVideo(&in.Repairs)
		}
		held := in.video.Held()
		in.result = in.video.Take(in.result, now, p, headerKind(body[0]))
		in.releaseWaiting(held)
	case packetbuf.Audio:
		if in.audio == nil {
			in.audio = repair.NewAudio(&in.Repairs)
		}
		in.result = in.audio.Take(in.result, p)
		in.holdBack()
	case packetbuf.Data:
		in.result = append(in.result, p)
		in.holdBack()
	}
	in.recordConfigs()
	return in.result, nil
}

// maxWaiting and maxWaitingBytes bound the packets that wait for a frame in assembly, and their
// payloads.
const (
	maxWaiting      = 256
	maxWaitingBytes = 1 << 20
)

// holdBack holds packets back while a frame in assembly precedes them: a stream begins with its
// first keyframe, and audio that overtook it would be lost.
func (in *Intake) holdBack() {
	if in.video == nil || in.video.Held() == nil {
		return
	}
	for _, p := range in.result {
		in.waitingBytes += len(p.Payload)
	}
	in.waiting = append(in.waiting, in.result...)
	in.result = in.result[:0]
	if len(in.waiting) > maxWaiting || in.waitingBytes > maxWaitingBytes {
		held := in.video.Held()
		in.result = in.video.Flush(in.result)
		in.releaseWaiting(held)
	}
}

// releaseWaiting inserts the packets that waited for the frame held after it in the result of Take, once
// the frame is part of it or has been dropped.
func (in *Intake) releaseWaiting(held *packetbuf.Packet) {
	if len(in.waiting) == 0 || in.video.Held() == held {
		return
	}
	in.result = slices.Insert(in.result, 1+slices.Index(in.result, held), in.waiting...)
	clear(in.waiting)
	in.waiting, in.waitingBytes = in.waiting[:0], 0
}

// recordConfigs records the configurations in the result of Take.
func (in *Intake) recordConfigs() {
	for _, p := range in.result {
		if p.Kind == packetbuf.Config {
			in.recordConfig(p)
		}
	}
}

func millis(timestamp uint32) time.Duration { return time.Duration(timestamp) * time.Millisecond }

// Unreadable counts a body of a track that could not be decoded.
func (in *Intake) Unreadable(track packetbuf.Track) { in.Repairs.Note(track, packetbuf.Unreadable) }

// Due returns when Flush must be called unless more media arrives first; zero if nothing is held.
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
	for _, v := range in.otherVideo {
		consider(v)
	}
	return due
}

// Flush returns the packets whose wait is over at now, for Take in own and for TakeOthers in others.
// With a zero time, at the end of a session, it returns all packets.
func (in *Intake) Flush(now time.Time) (own []*packetbuf.Packet, others []Numbered) {
	over := func(v *repair.Video) bool {
		due := v.Due()
		return !due.IsZero() && (now.IsZero() || !now.Before(due))
	}
	in.result = in.result[:0]
	if in.video != nil && over(in.video) {
		held := in.video.Held()
		in.result = in.video.Flush(in.result)
		in.releaseWaiting(held)
		in.recordConfigs()
	}
	for at, v := range in.otherVideo {
		if over(v) {
			others = appendNumbered(others, at.id, v.Flush(nil))
		}
	}
	return in.result, others
}

func appendNumbered(dst []Numbered, id uint8, packets []*packetbuf.Packet) []Numbered {
	for _, p := range packets {
		dst = append(dst, Numbered{id, p})
	}
	return dst
}

// detach returns part, which aliases body, without keeping a much larger body in memory: if part is less
// than half of body, it returns a copy.
func detach(part, body []byte) []byte {
	if len(part) >= len(body)/2 {
		return part
	}
	return bytes.Clone(part)
}

// recordConfig records a configuration. It sets Beside to the description that arrived before, if that
// was for the same configuration or the first.
func (in *Intake) recordConfig(p *packetbuf.Packet) {
	was, b := in.configured[p.Track], &in.descriptions[p.Track]
	if was != nil && !(was.Codec == p.Codec && bytes.Equal(was.Payload, p.Payload)) || b.codec != p.Codec {
		*b = trackDescription{}
	}
	p.Beside = b.body
	in.configured[p.Track] = p
}

// takeDescription reads an additional description. If it is new, describe returns the configuration again
// with it, else nil.
func (in *Intake) takeDescription(track packetbuf.Track, body []byte) *packetbuf.Packet {
	codec, said, err := parseDescription(track, body)
	if err != nil {
		in.Unreadable(track)
		return nil
	}
	if said == nil || !canDescribe(codec) {
		return nil
	}
	said = detach(said, body)
	in.descriptions[track] = trackDescription{codec, said}
	was := in.configured[track]
	if was == nil || was.Codec != codec || bytes.Equal(was.Beside, said) {
		return nil
	}
	p := &packetbuf.Packet{Track: track, Codec: codec, Kind: packetbuf.Config, Payload: was.Payload, Beside: said}
	in.configured[track] = p
	return p
}

// TakeOthers decodes the tracks of a body that Take omits, as Take does. A track with an unsupported
// codec counts as unreadable.
func (in *Intake) TakeOthers(now time.Time, track packetbuf.Track, timestamp uint32, body []byte) []Numbered {
	all, left := Others(track, body)
	for range left {
		in.Unreadable(track)
	}
	var taken []Numbered
	for _, one := range all {
		p, at := one.Packet, trackKey{track, one.ID}
		if !isReadable(p) {
			in.Unreadable(track)
			continue
		}
		p.Payload = detach(p.Payload, body)
		p.DTS, p.Arrived = millis(timestamp), now
		if v := in.otherRepairer(at); v != nil {
			taken = appendNumbered(taken, one.ID, v.Take(nil, now, p, headerKind(body[0])))
		} else if in.otherConfigured(at, p) {
			taken = append(taken, one)
		}
	}
	return taken
}

// maxRepaired bounds the additional video tracks that are repaired, because each may hold a frame.
// Further tracks pass unrepaired.
const maxRepaired = 8

// otherRepairer returns the repairer of an additional track; nil for a track that passes unrepaired.
func (in *Intake) otherRepairer(at trackKey) *repair.Video {
	v := in.otherVideo[at]
	if v == nil && at.track == packetbuf.Video && len(in.otherVideo) < maxRepaired {
		if in.otherVideo == nil {
			in.otherVideo = map[trackKey]*repair.Video{}
		}
		v = repair.NewVideo(&in.Repairs)
		in.otherVideo[at] = v
	}
	return v
}

// otherConfigured reports whether p, of an additional track that is not repaired, can be decoded.
func (in *Intake) otherConfigured(at trackKey, p *packetbuf.Packet) bool {
	if p.Kind == packetbuf.Config {
		if in.otherConfigs == nil {
			in.otherConfigs = map[trackKey]packetbuf.Codec{}
		}
		in.otherConfigs[at] = p.Codec
	}
	return !needsConfig(p.Codec) || in.otherConfigs[at] == p.Codec
}
