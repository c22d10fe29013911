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

// Intake decodes the tag or message bodies that one publisher or origin sends, in order, and repairs
// their faults; see package repair. Its zero value is ready to use.
type Intake struct {
	// Repairs counts what was repaired and what was dropped.
	Repairs packetbuf.RepairCounts

	video        *repair.Video
	audio        *repair.Audio
	configured   [packetbuf.NumTracks]*packetbuf.Packet // the newest configuration
	descriptions [packetbuf.NumTracks]trackDescription
	otherVideo   map[trackKey]*repair.Video   // of video tracks other than track 0
	otherConfigs map[trackKey]packetbuf.Codec // codecs configured for other tracks that are not repaired
	result       []*packetbuf.Packet          // returned by the last Take
	waiting      []*packetbuf.Packet          // packets held while an earlier frame is being reassembled
	waitingBytes int                          // total size of their payloads
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

// needsConfig reports whether a decoder needs a configuration before the frames of a codec. Frames of
// VP8, VP9 and the remaining audio codecs contain what the decoder needs.
func needsConfig(c packetbuf.Codec) bool {
	switch c {
	case packetbuf.H264, packetbuf.HEVC, packetbuf.AV1, packetbuf.AAC, packetbuf.Opus, packetbuf.FLAC:
		return true
	}
	return false
}

// isReadable reports whether a packet may be passed on. A configuration may be passed on only if it can
// be parsed. Those of H.264 and AAC, and of HEVC with start codes, are left to package repair.
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

// Take decodes a body that arrived at time now with a timestamp in milliseconds, which becomes the DTS.
// It returns the packets that are now complete, in order. It returns none for a body without media, for
// part of a frame and for media that no decoder can read. An unreadable body is only counted. The
// returned slice is valid until the next call. The error, if any, is an *UnsupportedError.
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

// maxWaiting and maxWaitingBytes bound the number and the total payload size of the packets held while
// an earlier frame is being reassembled.
const (
	maxWaiting      = 256
	maxWaitingBytes = 1 << 20
)

// holdBack holds the result of Take back while an earlier video frame is being reassembled. A stream
// begins with its first keyframe, so audio that overtook that keyframe would be lost.
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

// releaseWaiting adds the packets held back to the result of Take, once the frame that they waited for,
// held, is part of the result or was dropped. It inserts them right after the frame.
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

// Due returns the time at which Flush must be called unless more media arrives first. It returns the
// zero Time if nothing is held.
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

// Flush returns the packets whose wait has ended by the time now: in own those that Take would return,
// in others those that TakeOthers would. At the end of a session it must be called with the zero Time
// and returns all packets held.
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

// detach returns part, which aliases body, or a copy if part is less than half of body. The copy avoids
// keeping a much larger body in memory.
func detach(part, body []byte) []byte {
	if len(part) >= len(body)/2 {
		return part
	}
	return bytes.Clone(part)
}

// recordConfig records a configuration. If an additional description has arrived for the same
// configuration, or before the first one, it sets the packet's Beside to it.
func (in *Intake) recordConfig(p *packetbuf.Packet) {
	was, b := in.configured[p.Track], &in.descriptions[p.Track]
	if was != nil && !(was.Codec == p.Codec && bytes.Equal(was.Payload, p.Payload)) || b.codec != p.Codec {
		*b = trackDescription{}
	}
	p.Beside = b.body
	in.configured[p.Track] = p
}

// takeDescription reads an additional description. If it is new and a configuration is in force, it
// returns that configuration again, with the description. Otherwise it returns nil.
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

// TakeOthers is like Take for the tracks that Take omits: those of a multitrack body other than track 0.
// A track with an unsupported codec counts as unreadable.
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

// maxRepaired bounds the number of additional video tracks that are repaired, because each may hold a
// frame in memory. Further tracks pass unrepaired.
const maxRepaired = 8

// otherRepairer returns the repairer of an additional track, or nil if the track passes unrepaired.
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

// otherConfigured reports whether p, a packet of an additional track that is not repaired, can be decoded
// with the configuration received so far. It records p if it is a configuration.
func (in *Intake) otherConfigured(at trackKey, p *packetbuf.Packet) bool {
	if p.Kind == packetbuf.Config {
		if in.otherConfigs == nil {
			in.otherConfigs = map[trackKey]packetbuf.Codec{}
		}
		in.otherConfigs[at] = p.Codec
	}
	return !needsConfig(p.Codec) || in.otherConfigs[at] == p.Codec
}
