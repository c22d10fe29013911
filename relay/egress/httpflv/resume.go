package httpflv

import (
	"net/http"
	"strconv"
	"time"

	"github.com/holdfast-live/holdfast/packetbuf"
	"github.com/holdfast-live/holdfast/relay/egress"
)

// resume returns the position at which a viewer was cut off, or nil if the query has none. An
// example is resume=TOKEN&from=v12040. A viewer whose position is malformed begins at a keyframe
// instead of being rejected.
func resume(r *http.Request) *egress.Resume {
	q := r.URL.Query()
	if !q.Has("resume") {
		return nil
	}
	track, dts := position(q.Get("from"))
	return &egress.Resume{Token: q.Get("resume"), Track: track, DTS: dts}
}

// position parses "v" or "a" followed by the timestamp of a tag in milliseconds. The returned time
// is negative if the position is malformed.
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
