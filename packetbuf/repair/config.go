package repair

import (
	"bytes"
	"slices"

	"github.com/holdfast-live/holdfast/packetbuf"
	"github.com/holdfast-live/holdfast/packetbuf/codec"
)

// Indices in codec.HEVCSets, which this package also uses for H.264.
const (
	setVPS = iota
	setSPS
	setPPS
)

// Bounds of the parameter sets collected from the media between two keyframes.
const (
	maxSets     = 64
	maxSetBytes = 64 << 10
)

// videoConfig is the decoder configuration of a video track.
type videoConfig struct {
	announced     []byte            // the newest sequence header, as received
	inForce       *packetbuf.Packet // the configuration passed on to decoders; nil for none
	sets          codec.HEVCSets    // the parameter sets in inForce
	nalLengthSize int               // size of NAL unit lengths in the media, in bytes; 0 means 4
	found         []foundSet        // parameter sets in the media since the newest keyframe
	foundBytes    int               // total size of found
	unreadable    bool              // inForce could not be parsed
}

// foundSet is a parameter set found in the media.
type foundSet struct {
	kind, id int
	nal      []byte
}

func (c *videoConfig) lengthSize() int {
	if c.nalLengthSize == 0 {
		return 4
	}
	return c.nalLengthSize
}

// collect records the parameter sets among NAL units of the media.
func (c *videoConfig) collect(cc packetbuf.Codec, units [][]byte) {
	for _, nal := range units {
		kind, id, ok := codec.ParameterSet(cc, nal)
		if !ok {
			continue
		}
		i := slices.IndexFunc(c.found, func(s foundSet) bool { return s.kind == kind && s.id == id })
		switch {
		case i >= 0 && bytes.Equal(c.found[i].nal, nal):
			continue
		case i >= 0:
			c.foundBytes -= len(c.found[i].nal)
			c.found = slices.Delete(c.found, i, i+1)
		}
		if len(c.found) == maxSets || c.foundBytes+len(nal) > maxSetBytes {
			continue
		}
		c.foundBytes += len(nal)
		c.found = append(c.found, foundSet{kind, id, bytes.Clone(nal)})
	}
}

// mergedSets returns the parameter sets in force merged with those found in the media. A PPS found
// replaces the one with the same ID. If any SPS was found, those found replace all SPS in force, because
// the frame refers to one of them; likewise for VPS.
func (c *videoConfig) mergedSets(cc packetbuf.Codec) (sets codec.HEVCSets) {
	var has [3]bool
	for _, f := range c.found {
		has[f.kind] = true
	}
	for kind, list := range c.sets {
		if kind != setPPS && has[kind] {
			continue
		}
		for _, nal := range list {
			_, id, _ := codec.ParameterSet(cc, nal)
			if !slices.ContainsFunc(c.found, func(f foundSet) bool { return f.kind == kind && f.id == id }) {
				sets[kind] = append(sets[kind], nal)
			}
		}
	}
	for _, f := range c.found {
		sets[f.kind] = append(sets[f.kind], f.nal)
	}
	return sets
}

// takeChangedRecord returns a decoder configuration record of the parameter sets in force merged with
// those found in the media. It returns nil if these add nothing new or the record cannot be built. In any
// case it clears the parameter sets found.
func (c *videoConfig) takeChangedRecord(cc packetbuf.Codec) []byte {
	found := c.found
	defer func() { c.found, c.foundBytes = nil, 0 }()
	fresh := slices.ContainsFunc(found, func(f foundSet) bool {
		return !slices.ContainsFunc(c.sets[f.kind], func(nal []byte) bool { return bytes.Equal(nal, f.nal) })
	})
	if !fresh {
		return nil
	}
	sets := c.mergedSets(cc)
	record, err := buildRecord(cc, sets)
	if err != nil {
		return nil
	}
	c.sets = sets
	return record
}

// buildRecord returns the decoder configuration record (avcC or hvcC) for parameter sets.
func buildRecord(cc packetbuf.Codec, sets codec.HEVCSets) ([]byte, error) {
	if cc == packetbuf.HEVC {
		return codec.NewHEVCConfig(sets)
	}
	if len(sets[setPPS]) == 0 {
		return nil, codec.ErrMalformed
	}
	config, err := codec.NewAVCConfig(sets[setSPS], sets[setPPS])
	if err != nil {
		return nil, err
	}
	return config.Append(nil), nil
}

// appendConfigured appends a media packet to dst, preceded by a configuration if the media contains a
// new one. It drops the packet if no configuration is in force, because no decoder could read it.
func (v *Video) appendConfigured(dst []*packetbuf.Packet, p *packetbuf.Packet) []*packetbuf.Packet {
	var record []byte
	switch {
	case v.codec == packetbuf.VP8 || v.codec == packetbuf.VP9:
		return append(dst, p)
	case p.Kind != packetbuf.Key:
	case v.codec == packetbuf.AV1:
		record = v.config.changedAV1Record(p.Payload)
	default:
		record = v.config.takeChangedRecord(v.codec)
	}
	if record != nil {
		switch {
		case v.config.announced == nil:
			v.note(packetbuf.NoConfig)
		case !v.config.unreadable: // BadConfig has been counted already
			v.note(packetbuf.OtherConfig)
		}
		v.config.inForce = &packetbuf.Packet{Track: packetbuf.Video, Codec: v.codec, Kind: packetbuf.Config, Payload: record}
		v.config.unreadable = false
		dst = append(dst, v.config.configAt(p))
	}
	if v.codec == packetbuf.H264 && p.Kind == packetbuf.Delta {
		if frames, ok := codec.AVCRecovery(p.Payload); ok {
			p.Recovery = uint32(frames) + 1 //nolint:gosec // at most 16 bits
		}
	}
	if v.config.inForce == nil {
		if p.Kind == packetbuf.Key {
			v.note(packetbuf.NoParameterSets)
		}
		return dst
	}
	return append(dst, p)
}

// configAt returns a new packet with the configuration in force and the timestamps of p.
func (c *videoConfig) configAt(p *packetbuf.Packet) *packetbuf.Packet {
	return &packetbuf.Packet{
		Track: packetbuf.Video, Codec: c.inForce.Codec, Kind: packetbuf.Config,
		DTS: p.DTS, Arrived: p.Arrived, Payload: c.inForce.Payload,
	}
}

// takeConfig handles a sequence header. If the publisher repeats its sequence header, takeConfig passes
// on the configuration in force instead, which parameter sets in the media may have changed.
func (v *Video) takeConfig(dst []*packetbuf.Packet, p *packetbuf.Packet) []*packetbuf.Packet {
	c := &v.config
	if c.inForce != nil && bytes.Equal(c.announced, p.Payload) {
		return append(dst, c.configAt(p))
	}
	c.announced = p.Payload
	sets, length, record, err := readRecord(v.codec, p.Payload)
	switch {
	case err != nil:
		if sets, record = v.readAnnexBConfig(p.Payload); record == nil {
			return v.takeUnreadableConfig(dst, p)
		}
		v.note(packetbuf.AnnexB)
	case v.codec != packetbuf.AV1 && v.codec != packetbuf.VP8 && v.codec != packetbuf.VP9 && (len(sets[setSPS]) == 0 || len(sets[setPPS]) == 0):
		c.nalLengthSize = length
		return v.takeUnreadableConfig(dst, p)
	}
	c.sets, c.nalLengthSize, c.unreadable, c.found, c.foundBytes = sets, length, false, nil, 0
	for _, list := range sets {
		for _, nal := range list {
			v.sliceReader.AddParameterSet(v.codec, nal)
		}
	}
	p.Payload = record
	c.inForce = p
	return append(dst, p)
}

// takeUnreadableConfig handles a sequence header that cannot be parsed. It drops it if a readable one is
// in force. Otherwise it passes it on, since a decoder may be able to parse it, until the media contains
// a better one.
func (v *Video) takeUnreadableConfig(dst []*packetbuf.Packet, p *packetbuf.Packet) []*packetbuf.Packet {
	v.note(packetbuf.BadConfig)
	if v.config.inForce != nil && !v.config.unreadable {
		return dst
	}
	v.config.inForce, v.config.unreadable = p, true
	return append(dst, p)
}

// readAnnexBConfig reads a sequence header that consists of bare parameter sets with start codes or
// length prefixes. It returns the sets and a record built of them; the record is nil if b is no such
// header.
func (v *Video) readAnnexBConfig(b []byte) (codec.HEVCSets, []byte) {
	if v.codec != packetbuf.H264 && v.codec != packetbuf.HEVC {
		return codec.HEVCSets{}, nil
	}
	var c videoConfig
	units, faults := codec.ReadUnits(nil, v.codec, b, 4)
	if faults&codec.UnitsCut != 0 {
		return codec.HEVCSets{}, nil
	}
	c.collect(v.codec, units)
	sets := c.mergedSets(v.codec)
	record, err := buildRecord(v.codec, sets)
	if err != nil {
		return codec.HEVCSets{}, nil
	}
	return sets, record
}

// readRecord reads a decoder configuration record. It returns the parameter sets, the size of the NAL
// unit length prefixes in the media, and the record changed to prefixes of four bytes.
func readRecord(cc packetbuf.Codec, b []byte) (sets codec.HEVCSets, length int, record []byte, err error) {
	switch cc {
	case packetbuf.H264:
		c, err := codec.ParseAVCConfig(b)
		if err != nil {
			return sets, 0, nil, err
		}
		sets[setSPS], sets[setPPS], length, record = c.SPS, c.PPS, c.LengthSize, b
		if length != 4 {
			c.LengthSize = 4
			record = c.Append(nil)
		}
	case packetbuf.HEVC:
		c, err := codec.ParseHEVCConfig(b)
		if err != nil {
			return sets, 0, nil, err
		}
		au, err := codec.HEVCParameterSets(b)
		if err != nil {
			return sets, 0, nil, err
		}
		_, sets, err = codec.HEVCKind(au)
		if err != nil {
			return sets, 0, nil, err
		}
		if length, record = c.LengthSize, b; length != 4 {
			record = bytes.Clone(b)
			record[21] |= 3
		}
	default:
		return sets, 4, b, nil
	}
	return sets, length, record, nil
}

// changedAV1Record returns an av1C record for the sequence header in a keyframe. It returns nil if that
// sequence header is already in force or the keyframe has none.
func (c *videoConfig) changedAV1Record(unit []byte) []byte {
	header, _, err := codec.AV1SequenceHeader(unit)
	if err != nil || header == nil {
		return nil
	}
	record, err := codec.NewAV1Config(header)
	if err != nil {
		return nil
	}
	const fixed = 4
	if c.inForce != nil {
		had := c.inForce.Payload
		switch {
		case len(had) == fixed && bytes.Equal(had[:fixed-1], record[:fixed-1]): // the same, without a sequence header
			return nil
		case len(had) > fixed && bytes.Contains(had[fixed:], header):
			return nil
		}
	}
	return record
}
