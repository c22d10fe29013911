// Package route runs the connections that the relay itself dials: pushes of streams to other servers
// and pulls from them. They are redialed, fail over to other routes and fail back as package policy
// decides.
//
// A runner carries one stream over one group of routes. It is a loop around policy.Group, whose
// decisions it carries out. A connection is a push.Push or a pull.Pull.
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
	"github.com/holdfast-live/holdfast/qos"
	"github.com/holdfast-live/holdfast/qos/policy"
	"github.com/holdfast-live/holdfast/relay/route/link"
	"github.com/holdfast-live/holdfast/relay/route/push"
)

// Group is a configured group of routes. One route at a time carries a stream.
type Group struct {
	Name     string
	Pull     bool
	OnDemand bool   // of a pull: only while the stream has viewers
	Match    string // path.Match pattern for {app}/{name}
	Routes   []Route
	Redial   policy.Backoff
	GiveUp   int
	After    time.Duration
	Rise     time.Duration
	Probe    time.Duration
	Missed   bool // after a redial, a push continues at the first unacknowledged packet
	Ladder   []policy.Place
	// Redirects allows a pull over HTTP to be redirected to another host.
	Redirects bool
}

// equal reports whether two groups have the same configuration.
func (g *Group) equal(o *Group) bool { return reflect.DeepEqual(g, o) }

// Route is one destination or origin. Its URL may contain secrets.
type Route struct {
	Name, URL string
}

// Streams provides the relay's own streams.
type Streams interface {
	push.Streams
	// Want requests that a rendition of a stream is started, or kept running.
	Want(name, rendition string)
	// Limit asks the publisher of a stream to send at most that many bits per second; 0: no limit.
	Limit(name string, bits float64)
}

// Audience returns how many viewers watch a stream or wait for it.
type Audience func(name string) int

// Options are the dependencies and the configuration of Routes.
type Options struct {
	Streams  Streams
	Access   ingest.Access // where pulls publish
	Audience Audience
	// Silence returns the time without media after which a pull of a stream counts as broken. If it
	// returns 0 or is nil, the time is derived from the origin's packet interval.
	Silence func(stream string) time.Duration
	// Live returns the names of the streams that are live.
	Live     func() []string
	Observer Observer
	Groups   []Group
	Breaker  policy.BreakerConfig
	History  *qos.Histories // from earlier runs of the relay; nil: none
	Log      *slog.Logger   // with component set
	// Repairs counts the repairs of the media of pulls. It may be nil.
	Repairs *ingest.Repairs

	// Dialer and Resolve replace the network's dialer and resolver. If they are nil, the defaults of
	// link.Options apply.
	Dialer  link.DialFunc
	Resolve link.ResolveFunc
	// Chance returns random numbers in [0, 1). It may be called from any goroutine. Nil means
	// math/rand.
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
