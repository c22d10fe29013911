package flv

import (
	"errors"
	"testing"
	"time"

	"github.com/holdfast-live/holdfast/packetbuf"
)

func TestIntake(t *testing.T) {
	config := []byte{0x17, 0, 0, 0, 0, 1, 0x64, 0, 0x1f}
	key := join([]byte{0x17, 1, 0, 0, 0}, au([]byte{0x65, 0x88}))
	steps := []struct {
		name    string
		track   packetbuf.Track
		body    []byte
		kind    packetbuf.Kind
		want    bool
		dropped int
	}{
		{"a picture before its configuration", packetbuf.Video, key, 0, false, 0},
		{"nothing", packetbuf.Video, nil, 0, false, 0},
		{"no media", packetbuf.Video, []byte{0x17, 9, 0, 0, 0, 1}, 0, false, 1},
		{"configuration", packetbuf.Video, config, packetbuf.Config, true, 1},
		{"a picture", packetbuf.Video, key, packetbuf.Key, true, 1},
		{"MP3 needs none", packetbuf.Audio, []byte{0x2f, 0xff, 0xfb}, packetbuf.Delta, true, 1},
		{"AAC does", packetbuf.Audio, []byte{0xaf, 1, 0x21}, 0, false, 1},
		{"metadata", packetbuf.Data, []byte("\x02\x00\x0aonMetaData\x05"), packetbuf.Config, true, 1},
	}
	var in Intake
	for _, s := range steps {
		p, err := in.Take(s.track, 4711, s.body)
		if err != nil || (p != nil) != s.want || in.Dropped != s.dropped {
			t.Fatalf("%s: %+v, %v, %d dropped", s.name, p, err, in.Dropped)
		}
		if p != nil && (p.Kind != s.kind || p.DTS != 4711*time.Millisecond) {
			t.Errorf("%s: %+v", s.name, p)
		}
	}
	for name, body := range map[string][]byte{
		"Sorenson": {0x12, 1, 2}, "HEVC": join([]byte{0x1c, 1, 0, 0, 0}, au([]byte{0x26, 1})),
	} {
		var unsupported *UnsupportedError
		if p, err := in.Take(packetbuf.Video, 0, body); p != nil || !errors.As(err, &unsupported) || unsupported.Track != packetbuf.Video {
			t.Errorf("%s: %+v, %v", name, p, err)
		}
	}
}
