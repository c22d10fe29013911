// Package admission decides which publishers and viewers are admitted, and when: publish keys, play tokens,
// resume tokens and HLS sessions, hooks, limits, and the pace at which viewers join.
package admission

import (
	"context"
	"log/slog"
	"net/netip"
	"time"

	"github.com/holdfast-live/holdfast/ingest"
	"github.com/holdfast-live/holdfast/packetbuf"
	"github.com/holdfast-live/holdfast/packetbuf/resume"
	"github.com/holdfast-live/holdfast/relay/egress"
)

// Rules returns the access rules of a stream, given its name {app}/{name}.
type Rules interface {
	PublishKeys(stream string) []string // if empty, everyone may publish
	PlaySecret(stream string) string    // if empty, everyone may play
}

// Streams provides the relay's streams.
type Streams interface {
	// Expects returns nil if a viewer of the given protocol may get the stream, because the stream
	// exists, is being started, or is waited for. Otherwise it returns the refusal.
	Expects(stream, protocol string) error
	// ExpectedBack reports whether the stream was live before the relay was restarted and its publisher
	// is expected to return.
	ExpectedBack(stream string) bool
	// Life returns the serial number of the current stream of that name, which is unique in this
	// process, or 0 if the stream does not exist.
	Life(stream string) uint64
	// Subscribe subscribes a viewer to a stream, and may wait for the stream. exact reports whether the
	// viewer continues with the packet after the last one that it received.
	Subscribe(ctx context.Context, app, name, protocol string, at Position, audio ...packetbuf.Codec) (sub Subscription, exact bool, err error)
}

// Subscription is a subscription that Streams returns.
type Subscription interface {
	egress.Subscription
	// Origin returns where the subscription began.
	Origin() Origin
	// Expire makes Read fail after time at; the zero Time means never.
	Expire(at time.Time)
}

// Origin identifies where a viewer's first subscription started. A resume token contains it.
type Origin struct {
	Life uint64 // serial number of the stream; see Streams.Life
	Seq  uint64 // sequence number of the subscription's first packet
}

// Position is where a viewer was cut off, and where it may start if it cannot continue there.
type Position struct {
	Origin Origin
	Track  packetbuf.Track // track of the last media packet received completely
	DTS    time.Duration   // DTS of that packet; only the low 32 bits in milliseconds are used
	Seq    uint64          // sequence number of that packet; 0: Track and DTS identify it
	Begin  egress.Begin
}

// Hooks calls the operator's hooks. Refusals are *ingest.Refusal.
type Hooks interface {
	// AsksPlay reports whether any hook is called about viewers of a stream.
	AsksPlay(stream string) bool
	// Play asks whether a viewer may play. identity identifies the viewer; it is a secret.
	Play(ctx context.Context, stream string, r egress.Request, identity string) error
	// Publish asks whether a publisher may publish.
	Publish(ctx context.Context, stream string, r ingest.Request) error
}

// Metrics counts outcomes.
type Metrics interface {
	Session(protocol, outcome string) // requests to publish
	Joined(protocol, outcome string)  // requests to play
	Admitted(waited time.Duration)    // waits of admitted viewers
}

// Options configures an Admission. Metrics must be set. For any other option that is not set,
// everything that it would decide is allowed.
type Options struct {
	Rules     Rules
	Streams   Streams
	Publisher ingest.Access // receives admitted publishers
	Hooks     Hooks
	Sealer    *resume.Sealer
	Metrics   Metrics
	// Redact removes secrets from what a peer says about itself. IsSecret reports whether part of a
	// name is a configured secret.
	Redact   func(string) string
	IsSecret func(part string) bool
	// SharedAddress reports whether many viewers share an address.
	SharedAddress func(netip.Addr) bool
	// ConnectionLimit returns an error if a connection limit refuses the viewer whose connection
	// belongs to a context.
	ConnectionLimit func(context.Context) error
	// PushedFrom returns the stream that the relay itself pushes from a local address host:port, or "".
	PushedFrom func(remote string) string
	// Refused is called for each publisher that is refused.
	Refused func(ingest.Request, *ingest.Refusal)
	// JoinRate is how many viewers may join per second; 0 means no limit.
	JoinRate int
	Log      *slog.Logger
}

// Admission admits publishers and viewers. It implements ingest.Access and egress.Admission.
type Admission struct {
	opts   Options
	keys   *Guesses // wrong publish keys
	tokens *Guesses // wrong play tokens
	joins  joinLimiter
	absent absentStreams
}

// New returns an Admission.
func New(o Options) *Admission {
	if o.Redact == nil {
		o.Redact = func(s string) string { return s }
	}
	if o.IsSecret == nil {
		o.IsSecret = func(string) bool { return false }
	}
	if o.ConnectionLimit == nil {
		o.ConnectionLimit = func(context.Context) error { return nil }
	}
	if o.PushedFrom == nil {
		o.PushedFrom = func(string) string { return "" }
	}
	if o.Refused == nil {
		o.Refused = func(ingest.Request, *ingest.Refusal) {}
	}
	if o.Rules == nil {
		o.Rules = openRules{}
	}
	if o.Hooks == nil {
		o.Hooks = noHooks{}
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	a := &Admission{opts: o, keys: NewGuesses(), tokens: NewGuesses(), absent: absentStreams{shared: o.SharedAddress}}
	a.joins.waited = o.Metrics.Admitted
	a.joins.setRate(o.JoinRate)
	return a
}

// SetJoinRate sets how many viewers may join per second; 0 means no limit.
func (a *Admission) SetJoinRate(rate int) { a.joins.setRate(rate) }

// openRules allows everyone to publish and play.
type openRules struct{}

func (openRules) PublishKeys(string) []string { return nil }
func (openRules) PlaySecret(string) string    { return "" }

// noHooks calls no hook.
type noHooks struct{}

func (noHooks) AsksPlay(string) bool                                       { return false }
func (noHooks) Play(context.Context, string, egress.Request, string) error { return nil }
func (noHooks) Publish(context.Context, string, ingest.Request) error      { return nil }
