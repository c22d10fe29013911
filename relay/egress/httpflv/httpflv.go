// Package httpflv sends streams as endless FLV files over HTTP.
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

// Protocol is the name of the protocol in metrics.
const Protocol = "httpflv"

// Options configure a Handler.
type Options struct {
	Admission egress.Admission
	HTTP      egress.HTTP
	Metrics   egress.Metrics
	// WriteTimeout returns how long a write to a viewer of a stream may take without progress; 0
	// means no limit.
	WriteTimeout func(app, name string) time.Duration
	Log          *slog.Logger
}

// Handler serves /{app}/{name}.flv.
type Handler struct {
	opts    Options
	viewers *egress.Register
}

// New returns a handler. Close must be called to end its viewers.
func New(o Options) *Handler { return &Handler{opts: o, viewers: egress.NewRegister()} }

// Close ends all viewers, including those on hijacked connections, and waits for them. It takes
// about a second if a viewer does not read.
func (h *Handler) Close() { h.viewers.Close() }

// Match reports whether a path is that of a stream, and returns its components.
func Match(path string) (app, name string, ok bool) {
	app, file, ok := strings.Cut(strings.TrimPrefix(path, "/"), "/")
	name, isFLV := strings.CutSuffix(file, ".flv")
	return app, name, ok && isFLV && !strings.Contains(name, "/")
}

// ServeHTTP implements http.Handler for the paths that Match accepts.
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
	start          []byte // FLV header
	timeout        time.Duration
	meter          egress.Meter
}

// log returns a logger for v. It is created on demand, because a stored one would cost memory
// per viewer.
func (h *Handler) log(v viewer) *slog.Logger {
	return h.opts.Log.With("protocol", Protocol, "stream", v.stream, "remote", v.remote)
}

// admit subscribes a viewer to its stream. The result has the fields for the log even if admit
// returns an error.
func (h *Handler) admit(ctx context.Context, r *http.Request) (viewer, error) {
	app, name, _ := Match(r.URL.Path)
	v := viewer{stream: egress.LogName(app + "/" + name), remote: h.opts.HTTP.Remote(r)}
	var err error
	v.sub, v.grant, err = h.opts.Admission.Join(ctx, egress.Request{
		App: app, Name: name, Token: egress.Token(r), Protocol: Protocol, Remote: v.remote, Agent: r.UserAgent(),
		Audio: audioCodecs(r), Resume: resume(r), Resumable: true, Begin: startPoint(r),
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

// startPoint returns at which packets a viewer can begin. Native players can begin at recovery
// points. Browsers, which play HTTP-FLV with Media Source, can begin only at keyframes.
func startPoint(r *http.Request) egress.Begin {
	if strings.HasPrefix(r.UserAgent(), "Mozilla/") {
		return egress.AtKeyframe
	}
	return egress.AtRecovery
}

// audioCodecs returns the audio codecs that a viewer can play. If the query has opus=1, they
// include Opus, in the format of Enhanced RTMP.
func audioCodecs(r *http.Request) []packetbuf.Codec {
	codecs := flv.AudioCodecs()
	if r.URL.Query().Get("opus") == "1" {
		codecs = append(codecs, packetbuf.Opus)
	}
	return codecs
}

// setHeader sets the headers of an endless response, for browsers and proxies, and the headers for
// resuming.
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

// hijack takes over the connection from net/http, and serves the stream in a new goroutine with a
// small stack. The buffers and the goroutine of net/http would need more memory than the rest of a
// viewer.
func (h *Handler) hijack(w http.ResponseWriter, v viewer) {
	head := responseHead(w.Header())
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		v.sub.Close()
		h.viewers.Leave()
		h.log(v).Error("hijack connection failed", "err", err)
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
		defer conn.Close() //nolint:errcheck // the viewer has gone
		defer v.sub.Close()
		h.serve(out, net.Buffers{head, v.start}, v)
	}()
}

// serve sends the stream over a hijacked connection. It does not read from the client; a write
// fails when the client has gone. When the handler closes, serve returns at the next wake-up, or
// after a second if a write is blocked.
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

// responseHead returns the status line and header of a response that ends with the connection.
func responseHead(header http.Header) []byte {
	var b strings.Builder
	b.WriteString("HTTP/1.1 200 OK\r\n")
	header.Set("Connection", "close")
	header.Set("Date", time.Now().UTC().Format(http.TimeFormat))
	_ = header.Write(&b)
	b.WriteString("\r\n")
	return []byte(b.String())
}

// serveHTTP writes the stream through net/http, as HTTP/2 requires.
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
