package route

import (
	"context"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/holdfast-live/holdfast/ingest"
	"github.com/holdfast-live/holdfast/ingest/rtmp"
	"github.com/holdfast-live/holdfast/ingest/rtmpconn"
	"github.com/holdfast-live/holdfast/packetbuf"
	"github.com/holdfast-live/holdfast/relay/egress"
	egressrtmp "github.com/holdfast-live/holdfast/relay/egress/rtmp"
	"github.com/holdfast-live/holdfast/relay/hub"
	"github.com/holdfast-live/holdfast/relay/stream"
)

// farSide is another server: it takes what is pushed to it and, where it has a hub, serves it.
type farSide struct {
	w    *world
	addr string
	hub  *hub.Hub
	stop func() // nil: it is down

	mu   sync.Mutex
	got  []*got
	deny string // a publish is refused with this

	silent bool // it says nothing that it need not: who wants what it has not got waits
}

// got is what one connection has brought.
type got struct {
	name    string
	remote  string
	ours    string // what the relay says that it pushes from there
	at      time.Time
	packets []*packetbuf.Packet
	ended   ingest.Cause
}

// far starts a far side on an address.
func (w *world) far(addr string) *farSide {
	f := &farSide{w: w, addr: addr}
	w.ends = append(w.ends, f.down)
	f.up()
	return f
}

// origin starts a far side that serves what is published to it.
func (w *world) origin(addr string) *farSide {
	f := &farSide{w: w, addr: addr, hub: hub.New(hub.Options{
		Settings: settings{}, Observer: nobody{}, Counters: &stream.Counters{}, Log: slog.New(slog.DiscardHandler),
	})}
	w.ends = append(w.ends, func() { f.down(); f.hub.Close("over") })
	f.up()
	return f
}

type nobody struct{}

func (nobody) Observe(stream.Event) {}

func (f *farSide) up() {
	l, err := f.w.net.Listen(f.addr)
	if err != nil {
		f.w.t.Fatal(err)
	}
	o := rtmp.Options{Access: f, OnPlay: f.play}
	if f.silent {
		o.Heartbeat = func(string, string) time.Duration { return time.Hour }
	}
	server, err := rtmp.New(o)
	if err != nil {
		f.w.t.Fatal(err)
	}
	served := make(chan struct{})
	go func() {
		defer close(served)
		_ = server.Serve(l)
	}()
	f.stop = func() {
		_ = server.Close()
		<-served
	}
}

// down is the death of the process.
func (f *farSide) down() {
	if f.stop != nil {
		f.stop()
		f.stop = nil
	}
}

// Publish implements ingest.Access.
func (f *farSide) Publish(ctx context.Context, r ingest.Request) (ingest.Sink, error) {
	if f.hub != nil {
		return f.hub.Publish(ctx, r)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.deny != "" {
		return nil, &ingest.Refusal{Outcome: ingest.RefusedKey, Reason: f.deny, Hint: "another key"}
	}
	g := &got{name: r.App + "/" + r.Name, remote: r.Remote, ours: f.w.routes.Pushes(r.Remote), at: time.Now()}
	f.got = append(f.got, g)
	return &sink{f, g}, nil
}

type sink struct {
	f *farSide
	g *got
}

func (s *sink) Write(p *packetbuf.Packet) error {
	s.f.mu.Lock()
	defer s.f.mu.Unlock()
	s.g.packets = append(s.g.packets, p)
	return nil
}

func (s *sink) End(cause ingest.Cause, _ string) {
	s.f.mu.Lock()
	defer s.f.mu.Unlock()
	s.g.ended = cause
}

// play serves a player from the hub.
func (f *farSide) play(ctx context.Context, r rtmpconn.PlayRequest, c *rtmpconn.Player) error {
	if f.hub == nil {
		return &ingest.Refusal{NotLive: true, Reason: "nothing is played here", Hint: "elsewhere"}
	}
	place, err := f.hub.Attach(ctx, r.App, r.Name, "rtmp")
	if err != nil && f.silent {
		if err := c.Start(); err != nil {
			return err
		}
		<-ctx.Done()
		return ctx.Err()
	}
	if err != nil {
		return err
	}
	defer place.Close()
	if err := c.Start(); err != nil {
		return err
	}
	return egressrtmp.Serve(ctx, place, c, egress.Meter{})
}

// connections is what has been pushed here, by connection.
func (f *farSide) connections() []got {
	f.mu.Lock()
	defer f.mu.Unlock()
	var out []got
	for _, g := range f.got {
		out = append(out, got{g.name, g.remote, g.ours, g.at, slices.Clone(g.packets), g.ended})
	}
	return out
}

// last is when the newest media packet came here; zero if none has.
func (f *farSide) last() time.Time {
	var last time.Time
	for _, g := range f.connections() {
		for _, p := range g.packets {
			if p.Media() && p.Arrived.After(last) {
				last = p.Arrived
			}
		}
	}
	return last
}

// receiving tells whether media has come here within the last half second.
func (f *farSide) receiving() bool { return time.Since(f.last()) < 500*time.Millisecond }
