package repair_test

import (
	"bytes"
	"encoding/binary"
	"testing"

	"github.com/holdfast-live/holdfast/packetbuf"
	"github.com/holdfast-live/holdfast/packetbuf/codec"
)

// packing turns a frame, or the configuration, into the messages of an encoder.
type packing func(t *testing.T, p *packetbuf.Packet) []message

// unitPerMessage sends each NAL unit in a message.
func unitPerMessage(t *testing.T, p *packetbuf.Packet) (out []message) {
	if p.Kind == packetbuf.Config {
		return []message{{packet: p}}
	}
	for _, nal := range nalUnits(t, p) {
		out = append(out, message{packet: withPayload(p, codec.AppendNAL(nil, nal))})
	}
	return out
}

// setsInBand sends no sequence header but the parameter sets before each keyframe.
func setsInBand(sets []byte) packing {
	return func(_ *testing.T, p *packetbuf.Packet) []message {
		switch p.Kind {
		case packetbuf.Config:
			return nil
		case packetbuf.Key:
			return []message{{packet: withPayload(p, append(bytes.Clone(sets), p.Payload...))}}
		}
		return []message{{packet: p}}
	}
}

// lengths sends NAL unit lengths of n bytes.
func lengths(n int) packing {
	return func(t *testing.T, p *packetbuf.Packet) []message {
		if p.Kind == packetbuf.Config {
			record := bytes.Clone(p.Payload)
			record[4] = 0xfc | byte(n-1)
			return []message{{packet: withPayload(p, record)}}
		}
		var au []byte
		for _, nal := range nalUnits(t, p) {
			var size [4]byte
			binary.BigEndian.PutUint32(size[:], uint32(len(nal)))
			au = append(append(au, size[4-n:]...), nal...)
		}
		return []message{{packet: withPayload(p, au)}}
	}
}

// startCodes sends Annex B, also as the sequence header.
func startCodes(t *testing.T, p *packetbuf.Packet) []message {
	from := p
	if p.Kind == packetbuf.Config {
		from = withPayload(p, parameterSets(t, p))
	}
	var stream []byte
	for _, nal := range nalUnits(t, from) {
		stream = append(append(stream, 0, 0, 0, 1), nal...)
	}
	return []message{{packet: withPayload(p, stream)}}
}

// underOneLength puts the NAL units of a frame under one length, with start codes between them.
func underOneLength(t *testing.T, p *packetbuf.Packet) []message {
	if p.Kind == packetbuf.Config {
		return []message{{packet: p}}
	}
	return []message{{packet: withPayload(p, codec.AppendNAL(nil, bytes.Join(nalUnits(t, p), []byte{0, 0, 0, 1})))}}
}

// lengthThenCodes gives the first NAL unit a length and the others start codes.
func lengthThenCodes(t *testing.T, p *packetbuf.Packet) []message {
	if p.Kind == packetbuf.Config {
		return []message{{packet: p}}
	}
	all := nalUnits(t, p)
	au := codec.AppendNAL(nil, all[0])
	for _, nal := range all[1:] {
		au = append(append(au, 0, 0, 1), nal...)
	}
	return []message{{packet: withPayload(p, au)}}
}

// emptyUnits puts empty NAL units around each.
func emptyUnits(t *testing.T, p *packetbuf.Packet) []message {
	if p.Kind == packetbuf.Config {
		return []message{{packet: p}}
	}
	au := codec.AppendNAL(nil, nil)
	for _, nal := range nalUnits(t, p) {
		au = codec.AppendNAL(codec.AppendNAL(au, nal), nil)
	}
	return []message{{packet: withPayload(p, au)}}
}

// emptyRecord sends a sequence header without parameter sets, and parameter sets before keyframes.
func emptyRecord(sets []byte) packing {
	inBand := setsInBand(sets)
	return func(t *testing.T, p *packetbuf.Packet) []message {
		if p.Kind == packetbuf.Config {
			return []message{{packet: withPayload(p, []byte{1, p.Payload[1], p.Payload[2], p.Payload[3], 0xff, 0xe0, 0})}}
		}
		return inBand(t, p)
	}
}

// filler sends a delimiter before each frame and filler after it, in messages of their own.
func filler(t *testing.T, p *packetbuf.Packet) []message {
	if p.Kind == packetbuf.Config {
		return []message{{packet: p}}
	}
	before := withPayload(p, codec.AppendNAL(nil, []byte{codec.NALDelimiter, 0xf0}))
	behind := withPayload(p, codec.AppendNAL(nil, []byte{codec.NALFiller, 0xff, 0xff, 0x80}))
	return append(append([]message{{packet: before}}, unitPerMessage(t, p)...), message{packet: behind})
}

// However an encoder packs its frames, the result is what a correct encoder sends: each frame once,
// complete, with its own timestamps, after a configuration that decodes it.
func TestPackings(t *testing.T) {
	one := encodeH264(t, "320x256", "60", "bframes=2:slices=1")
	four := encodeH264(t, "320x256", "60", "bframes=2:slices=4")
	small := encodeH264(t, "320x256", "60", "bframes=0:slice-max-size=700")
	wide := encodeHEVC(t, "slices=4")
	for name, c := range map[string]struct {
		source []*packetbuf.Packet
		pack   packing
		reason string // the repair that is counted; empty for none
	}{
		"H.264, as it should be":          {one, nil, ""},
		"H.264, four slices, as it ought": {four, nil, ""},
		"H.264, a slice a message":        {four, unitPerMessage, "split_frame"},
		"H.264, slices by size":           {small, unitPerMessage, "split_frame"},
		"H.264, SEI in a message alone":   {one, unitPerMessage, ""},
		"H.264, delimiters and filler":    {four, filler, "split_frame"},
		"H.264, no sequence header":       {one, setsInBand(parameterSets(t, one[0])), "no_config"},
		"H.264, an empty sequence header": {one, emptyRecord(parameterSets(t, one[0])), "bad_config"},
		"H.264, sets in band as well":     {one, withConfig(setsInBand(parameterSets(t, one[0]))), ""},
		"H.264, start codes":              {four, startCodes, "annex_b"},
		"H.264, under one length":         {four, underOneLength, "start_code"},
		"H.264, a length, then codes":     {four, lengthThenCodes, "annex_b"},
		"H.264, empty units":              {four, emptyUnits, "empty_unit"},
		"H.264, lengths of two bytes":     {four, lengths(2), ""},
		"HEVC, as it should be":           {wide, nil, ""},
		"HEVC, a slice a message":         {wide, unitPerMessage, "split_frame"},
		"HEVC, no sequence header":        {wide, setsInBand(parameterSets(t, wide[0])), "no_config"},
		"HEVC, start codes":               {wide, startCodes, "annex_b"},
		"HEVC, under one length":          {wide, underOneLength, "start_code"},
	} {
		t.Run(name, func(t *testing.T) {
			var messages []message
			for _, p := range c.source {
				if c.pack == nil {
					messages = append(messages, message{packet: p})
				} else {
					messages = append(messages, c.pack(t, p)...)
				}
			}
			got, repairs := takeAll(t, messages)
			if c.reason == "" && len(repairs) > 0 || c.reason != "" && repairs[c.reason] == 0 {
				t.Errorf("got repairs %v, want %q", repairs, c.reason)
			}
			checkFrames(t, got, c.source)
		})
	}
}

// withConfig makes a packing send the sequence header as well.
func withConfig(pack packing) packing {
	return func(t *testing.T, p *packetbuf.Packet) []message {
		if p.Kind == packetbuf.Config {
			return []message{{packet: p}}
		}
		return pack(t, p)
	}
}

// checkFrames compares frames, except for NAL units other than slices, and their configurations.
func checkFrames(t *testing.T, got, want []*packetbuf.Packet) {
	t.Helper()
	var config *packetbuf.Packet
	n := 0
	want, record := want[1:], want[0]
	for _, p := range got {
		if p.Kind == packetbuf.Config {
			config = p
			continue
		}
		if n == len(want) {
			t.Fatalf("got more than %d frames", n)
		}
		w := want[n]
		if p.DTS != w.DTS || p.CTO != w.CTO || p.Kind != w.Kind {
			t.Fatalf("frame %d: got %s at %v + %v, want %s at %v + %v", n, p.Kind, p.DTS, p.CTO, w.Kind, w.DTS, w.CTO)
		}
		if !bytes.Equal(slicesOf(t, p), slicesOf(t, w)) {
			t.Fatalf("frame %d: got %d bytes, want %d", n, len(p.Payload), len(w.Payload))
		}
		if config == nil || !bytes.Equal(parameterSets(t, config), parameterSets(t, record)) {
			t.Fatalf("frame %d: got the configuration %v, want %v", n, config, record)
		}
		n++
	}
	if n != len(want) {
		t.Errorf("got %d frames, want %d", n, len(want))
	}
}

func slicesOf(t *testing.T, p *packetbuf.Packet) (all []byte) {
	t.Helper()
	for _, nal := range nalUnits(t, p) {
		if codec.RoleOf(p.Codec, nal) == codec.SliceUnit {
			all = codec.AppendNAL(all, nal)
		}
	}
	return all
}
