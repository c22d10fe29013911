// Package rtmp is a server for RTMP and RTMPS. It turns publishers into sessions of package ingest,
// and passes players to Options.OnPlay. Package rtmpconn serves the connections.
package rtmp

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/holdfast-live/holdfast/ingest"
	"github.com/holdfast-live/holdfast/ingest/rtmpconn"
	"github.com/holdfast-live/holdfast/packetbuf/budget"
	wire "github.com/holdfast-live/holdfast/packetbuf/rtmp"
)

// Options configure a Server.
type Options struct {
	Access ingest.Access // required
	// OnPlay serves players; see rtmpconn.Options. If it is nil, all players are refused.
	OnPlay func(ctx context.Context, r rtmpconn.PlayRequest, p *rtmpconn.Player) error
	Log    *slog.Logger // nil disables logging

	// Protocol is ingest.RTMP, the default, or ingest.RTMPS when the listeners are TLS.
	Protocol string
	// Slots limits the connections of all servers that share it. nil means no limit.
	Slots *ingest.Slots

	// The fields below are described at rtmpconn.Options.

	Limits           wire.Limits
	HandshakeTimeout time.Duration // [5s]
	WriteTimeout     time.Duration // [10s]
	UserTimeout      time.Duration // [20s]
	Linger           time.Duration // [1s]
	Heartbeat        func(app, name string) time.Duration
	Reassembly       *budget.Account
	Refused          func(ingest.Outcome)

	// SlowPublisher reports whether the relay may slow the publisher of a stream when the stream
	// asks for a lower bitrate; see ingest.Limiter. It is called when the publisher requests to
	// publish. nil means never.
	SlowPublisher func(app, name string) bool
	// Repairs counts the repairs of publishers' media. It may be nil.
	Repairs *ingest.Repairs
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
	if o.SlowPublisher == nil {
		o.SlowPublisher = func(string, string) bool { return false }
	}
	return nil
}

// connections returns the options of the server's connections.
func (s *Server) connections() rtmpconn.Options {
	o := &s.opts
	return rtmpconn.Options{
		OnPublish: s.publish, OnPlay: o.OnPlay, Log: o.Log, Protocol: o.Protocol, Limits: o.Limits,
		HandshakeTimeout: o.HandshakeTimeout, WriteTimeout: o.WriteTimeout, UserTimeout: o.UserTimeout, Linger: o.Linger,
		Heartbeat: o.Heartbeat, Reassembly: o.Reassembly, Refused: o.Refused,
	}.WithDefaults()
}
