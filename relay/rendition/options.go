// Package rendition makes lower versions of a stream while somebody wants them: a child
// process, ffmpeg, reads the stream as FLV and writes the rendition as FLV, which is published
// beside the stream as {app}/{name}~{rendition}, on the stream's own clock.
//
// It also bridges sound: for viewers who do not take the publisher's codec another child puts it
// into one that they take, which goes back into the stream itself; see Bridges.
package rendition

import (
	"context"
	"errors"
	"log/slog"

	"github.com/holdfast-live/holdfast/ingest"
	"github.com/holdfast-live/holdfast/packetbuf"
)

// Rendition is what is to be made of a stream.
type Rendition struct {
	Name   string
	Height int // lines; a picture that has fewer is not enlarged
	Bits   int // of video, bit/s
}

// Tap is a place on the stream that renditions are made of. One goroutine uses it.
type Tap interface {
	// Read waits for packets, and may return none. They are valid until the next Read. Its
	// error is the end of what can be read from this place.
	Read(ctx context.Context) ([]*packetbuf.Packet, error)
	Close()
}

// Options are what Renditions need.
type Options struct {
	// Access is where renditions are published, with Protocol ingest.Transcode.
	Access ingest.Access
	// Tap gives a place on a stream, at its newest keyframe. Its error says that the stream is
	// not live.
	Tap func(stream string) (Tap, error)
	// Of is what is configured for a stream. It may answer otherwise after a reload.
	Of func(stream string) []Rendition
	// Audience is how many watch, or wait for, app/name~rendition.
	Audience func(full string) int
	// Taken tells whether app/name~rendition is live while no child of ours feeds it: it is
	// left to who publishes it. nil: Access alone tells.
	Taken func(full string) bool
	// Max is how many children there may be at a time; 0: none.
	Max int
	// Program is what the children run. Empty: ffmpeg, from the PATH.
	Program string
	// Memory bounds the address space of a child in bytes, on Linux; 0: no bound.
	Memory int64
	Log    *slog.Logger // nil: nothing is logged
}

func (o *Options) normalize() {
	if o.Program == "" {
		o.Program = "ffmpeg"
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
}

// Why a rendition is not made.
var (
	errNoProgram = errors.New("transcode needs ffmpeg: install it or remove transcode from the configuration")
	errLimit     = errors.New("as many transcodes run as limits.transcodes allows")
)
