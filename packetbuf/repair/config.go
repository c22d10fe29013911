package repair

import (
	"bytes"
	"slices"

	"github.com/holdfast-live/holdfast/packetbuf"
	"github.com/holdfast-live/holdfast/packetbuf/codec"
)

// The places of parameter sets in codec.HEVCSets, which H.264's use too.
const (
	setVPS = iota
	setSPS
	setPPS
)

// Bounds of the parameter sets that are kept from the media between two keyframes.
const (
	maxSets     = 64
	maxSetBytes = 64 << 10
)

// videoConfig is the decoder configuration of a track of video.
type videoConfig struct {
	announced []byte            // the newest sequence header, as it came
	inForce   *packetbuf.Packet // what decoders were given; nil: nothing so far
	sets      codec.HEVCSets    // the parameter sets in it
	length    int               // bytes of length before each NAL unit in the media; 0: 4
	found     []foundSet        // in the media, since the newest keyframe
	bytes     int               // of found
	bad       bool              // inForce says nothing that could be read
}

// foundSet is a parameter set that came in the media.
type foundSet struct {
	kind, id int
	nal      []byte
}

func (c *videoConfig) lengthSize() int {
	if c.length == 0 {
		return 4
	}
	return c.length
}

// collect notes the parameter sets among units of the media.
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
			c.bytes -= len(c.found[i].nal)
			c.found = slices.Delete(c.found, i, i+1)
		}
		if len(c.found) == maxSets || c.bytes+len(nal) > maxSetBytes {
			continue
		}
		c.bytes += len(nal)
		c.found = append(c.found, foundSet{kind, id, bytes.Clone(nal)})
	}
}

// merged returns the parameter sets in force with those that were found in the media in their
// places. Where SPS were found, those alone stay: the picture refers to one of them.
func (c *videoConfig) merged(cc packetbuf.Codec) (sets codec.HEVCSets) {
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

// renewed returns the record that the parameter sets in the media make with those in force, and
// forgets the former; nil where it would be the same as before, or cannot be made.
func (c *videoConfig) renewed(cc packetbuf.Codec) []byte {
	found := c.found
	defer func() { c.found, c.bytes = nil, 0 }()
	fresh := slices.ContainsFunc(found, func(f foundSet) bool {
		return !slices.ContainsFunc(c.sets[f.kind], func(nal []byte) bool { return bytes.Equal(nal, f.nal) })
	})
	if !fresh {
		return nil
	}
	sets := c.merged(cc)
	record, err := buildRecord(cc, sets)
	if err != nil {
		return nil
	}
	c.sets = sets
	return record
}

// buildRecord makes an avcC or hvcC.
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

// configured passes on a packet of the media, and in front of it the configuration that it
// brings. It leaves out what no decoder can read.
func (v *Video) configured(dst []*packetbuf.Packet, p *packetbuf.Packet) []*packetbuf.Packet {
	var record []byte
	switch {
	case v.codec == packetbuf.VP8 || v.codec == packetbuf.VP9:
		return append(dst, p)
	case p.Kind != packetbuf.Key:
	case v.codec == packetbuf.AV1:
		record = v.config.renewedAV1(p.Payload)
	default:
		record = v.config.renewed(v.codec)
	}
	if record != nil {
		switch {
		case v.config.announced == nil:
			v.note(packetbuf.NoConfig)
		case !v.config.bad: // that has been counted
			v.note(packetbuf.OtherConfig)
		}
		v.config.inForce = &packetbuf.Packet{Track: packetbuf.Video, Codec: v.codec, Kind: packetbuf.Config, Payload: record}
		v.config.bad = false
		dst = append(dst, v.config.again(p))
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

// again returns the configuration in force as a packet at the time of p.
func (c *videoConfig) again(p *packetbuf.Packet) *packetbuf.Packet {
	return &packetbuf.Packet{
		Track: packetbuf.Video, Codec: c.inForce.Codec, Kind: packetbuf.Config,
		DTS: p.DTS, Arrived: p.Arrived, Payload: c.inForce.Payload,
	}
}

// configure takes a sequence header. One that is repeated stands for the configuration in force,
// which the media may have brought meanwhile.
func (v *Video) configure(dst []*packetbuf.Packet, p *packetbuf.Packet) []*packetbuf.Packet {
	c := &v.config
	if c.inForce != nil && bytes.Equal(c.announced, p.Payload) {
		return append(dst, c.again(p))
	}
	c.announced = p.Payload
	sets, length, record, err := readRecord(v.codec, p.Payload)
	switch {
	case err != nil:
		if sets, record = v.annexB(p.Payload); record == nil {
			return v.unusable(dst, p)
		}
		v.note(packetbuf.AnnexB)
	case v.codec != packetbuf.AV1 && v.codec != packetbuf.VP8 && v.codec != packetbuf.VP9 && (len(sets[setSPS]) == 0 || len(sets[setPPS]) == 0):
		c.length = length
		return v.unusable(dst, p)
	}
	c.sets, c.length, c.bad, c.found, c.bytes = sets, length, false, nil, 0
	for _, list := range sets {
		for _, nal := range list {
			v.pictures.AddParameterSet(v.codec, nal)
		}
	}
	p.Payload = record
	c.inForce = p
	return append(dst, p)
}

// unusable passes on a sequence header that says nothing, unless another is in force: a decoder
// may know more of it, and the media may bring a better one.
func (v *Video) unusable(dst []*packetbuf.Packet, p *packetbuf.Packet) []*packetbuf.Packet {
	v.note(packetbuf.BadConfig)
	if v.config.inForce != nil && !v.config.bad {
		return dst
	}
	v.config.inForce, v.config.bad = p, true
	return append(dst, p)
}

// annexB reads a sequence header that is parameter sets with start codes or lengths in front; the
// record is nil where it is not.
func (v *Video) annexB(b []byte) (codec.HEVCSets, []byte) {
	if v.codec != packetbuf.H264 && v.codec != packetbuf.HEVC {
		return codec.HEVCSets{}, nil
	}
	var c videoConfig
	units, faults := codec.ReadUnits(nil, v.codec, b, 4)
	if faults&codec.UnitsCut != 0 {
		return codec.HEVCSets{}, nil
	}
	c.collect(v.codec, units)
	sets := c.merged(v.codec)
	record, err := buildRecord(v.codec, sets)
	if err != nil {
		return codec.HEVCSets{}, nil
	}
	return sets, record
}

// readRecord reads a decoder configuration record: its parameter sets, the length of lengths in
// the media, and the record as it is for lengths of four bytes.
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

// renewedAV1 returns the av1C of a keyframe's sequence header where that is another than the one
// in force; nil where it is not, or there is none.
func (c *videoConfig) renewedAV1(unit []byte) []byte {
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
		case len(had) == fixed && bytes.Equal(had[:fixed-1], record[:fixed-1]): // it holds no header, and says the same
			return nil
		case len(had) > fixed && bytes.Contains(had[fixed:], header):
			return nil
		}
	}
	return record
}
