// Package rtmpconn serves RTMP connections. It also holds what RTMP clients share with the server:
// the handshake, the announcement of codecs, and socket options.
//
// One goroutine reads a connection from its handshake to its end. It assembles messages from
// chunks, within limits, and answers each message before it reads the next. The owner of the
// connection handles publishing and playing; see Options.OnPublish and Options.OnPlay.
package rtmpconn

import (
	"context"
	"log/slog"
	"time"

	"github.com/holdfast-live/holdfast/ingest"
	"github.com/holdfast-live/holdfast/packetbuf/budget"
	wire "github.com/holdfast-live/holdfast/packetbuf/rtmp"
)

// Options configure connections. They must not change while a connection is served.
type Options struct {
	// OnPublish handles a publish command. It returns the Publisher that receives the media, or an
	// error that refuses the command. The Session of r is s. The peer is told the reason if the
	// error is an *ingest.Refusal; otherwise only that the command failed. ctx is done when the
	// connection ends. OnPublish is required.
	OnPublish func(ctx context.Context, r ingest.Request, s *Session) (Publisher, error)
	// OnPlay serves a player until the stream ends or ctx is done. It is called in a new goroutine.
	// ctx is done when the player leaves. The player is told the reason if the error is an
	// *ingest.Refusal or a *PlayError. A nil error means that the stream has ended. If OnPlay
	// itself is nil, all players are refused.
	OnPlay func(ctx context.Context, r PlayRequest, p *Player) error
	Log    *slog.Logger // nil disables logging

	Protocol string // Protocol of requests: ingest.RTMP or ingest.RTMPS
	// Limits apply to the messages of a publisher that has been admitted. Before that, smaller
	// fixed limits apply. The zero value means wire.DefaultLimits.
	Limits wire.Limits

	HandshakeTimeout time.Duration // from accept to the publish or play command [5s]
	WriteTimeout     time.Duration // how long a write may block [10s]
	UserTimeout      time.Duration // how long sent bytes may stay unacknowledged by TCP [20s]
	Linger           time.Duration // how long a peer may take to read the last messages [1s]

	// Heartbeat returns a fixed interval between pings to a peer that publishes or plays a stream.
	// 0 adapts the interval to the connection. If Heartbeat is nil, all intervals are adapted.
	Heartbeat func(app, name string) time.Duration
	// Reassembly counts the bytes of incomplete messages. It may be nil.
	Reassembly *budget.Account
	// Refused is called for refusals that do not come from OnPublish or OnPlay. It may be nil.
	Refused func(ingest.Outcome)
}

// WithDefaults returns the options with defaults for all fields that are not set.
func (o Options) WithDefaults() Options {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Protocol == "" {
		o.Protocol = ingest.RTMP
	}
	if o.Limits == (wire.Limits{}) {
		o.Limits = wire.DefaultLimits()
	}
	if o.Heartbeat == nil {
		o.Heartbeat = func(string, string) time.Duration { return 0 }
	}
	if o.Refused == nil {
		o.Refused = func(ingest.Outcome) {}
	}
	for _, d := range []struct {
		value *time.Duration
		def   time.Duration
	}{
		{&o.HandshakeTimeout, 5 * time.Second},
		{&o.WriteTimeout, 10 * time.Second},
		{&o.UserTimeout, 20 * time.Second},
		{&o.Linger, time.Second},
	} {
		if *d.value <= 0 {
			*d.value = d.def
		}
	}
	return o
}

// initialLimits returns the limits for players, and for publishers that have not been admitted.
func initialLimits() wire.Limits {
	return wire.Limits{
		ChunkStreams:   32,
		MessageStreams: 8,
		Media:          64 << 10,
		Data:           64 << 10,
		Command:        64 << 10,
		Buffered:       128 << 10,
	}
}
