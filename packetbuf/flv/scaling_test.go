package flv_test

import (
	"bytes"
	"testing"
	"time"

	"github.com/holdfast-live/holdfast/packetbuf"
	"github.com/holdfast-live/holdfast/packetbuf/flv"
	"github.com/holdfast-live/holdfast/testmedia/scaling"
)

// filled returns a function that appends units to head up to about size bytes.
func filled(head []byte, unit ...byte) func(size int) []byte {
	return func(size int) []byte {
		out := bytes.Clone(head)
		for len(out) < size {
			out = append(out, unit...)
		}
		return out
	}
}

// Bodies with as many tracks, modifiers or parameter sets as fit.
func TestBodyWorkIsLinear(t *testing.T) {
	const video, audio = packetbuf.Video, packetbuf.Audio
	for name, c := range map[string]struct {
		track packetbuf.Track
		body  func(size int) []byte
	}{
		"tracks of video without a byte": {video, filled([]byte{0x96, 0x11, 'a', 'v', 'c', '1'}, 1, 0, 0, 0)},
		"tracks of video of one byte":    {video, filled([]byte{0x96, 0x13, 'a', 'v', 'c', '1'}, 2, 0, 0, 1, 0xff)},
		"tracks of many codecs":          {video, filled([]byte{0x96, 0x23}, 'h', 'v', 'c', '1', 3, 0, 0, 1, 0xff)},
		"tracks of audio":                {audio, filled([]byte{0x95, 0x11, 'O', 'p', 'u', 's'}, 1, 0, 0, 1, 0xff)},
		"modifiers of video":             {video, filled([]byte{0x97}, 0, 0, 0x07)},
		"modifiers of audio":             {audio, filled([]byte{0x97}, 0, 0, 0x07)},
		"an avcC of many sets":           {video, filled([]byte{0x17, 0, 0, 0, 0, 1, 66, 0, 30, 0xff, 0xff}, 0, 1, 0x67)},
		"small NAL units":                {video, filled([]byte{0x17, 1, 0, 0, 0}, 0, 0, 0, 1, 0x65)},
		"empty NAL units":                {video, filled([]byte{0x17, 1, 0, 0, 0}, 0, 0, 0, 0)},
	} {
		t.Run(name, func(t *testing.T) {
			scaling.Linear(t, 1<<12, func(size int) func() {
				body := c.body(size)
				return func() {
					_, _ = flv.Decode(c.track, body)
					_, _ = flv.Others(c.track, body)
					in := flv.Intake{Repairs: packetbuf.RepairCounts{}}
					_, _ = in.Take(time.Time{}, c.track, 0, body)
					in.TakeOthers(time.Time{}, c.track, 0, body)
					in.Flush(time.Time{})
				}
			})
		})
	}
}

func TestReaderWorkIsLinear(t *testing.T) {
	for name, body := range map[string][]byte{"empty tags": nil, "tags of a byte": {0xaf}} {
		t.Run(name, func(t *testing.T) {
			scaling.Linear(t, 1<<12, func(size int) func() {
				in := flv.Header(true, true)
				for len(in) < size {
					var err error
					if in, err = flv.AppendTag(in, flv.TypeAudio, 0, body); err != nil {
						t.Fatal(err)
					}
				}
				return func() {
					r := flv.NewReader(bytes.NewReader(in), 0)
					for {
						if _, err := r.Next(); err != nil {
							return
						}
					}
				}
			})
		})
	}
}
