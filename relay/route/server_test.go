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

// fakeServer is another server. It accepts pushes and, if it has streams, serves them.
type fakeServer struct {
	w       *testRelay
	addr    string
	streams *hub.Hub
	stop    func() // nil: down

	mu         sync.Mutex
	pushed     []*pushed
	denyReason string // rejects a publish with this reason

	silent bool // sends no optional messages; a player of an unknown stream waits
}

// pushed is what one connection has delivered.
type pushed struct {
	name     string
	remote   string
	selfPush string // the stream that Routes.Pushes returned for remote
	at       time.Time
	packets  []*packetbuf.Packet
	ended    ingest.Cause
}

// destination starts a server that accepts pushes.
func (w *testRelay) destination(addr string) *fakeServer {
	f := &fakeServer{w: w, addr: addr}
	w.cleanups = append(w.cleanups, f.kill)
	f.start()
	return f
}

// origin starts a server that serves what is published to it.
func (w *testRelay) origin(addr string) *fakeServer {
	f := &fakeServer{w: w, addr: addr, streams: hub.New(hub.Options{
		Settings: settings{}, Observer: discardObserver{}, Counters: &stream.Counters{}, Log: slog.New(slog.DiscardHandler),
	})}
	w.cleanups = append(w.cleanups, func() { f.kill(); f.streams.Close("over") })
	f.start()
	return f
}

type discardObserver struct{}

func (discardObserver) Observe(stream.Event) {}

func (f *fakeServer) start() {
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

// kill stops the server as if its process died.
func (f *fakeServer) kill() {
	if f.stop != nil {
		f.stop()
		f.stop = nil
	}
}

// Publish implements ingest.Access.
func (f *fakeServer) Publish(ctx context.Context, r ingest.Request) (ingest.Sink, error) {
	if f.streams != nil {
		return f.streams.Publish(ctx, r)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.denyReason != "" {
		return nil, &ingest.Refusal{Outcome: ingest.RefusedKey, Reason: f.denyReason, Hint: "another key"}
	}
	g := &pushed{name: r.App + "/" + r.Name, remote: r.Remote, selfPush: f.w.routes.Pushes(r.Remote), at: time.Now()}
	f.pushed = append(f.pushed, g)
	return &sink{f, g}, nil
}

type sink struct {
	server *fakeServer
	pushed *pushed
}

func (s *sink) Write(p *packetbuf.Packet) error {
	s.server.mu.Lock()
	defer s.server.mu.Unlock()
	s.pushed.packets = append(s.pushed.packets, p)
	return nil
}

func (s *sink) End(cause ingest.Cause, _ string) {
	s.server.mu.Lock()
	defer s.server.mu.Unlock()
	s.pushed.ended = cause
}

// play serves a player of a stream that the server has.
func (f *fakeServer) play(ctx context.Context, r rtmpconn.PlayRequest, c *rtmpconn.Player) error {
	if f.streams == nil {
		return &ingest.Refusal{NotLive: true, Reason: "nothing is played here", Hint: "elsewhere"}
	}
	place, err := f.streams.Attach(ctx, r.App, r.Name, "rtmp")
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

// connections returns what has been pushed, by connection.
func (f *fakeServer) connections() []pushed {
	f.mu.Lock()
	defer f.mu.Unlock()
	var out []pushed
	for _, g := range f.pushed {
		out = append(out, pushed{g.name, g.remote, g.selfPush, g.at, slices.Clone(g.packets), g.ended})
	}
	return out
}

// lastMedia returns the arrival time of the newest media packet, or the zero time.
func (f *fakeServer) lastMedia() time.Time {
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

// receiving reports whether media arrived within the last half second.
func (f *fakeServer) receiving() bool { return time.Since(f.lastMedia()) < 500*time.Millisecond }
