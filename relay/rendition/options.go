// Package rendition makes lower renditions of a stream while they are wanted. A child process,
// ffmpeg, reads the stream as FLV and writes the rendition as FLV. The rendition is published as
// {app}/{name}~{rendition}, with timestamps on the stream's own clock.
//
// The package also bridges audio: for viewers that cannot play the publisher's audio codec, another
// child process transcodes the audio, which is added to the stream itself; see Bridges.
package rendition

import (
	"context"
	"errors"
	"log/slog"

	"github.com/holdfast-live/holdfast/ingest"
	"github.com/holdfast-live/holdfast/packetbuf"
)

// Rendition is the configuration of a rendition.
type Rendition struct {
	Name   string
	Height int // lines; smaller video is not enlarged
	Bits   int // video bitrate, bit/s
}

// Tap is a subscription to the parent stream. It is not safe for concurrent use.
type Tap interface {
	// Read waits for packets, and may return none. They are valid until the next Read. An error
	// means that the subscription has ended.
	Read(ctx context.Context) ([]*packetbuf.Packet, error)
	Close()
}

// Options configures Renditions.
type Options struct {
	// Access publishes renditions, with Protocol ingest.Transcode.
	Access ingest.Access
	// Tap subscribes to a stream at its newest keyframe. It fails if the stream is not live.
	Tap func(stream string) (Tap, error)
	// Of returns the configured renditions of a stream. They may change with a reload.
	Of func(stream string) []Rendition
	// Audience returns the number of viewers that watch app/name~rendition or wait for it.
	Audience func(full string) int
	// Taken reports whether app/name~rendition is live although no child publishes it. It then belongs
	// to another publisher, and no child is started. If Taken is nil, only Access decides.
	Taken func(full string) bool
	// Max is the maximum number of concurrent children; 0 means that none may run.
	Max int
	// Program is the transcoder. The default is ffmpeg from the PATH.
	Program string
	// Memory limits the address space of a child in bytes, on Linux; 0 means no limit.
	Memory int64
	Log    *slog.Logger // may be nil
}

func (o *Options) normalize() {
	if o.Program == "" {
		o.Program = "ffmpeg"
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
}

// Reasons why a rendition is not made.
var (
	errNoProgram = errors.New("transcode needs ffmpeg: install it or remove transcode from the configuration")
	errLimit     = errors.New("transcode limit (limits.transcodes) reached")
)
