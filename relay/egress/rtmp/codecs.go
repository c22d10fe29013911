package rtmp

import (
	"context"
	"fmt"

	"github.com/holdfast-live/holdfast/ingest/rtmpconn"
	"github.com/holdfast-live/holdfast/packetbuf"
	"github.com/holdfast-live/holdfast/packetbuf/flv"
	"github.com/holdfast-live/holdfast/relay/egress"
)

// CodecError says that the video of a stream is in a codec that the player has not announced.
type CodecError struct{ Codec packetbuf.Codec }

// Error implements error.
func (e *CodecError) Error() string {
	return fmt.Sprintf("the stream is %s, which the player did not announce", e.Codec)
}

// playError is what the player is told of e.
func (e *CodecError) playError() error {
	return &rtmpconn.PlayError{
		Reason: e.Error(),
		Hint:   "play it with one that knows " + e.Codec.String() + " in Enhanced RTMP, by HTTP-FLV or by HLS",
	}
}

// audioCodecs returns the codecs of audio that a player plays: those that it has announced, or
// all that FLV carries but Opus.
func audioCodecs(r rtmpconn.PlayRequest) (codecs []packetbuf.Codec) {
	if r.Codecs == nil {
		return flv.AudioCodecs()
	}
	for _, c := range append(flv.AudioCodecs(), packetbuf.Opus) {
		if r.Codecs.Has(packetbuf.Audio, c) {
			codecs = append(codecs, c)
		}
	}
	return codecs
}

// announcedVideo returns r, whose Read returns a *CodecError at the first video that the
// player has not announced. The codec of audio is chosen at the join.
func announcedVideo(r egress.Reader, codecs *rtmpconn.Codecs) egress.Reader {
	if codecs == nil {
		return r
	}
	return &videoFilter{r, func(c packetbuf.Codec) bool { return codecs.Has(packetbuf.Video, c) }}
}

type videoFilter struct {
	egress.Reader
	plays func(packetbuf.Codec) bool
}

// Skips returns how often the Reader has skipped; 0 if it does not count.
func (f *videoFilter) Skips() uint64 {
	if skips, ok := egress.Skips(f.Reader); ok {
		return skips()
	}
	return 0
}

// Read implements egress.Reader.
func (f *videoFilter) Read(ctx context.Context) ([]*packetbuf.Packet, error) {
	packets, err := f.Reader.Read(ctx)
	for _, p := range packets {
		if p.Track == packetbuf.Video && !f.plays(p.Codec) {
			return nil, &CodecError{p.Codec}
		}
	}
	return packets, err
}
