package rtmp

import (
	"context"
	"fmt"

	"github.com/holdfast-live/holdfast/ingest/rtmpconn"
	"github.com/holdfast-live/holdfast/packetbuf"
	"github.com/holdfast-live/holdfast/packetbuf/flv"
	"github.com/holdfast-live/holdfast/relay/egress"
)

// CodecError is returned for a stream with video in a codec that the player has not announced.
type CodecError struct{ Codec packetbuf.Codec }

// Error implements error.
func (e *CodecError) Error() string {
	return fmt.Sprintf("the stream is %s, which the player did not announce", e.Codec)
}

// playError returns e as the error that is sent to the player.
func (e *CodecError) playError() error {
	return &rtmpconn.PlayError{
		Reason: e.Error(),
		Hint:   "play it with one that knows " + e.Codec.String() + " in Enhanced RTMP, by HTTP-FLV or by HLS",
	}
}

// audioCodecs returns the audio codecs that a player can play: those that it has announced or, if
// it has announced none, all that FLV carries except Opus.
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

// announcedVideo wraps r. Its Read returns a *CodecError at the first video in a codec that the
// player has not announced. Audio needs no such check, because its codec is chosen when the player
// joins.
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

// Skips returns the number of skips of the Reader, or 0 if it does not count them.
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
