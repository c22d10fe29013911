// Package httpflv sends streams as FLV over HTTP, without an end.
package httpflv

import (
	"context"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/holdfast-live/holdfast/packetbuf"
	"github.com/holdfast-live/holdfast/packetbuf/flv"
	"github.com/holdfast-live/holdfast/relay/egress"
)

// Protocol is its name in metrics.
const Protocol = "httpflv"

// Options are what the handler needs.
type Options struct {
	Streams egress.Streams
	// Refuse answers a refusal in HTTP.
	Refuse func(http.ResponseWriter, *http.Request, error)
	// Remote is the viewer's address, from behind proxies that are trusted.
	Remote       func(*http.Request) string
	WriteTimeout func(app, name string) time.Duration
	Bytes        *atomic.Uint64
	Joined       func(took time.Duration) // told at the first media byte of each viewer
	Log          *slog.Logger
}

// Handler serves /{app}/{name}.flv.
type Handler struct {
	opts    Options
	ctx     context.Context // ends the viewers
	cancel  context.CancelFunc
	viewers sync.WaitGroup
}

// New returns a handler. Close ends its viewers.
func New(o Options) *Handler {
	h := &Handler{opts: o}
	h.ctx, h.cancel = context.WithCancel(context.Background())
	return h
}

// Close ends all viewers, those on hijacked connections too, and waits for them.
func (h *Handler) Close() {
	h.cancel()
	h.viewers.Wait()
}

// Match tells whether a path is a stream's, and which.
func Match(path string) (app, name string, ok bool) {
	app, file, ok := strings.Cut(strings.TrimPrefix(path, "/"), "/")
	name, isFLV := strings.CutSuffix(file, ".flv")
	return app, name, ok && isFLV && !strings.Contains(name, "/")
}

// ServeHTTP implements http.Handler for the paths that Match.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	app, name, _ := Match(r.URL.Path)
	begun := time.Now()
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	defer context.AfterFunc(h.ctx, cancel)()
	reader, err := h.opts.Streams.Play(ctx, egress.Request{
		App: app, Name: name, Token: token(r), Protocol: Protocol, Remote: h.opts.Remote(r), Agent: r.UserAgent(),
	})
	if err != nil {
		h.opts.Refuse(w, r, err)
		return
	}
	header(w.Header())
	if r.Method == http.MethodHead {
		reader.Close()
		return
	}
	m := egress.Meter{Bytes: h.opts.Bytes, Started: func() { h.opts.Joined(time.Since(begun)) }}
	start := flv.Header(reader.Has(packetbuf.Video), reader.Has(packetbuf.Audio))
	if r.ProtoMajor == 1 {
		h.hijack(w, reader, start, h.opts.WriteTimeout(app, name), m)
		return
	}
	defer reader.Close()
	h.viewers.Add(1)
	defer h.viewers.Done()
	h.plain(ctx, w, reader, start, h.opts.WriteTimeout(app, name), m)
}

// header says how a stream without end is to be treated by browsers and proxies.
func header(h http.Header) {
	h.Set("Content-Type", "video/x-flv")
	h.Set("Cache-Control", "no-cache, no-store, no-transform")
	h.Set("X-Accel-Buffering", "no")
	h.Set("X-Content-Type-Options", "nosniff")
}

func token(r *http.Request) string {
	if t, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer "); ok {
		return t
	}
	return r.URL.Query().Get("token")
}

// hijack takes the connection over from net/http, whose buffers and goroutine cost more than
// the whole viewer: a goroutine of ours with a small stack goes on with it.
func (h *Handler) hijack(w http.ResponseWriter, reader egress.Reader, start []byte, timeout time.Duration, m egress.Meter) {
	head := responseHead(w.Header())
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		reader.Close()
		h.opts.Log.Warn("the connection cannot be taken over", "err", err)
		return
	}
	egress.LimitUnsent(conn)
	_ = conn.SetReadDeadline(time.Time{})
	out := &rawWriter{deadline: egress.Deadline{Conn: conn, Timeout: timeout}}
	if _, out.tcp = conn.(syscall.Conn); out.tcp { // TLS is none
		if c, ok := conn.(interface{ NetConn() net.Conn }); ok {
			out.deadline.Conn = c.NetConn()
		}
	}
	h.viewers.Go(func() {
		defer conn.Close()
		defer reader.Close()
		h.serve(out, net.Buffers{head, start}, reader, m)
	})
}

// serve sends the stream over a connection of its own. What the client still sends is not
// read; that it has gone shows when writing. When all viewers are to go, this one ends with
// its next wake-up or, where a write stands, a second later.
func (h *Handler) serve(out *rawWriter, start net.Buffers, reader egress.Reader, m egress.Meter) {
	if err := out.Write(&start); err != nil {
		return
	}
	stop := context.AfterFunc(h.ctx, func() { _ = out.deadline.Conn.SetWriteDeadline(time.Now().Add(time.Second)) })
	defer stop()
	err := egress.Run(h.ctx, reader, out, m)
	h.opts.Log.Debug("viewer left", "protocol", Protocol, "reason", err)
}

// responseHead is the head of a response whose end is the connection's.
func responseHead(header http.Header) []byte {
	var b strings.Builder
	b.WriteString("HTTP/1.1 200 OK\r\n")
	header.Set("Connection", "close")
	header.Set("Date", time.Now().UTC().Format(http.TimeFormat))
	_ = header.Write(&b)
	b.WriteString("\r\n")
	return []byte(b.String())
}

// plain writes through net/http, as HTTP/2 needs it.
func (h *Handler) plain(ctx context.Context, w http.ResponseWriter, reader egress.Reader, start []byte, timeout time.Duration, m egress.Meter) {
	out := &responseWriter{w: w, control: http.NewResponseController(w), timeout: timeout}
	if err := out.Write(&net.Buffers{start}); err != nil {
		return
	}
	err := egress.Run(ctx, reader, out, m)
	h.opts.Log.Debug("viewer left", "protocol", Protocol, "reason", err)
}
