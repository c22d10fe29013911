// Package httpflv sends streams as FLV over HTTP, without an end.
package httpflv

import (
	"context"
	"crypto/tls"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/holdfast-live/holdfast/packetbuf"
	"github.com/holdfast-live/holdfast/packetbuf/flv"
	"github.com/holdfast-live/holdfast/packetbuf/panics"
	"github.com/holdfast-live/holdfast/relay/egress"
)

// Protocol is its name in metrics.
const Protocol = "httpflv"

// Options are what the handler needs.
type Options struct {
	Admission egress.Admission
	HTTP      egress.HTTP
	Metrics   egress.Metrics
	// WriteTimeout returns how long a write to a viewer of a stream may make no progress; 0: no limit.
	WriteTimeout func(app, name string) time.Duration
	Log          *slog.Logger
}

// Handler serves /{app}/{name}.flv.
type Handler struct {
	opts    Options
	viewers *egress.Register
}

// New returns a handler. Close ends its viewers.
func New(o Options) *Handler { return &Handler{opts: o, viewers: egress.NewRegister()} }

// Close ends all viewers, those on hijacked connections too, and waits for them: about a
// second where one does not read.
func (h *Handler) Close() { h.viewers.Close() }

// Match tells whether a path is a stream's, and which.
func Match(path string) (app, name string, ok bool) {
	app, file, ok := strings.Cut(strings.TrimPrefix(path, "/"), "/")
	name, isFLV := strings.CutSuffix(file, ".flv")
	return app, name, ok && isFLV && !strings.Contains(name, "/")
}

// ServeHTTP implements http.Handler for the paths that Match.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	start := time.Now()
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	defer context.AfterFunc(h.viewers.Context(), cancel)()
	v, err := h.admit(ctx, r)
	if err != nil {
		h.log(v).Info("play refused", "reason", err)
		h.opts.HTTP.Refuse(w, r, err)
		return
	}
	if !h.viewers.Enter() {
		v.sub.Close()
		h.opts.HTTP.Refuse(w, r, http.ErrServerClosed)
		return
	}
	v.meter = egress.Meter{Bytes: h.opts.Metrics.SentBytes(Protocol), Started: func() { h.opts.Metrics.FirstMedia(Protocol, time.Since(start)) }, Skipped: egress.NewSkipLog(func() *slog.Logger { return h.log(v) })}
	setHeader(w.Header(), v.grant)
	if r.ProtoMajor == 1 && r.Method != http.MethodHead {
		h.hijack(w, v)
		return
	}
	defer h.viewers.Leave()
	defer v.sub.Close()
	if r.Method != http.MethodHead {
		h.serveHTTP(ctx, w, v)
	}
}

// viewer is one viewer of a stream.
type viewer struct {
	stream, remote string // for the log
	sub            egress.Subscription
	grant          egress.Grant
	start          []byte // of the FLV stream
	timeout        time.Duration
	meter          egress.Meter
}

// log is made when needed: a logger with attributes would be held by every viewer.
func (h *Handler) log(v viewer) *slog.Logger {
	return h.opts.Log.With("protocol", Protocol, "stream", v.stream, "remote", v.remote)
}

// admit subscribes a viewer to its stream. What the log needs is set beside an error too.
func (h *Handler) admit(ctx context.Context, r *http.Request) (viewer, error) {
	app, name, _ := Match(r.URL.Path)
	v := viewer{stream: egress.LogName(app + "/" + name), remote: h.opts.HTTP.Remote(r)}
	var err error
	v.sub, v.grant, err = h.opts.Admission.Join(ctx, egress.Request{
		App: app, Name: name, Token: egress.Token(r), Protocol: Protocol, Remote: v.remote, Agent: r.UserAgent(),
		Audio: audioCodecs(r), Resume: resume(r), Resumable: true, Begin: begin(r),
	})
	if v.grant.Expired || err == nil && v.grant.Resumed != egress.None {
		h.opts.Metrics.Resumed(Protocol, v.grant.Outcome())
	}
	if err != nil {
		return v, err
	}
	v.start = flv.Header(v.sub.Has(packetbuf.Video), v.sub.Has(packetbuf.Audio))
	v.timeout = h.opts.WriteTimeout(app, name)
	return v, nil
}

// begin returns where a viewer can begin. Decoders of programs begin at recovery points, browsers, which
// play HTTP-FLV through Media Source, at keyframes alone.
func begin(r *http.Request) egress.Begin {
	if strings.HasPrefix(r.UserAgent(), "Mozilla/") {
		return egress.AtKeyframe
	}
	return egress.AtRecovery
}

// audioCodecs returns what a viewer takes: with ?opus=1 Opus too, in Enhanced RTMP's layout.
func audioCodecs(r *http.Request) []packetbuf.Codec {
	codecs := flv.AudioCodecs()
	if r.URL.Query().Get("opus") == "1" {
		codecs = append(codecs, packetbuf.Opus)
	}
	return codecs
}

// setHeader sets how browsers and proxies have to treat a stream without an end, and how the viewer
// resumes.
func setHeader(h http.Header, g egress.Grant) {
	h.Set("Holdfast-Session", g.Token)
	if g.Resumed != egress.None {
		h.Set("Holdfast-Resume", string(g.Resumed))
	}
	h.Set("Content-Type", "video/x-flv")
	h.Set("Cache-Control", "no-cache, no-store, no-transform")
	h.Set("X-Accel-Buffering", "no")
	h.Set("X-Content-Type-Options", "nosniff")
}

// hijack takes the connection over from net/http, whose buffers and goroutine cost more than
// the whole viewer: a goroutine of ours with a small stack goes on with it.
func (h *Handler) hijack(w http.ResponseWriter, v viewer) {
	head := responseHead(w.Header())
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		v.sub.Close()
		h.viewers.Leave()
		h.log(v).Error("the connection cannot be taken over", "err", err)
		return
	}
	_ = conn.SetReadDeadline(time.Time{})
	raw := egress.RawConn(conn)
	egress.LimitUnsent(raw)
	out := &rawWriter{conn: conn, deadline: egress.Deadline{Conn: conn, Timeout: v.timeout}}
	if _, secured := conn.(*tls.Conn); !secured {
		out.conn, out.gathers = raw, true
	}
	go func() {
		defer h.viewers.Leave()
		defer conn.Close() //nolint:errcheck // the viewer has gone, one way or the other
		defer v.sub.Close()
		h.serve(out, net.Buffers{head, v.start}, v)
	}()
}

// serve sends the stream over a connection of its own. What the client still sends is not
// read; that it has gone shows when writing. When all viewers are to go, this one ends with
// its next wake-up or, where a write stands, a second later.
func (h *Handler) serve(out *rawWriter, start net.Buffers, v viewer) {
	defer context.AfterFunc(h.viewers.Context(), out.deadline.End)()
	if err := out.Write(&start); err != nil {
		egress.Left(h.viewers.Context(), h.log(v), err)
		return
	}
	err := egress.Run(h.viewers.Context(), v.sub, out, v.meter)
	panics.Report(h.log(v), "viewer session", err)
	egress.Left(h.viewers.Context(), h.log(v), err)
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

// serveHTTP writes through net/http, as HTTP/2 needs it.
func (h *Handler) serveHTTP(ctx context.Context, w http.ResponseWriter, v viewer) {
	control := http.NewResponseController(w)
	out := &responseWriter{w: w, control: control, deadline: egress.Deadline{Conn: control, Timeout: v.timeout}}
	defer context.AfterFunc(h.viewers.Context(), out.deadline.End)()
	if err := out.Write(&net.Buffers{v.start}); err != nil {
		egress.Left(h.viewers.Context(), h.log(v), err)
		return
	}
	err := egress.Run(ctx, v.sub, out, v.meter)
	panics.Report(h.log(v), "viewer session", err)
	egress.Left(h.viewers.Context(), h.log(v), err)
}
