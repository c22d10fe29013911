// Package route runs the relay's own connections: pushes of streams to other servers and
// pulls of streams from them, which redial, fail over and come back as policy decides.
//
// One runner has one stream and one group of routes. It is a loop around policy.Group, whose
// effects it performs; a connection is a link.Push or a link.Feed with a goroutine of its own.
package route

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/netip"
	"reflect"
	"time"

	"github.com/holdfast-live/holdfast/ingest"
	"github.com/holdfast-live/holdfast/packetbuf"
	"github.com/holdfast-live/holdfast/qos"
	"github.com/holdfast-live/holdfast/qos/policy"
	"github.com/holdfast-live/holdfast/relay/route/link"
)

// Group is a group of routes as it is configured: of those one is in use for each stream.
type Group struct {
	Name     string
	Pull     bool
	OnDemand bool   // of a pull: only while somebody watches
	Match    string // path.Match on {app}/{name}
	Routes   []Route
	Redial   policy.Backoff
	GiveUp   int
	After    time.Duration
	Rise     time.Duration
	Probe    time.Duration
	Missed   bool // a push goes on, after a redial, from what was not acknowledged
	Ladder   []policy.Place
	// Redirects lets a pull over HTTP be redirected to another host.
	Redirects bool
}

// equal tells whether two groups say the same.
func (g *Group) equal(o *Group) bool { return reflect.DeepEqual(g, o) }

// Route is one place where streams go to or come from. The URL may hold secrets.
type Route struct {
	Name, URL string
}

// Streams are the relay's own streams, as routes need them.
type Streams interface {
	// Tap gives a push its place on a stream; see stream.Tap. The error of a stream that is
	// not there, or over, ends the push.
	Tap(name string, from uint64) (Tap, error)
	// Offers are what a push of the stream can carry: the stream itself first, then its
	// renditions.
	Offers(name string) []Offer
	// Want asks for a rendition of a stream that is not made yet, or has it kept.
	Want(name, rendition string)
	// Limit asks the publisher of a stream to send at most so many bits per second; 0: as
	// many as it likes.
	Limit(name string, bits float64)
}

// Audience tells how many watch a stream or wait for it.
type Audience func(name string) int

// Tap is a push's place on a stream.
type Tap interface {
	// Read waits for packets and returns them, valid until the next Read; at times none.
	Read(ctx context.Context) ([]*packetbuf.Packet, error)
	// NewestKey is the sequence of the newest random-access point; 0: there is none.
	NewestKey() uint64
	Close()
}

// Offer is a stream that a push can carry.
type Offer struct {
	policy.Offer
	Stream string // its name
	// Offset is what its clock is behind that of the stream that it is a rendition of.
	Offset time.Duration
}

// Options are what Routes need.
type Options struct {
	Streams  Streams
	Access   ingest.Access // where pulls publish
	Audience Audience
	// Silence is how long without media is a break of a pull of that stream; 0, or where it is
	// nil, goes by the origin's rhythm.
	Silence func(stream string) time.Duration
	// Live lists the streams that are live, for groups that a reload brings.
	Live     func() []string
	Observer Observer
	Groups   []Group
	Breaker  policy.BreakerConfig
	History  *qos.Histories // of former runs; nil: none
	Log      *slog.Logger   // with component set
	// Repairs counts what is repaired in the media of pulls. It may be nil.
	Repairs *ingest.Repairs

	// Where they are nil the network's own are used; see link.Options.
	Dialer  link.DialFunc
	Resolve link.ResolveFunc
	// Chance is asked for numbers in [0, 1), from any goroutine.
	Chance func() float64
}

func (o *Options) validate() error {
	switch {
	case o.Streams == nil, o.Access == nil, o.Audience == nil, o.Live == nil, o.Observer == nil, o.Log == nil:
		return errors.New("routes: an option is missing")
	}
	if o.Dialer == nil {
		o.Dialer = (&net.Dialer{}).DialContext
		if o.Resolve == nil {
			o.Resolve = func(ctx context.Context, host string) ([]netip.Addr, error) {
				return net.DefaultResolver.LookupNetIP(ctx, "ip", host)
			}
		}
	}
	if o.Chance == nil {
		o.Chance = rand.Float64
	}
	return nil
}
