package httpflv

import (
	"net/http"
	"strconv"
	"time"

	"github.com/holdfast-live/holdfast/packetbuf"
	"github.com/holdfast-live/holdfast/relay/egress"
)

// resume is where a viewer says that it was cut off, by resume=TOKEN and from=v12040; nil if it
// says nothing of that. From what cannot be read it begins at a keyframe: that plays, where a
// refusal would not.
func resume(r *http.Request) *egress.Resume {
	q := r.URL.Query()
	if !q.Has("resume") {
		return nil
	}
	track, dts := position(q.Get("from"))
	return &egress.Resume{Token: q.Get("resume"), Track: track, DTS: dts}
}

// position reads v or a and the timestamp of a tag; a negative time is none.
func position(from string) (packetbuf.Track, time.Duration) {
	tracks := map[byte]packetbuf.Track{'v': packetbuf.Video, 'a': packetbuf.Audio}
	if from == "" {
		return packetbuf.Video, -1
	}
	track, known := tracks[from[0]]
	ms, err := strconv.ParseUint(from[1:], 10, 32)
	if !known || err != nil {
		return packetbuf.Video, -1
	}
	return track, time.Duration(ms) * time.Millisecond //nolint:gosec // 32 bits
}
