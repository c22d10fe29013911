package publisher

import (
	"encoding/binary"
	"testing"
	"time"

	"github.com/holdfast-live/holdfast/ingest/watchdog"
	"github.com/holdfast-live/holdfast/packetbuf"
	"github.com/holdfast-live/holdfast/packetbuf/rtmp"
)

// Tracks without a configuration are named by the codec of their frames.
func TestMetadataOfBareTracks(t *testing.T) {
	s := NewSession(watchdog.Config{}, time.Unix(1000, 0))
	for _, p := range []*packetbuf.Packet{{Track: packetbuf.Video, Codec: packetbuf.VP8}, {Track: packetbuf.Audio, Codec: packetbuf.AC3}} {
		if !s.NoteBare(p) || s.NoteBare(p) {
			t.Errorf("%v: not noted, or twice", p.Codec)
		}
	}
	p := s.StreamMetadata(packetbuf.Configs{}, [packetbuf.NumTracks]bool{packetbuf.Video: true, packetbuf.Audio: true})
	said := ParseMetadata(p.Payload).fields
	for key, want := range map[string]string{"videocodecid": "vp08", "audiocodecid": "ac-3"} {
		i := find(said, key)
		if i < 0 {
			t.Fatalf("no %s", key)
		}
		n, _ := said[i].Value.(rtmp.Number)
		if got := string(binary.BigEndian.AppendUint32(nil, uint32(n))); got != want {
			t.Errorf("%s: got %q, want %q", key, got, want)
		}
	}
}

func TestClockRepairsAreReportedOnce(t *testing.T) {
	var r ClockRepairs
	if got := r.News(packetbuf.Video, 0, 0); got != nil {
		t.Errorf("got %v before the first repair", got)
	}
	got := r.News(packetbuf.Video, 3, 2)
	if len(got) != 2 || got[0].Count != 3 || got[0].Reason != packetbuf.Timestamp || got[1].Count != 2 || got[1].Reason != packetbuf.DecodeOrder {
		t.Errorf("got %v, want 3 timestamps and 2 decode times", got)
	}
	if got := r.News(packetbuf.Audio, 1, 2); len(got) != 1 || got[0].Track != packetbuf.Audio || got[0].Count != 1 {
		t.Errorf("got %v, want a timestamp of audio", got)
	}
	if got := r.News(packetbuf.Video, 4, 2); len(got) != 1 || got[0].Count != 1 {
		t.Errorf("got %v, want one more timestamp", got)
	}
}
