// Package rtmp receives publishers and players over RTMP and RTMPS. Publishers become
// sessions of package ingest; players are handed on.
//
// The protocol's state machine is go-rtmp's, behind a gate: no byte of a peer reaches
// it but the handshake and commands that were decoded within bounds and written anew.
// Chunks, media, pings, acknowledgements and deadlines are the gate's own.
package rtmp

import (
	"errors"
	"log/slog"
	"time"

	"github.com/holdfast-live/holdfast/ingest"
	"github.com/holdfast-live/holdfast/packetbuf/budget"
	wire "github.com/holdfast-live/holdfast/packetbuf/rtmp"
)

// Options say what a Server serves, and how.
type Options struct {
	Access ingest.Access // required
	Plays  Plays         // nil: every play is refused
	Log    *slog.Logger  // nil: nothing is logged

	// Protocol is ingest.RTMP, the default, or ingest.RTMPS when the listeners are TLS.
	Protocol string
	// Slots bounds connections, for all servers that share it. nil: no bound.
	Slots *ingest.Slots
	// Limits bound what a publisher may send once it has been admitted. What a stranger
	// may send before is fixed and smaller. The zero value: the defaults.
	Limits wire.Limits

	HandshakeTimeout time.Duration // from accept to the publish or play command [5s]
	WriteTimeout     time.Duration // how long a write may stand still [10s]
	UserTimeout      time.Duration // how long sent bytes may go unacknowledged by TCP [20s]
	Linger           time.Duration // how long a peer is given to read the last words [1s]

	// SlowPublisher tells whether a publisher of app and name may be slowed when its stream
	// asks for less; see ingest.Limiter. It is asked at publish. nil: none may.
	SlowPublisher func(app, name string) bool
	// Heartbeat is the time between pings to who publishes or plays app and name, where it is
	// fixed; 0, as without it: by the line.
	Heartbeat func(app, name string) time.Duration
	// Repairs counts what is repaired in publishers' media. It may be nil.
	Repairs *ingest.Repairs
	// Reassembly counts the bytes of messages that have not come whole. nil: they are not counted.
	Reassembly *budget.Account
	// Refused is called for a refusal that never reached Access. It may be nil.
	Refused func(ingest.Outcome)
}

func (o *Options) normalize() error {
	if o.Access == nil {
		return errors.New("rtmp: Options.Access is missing")
	}
	switch o.Protocol {
	case "":
		o.Protocol = ingest.RTMP
	case ingest.RTMP, ingest.RTMPS:
	default:
		return errors.New("rtmp: Options.Protocol must be rtmp or rtmps, not " + o.Protocol)
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	o.Log = o.Log.With("component", o.Protocol)
	if o.Slots == nil {
		o.Slots = ingest.NewSlots(0, 0)
	}
	if o.Limits == (wire.Limits{}) {
		o.Limits = wire.DefaultLimits()
	}
	if o.Refused == nil {
		o.Refused = func(ingest.Outcome) {}
	}
	if o.SlowPublisher == nil {
		o.SlowPublisher = func(string, string) bool { return false }
	}
	if o.Heartbeat == nil {
		o.Heartbeat = func(string, string) time.Duration { return 0 }
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
	return nil
}

// strangerLimits hold until a publish has been admitted, and for players.
func strangerLimits() wire.Limits {
	return wire.Limits{
		ChunkStreams:   32,
		MessageStreams: 8,
		Media:          64 << 10,
		Data:           64 << 10,
		Command:        64 << 10,
		Buffered:       128 << 10,
	}
}
