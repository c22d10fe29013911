// Package rtmpconn serves one RTMP connection, and holds what the client's side shares with
// it: the handshake, the announcement of codecs and the options of sockets.
//
// One goroutine reads a connection from the handshake to its end: bounded chunks become
// messages, and each message is answered before the next is read. What a peer publishes or
// plays is handed on to the owner of the connection.
package rtmpconn

import (
	"context"
	"log/slog"
	"time"

	"github.com/holdfast-live/holdfast/ingest"
	"github.com/holdfast-live/holdfast/packetbuf/budget"
	wire "github.com/holdfast-live/holdfast/packetbuf/rtmp"
)

// Options are what connections have in common. They must not change while a connection is
// served.
type Options struct {
	// OnPublish decides about a publish command and returns the Publisher that takes its media.
	// The request has s for its Session. An *ingest.Refusal is told to the peer; of any other
	// error it only learns that there is one. ctx ends with the connection. Required.
	OnPublish func(ctx context.Context, r ingest.Request, s *Session) (Publisher, error)
	// OnPlay serves a player in a goroutine of its own until the stream or ctx ends; ctx ends
	// when the player leaves. A *ingest.Refusal or a *PlayError is told to the player, and nil
	// says that the stream has ended. Nil refuses every play.
	OnPlay func(ctx context.Context, r PlayRequest, p *Player) error
	Log    *slog.Logger // nil: nothing is logged

	Protocol string // of requests: ingest.RTMP or ingest.RTMPS
	// Limits bound what a publisher may send once it has been admitted. The limits before are
	// fixed and smaller. The zero value stands for wire.DefaultLimits.
	Limits wire.Limits

	HandshakeTimeout time.Duration // from accept to the publish or play command [5s]
	WriteTimeout     time.Duration // how long a write may block [10s]
	UserTimeout      time.Duration // how long sent bytes may stay unacknowledged by TCP [20s]
	Linger           time.Duration // how long a peer is given to read the last messages [1s]

	// Heartbeat returns the time between pings to a peer that publishes or plays a stream,
	// where it is fixed; 0, as without it: adapted to the line.
	Heartbeat func(app, name string) time.Duration
	// Reassembly accounts for the bytes of incomplete messages. Nil: they are not counted.
	Reassembly *budget.Account
	// Refused is called for a refusal that OnPublish and OnPlay do not see. It may be nil.
	Refused func(ingest.Outcome)
}

// WithDefaults returns the options with what is not set replaced by its default.
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

// initialLimits hold until a publish has been admitted, and for players.
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
