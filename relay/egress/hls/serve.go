package hls

import (
	"cmp"
	"context"
	"errors"
	"io"
	"net/http"
	"net/url"
	"path"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/holdfast-live/holdfast/relay/egress"
	"github.com/holdfast-live/holdfast/relay/egress/cmaf"
)

const (
	// begins is how long a first playlist waits for the first segment.
	begins = 20 * time.Second
	// waits is how long a playlist or part that is to come is waited for at the most.
	waits = 15 * time.Second
)

// ServeHTTP implements http.Handler for the paths that Match.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	defer context.AfterFunc(h.running.Context(), cancel)()
	app, name, file, _ := Match(r.URL.Path)
	header := w.Header()
	header.Set("X-Content-Type-Options", "nosniff")
	if h.closed() { // a 404 would be the end for players that are to come back
		h.fail(w, r, http.ErrServerClosed)
		return
	}
	switch file {
	case indexFile, mediaFile, plainFile:
		q, err := parseQuery(r.URL.RawQuery)
		if err != nil {
			header.Set("Cache-Control", "no-store")
			h.opts.HTTP.Problem(w, http.StatusBadRequest, err.Error(), "ask for the playlist as the one before said", "")
			return
		}
		h.playlist(ctx, w, r, wish{query: q, app: app, name: name, file: file})
	default:
		h.media(ctx, w, r, app+"/"+name, file)
	}
}

// wish is a request for a playlist.
type wish struct {
	query
	app, name, file string
}

func (h *Handler) playlist(ctx context.Context, w http.ResponseWriter, r *http.Request, q wish) {
	stream := q.app + "/" + q.name
	token := egress.Bearer(r)
	if token == "" {
		token = q.token
	}
	at, c, err := h.admit(ctx, r, q, token)
	if err != nil {
		h.refuse(w, r, stream, err)
		return
	}
	if c == nil {
		h.fail(w, r, http.ErrServerClosed)
		return
	}
	c.touch()
	v, err := c.first(ctx)
	if err == nil && q.blocks && q.file != indexFile {
		v, err = c.until(ctx, q.query, v)
	}
	if err != nil {
		h.fail(w, r, err)
		return
	}
	c.touch()
	if q.file == indexFile {
		age := "max-age=1"
		if q.session = ""; at.named {
			q.session, age = at.session, "no-cache"
		}
		q.run = h.run.name
		w.Header().Set("Cache-Control", age)
		h.text(w, r, multivariant(h.variants(ctx, stream, v, q.query)), false)
		return
	}
	if took, first := h.viewers.answered(at, v.target); first {
		h.opts.Metrics.FirstMedia(Protocol, took)
	}
	form := lowLatency
	switch {
	case q.file == plainFile:
		form = plain
	case q.skip:
		form = delta
	}
	age := "max-age=1"
	if q.blocks && !v.ended {
		age = "max-age=" + strconv.Itoa(v.target) // it answers this question for good
	}
	w.Header().Set("Cache-Control", age)
	zipped := zips(r.Header.Values("Accept-Encoding"))
	h.text(w, r, v.text(h.edition(form, q.run, r.UserAgent()), zipped), zipped)
}

// admit returns the viewer of a request and the channel that it is served from; nil after Close.
func (h *Handler) admit(ctx context.Context, r *http.Request, q wish, token string) (*viewer, *channel, error) {
	at, over, err := h.viewers.admit(ctx, request{
		app: q.app, name: q.name, session: q.session, token: token, remote: h.opts.HTTP.Remote(r), agent: r.UserAgent(), begins: q.file == indexFile,
	})
	if err == nil {
		c := h.channel(q.app + "/" + q.name)
		if c != nil {
			h.viewers.serve(at, c)
		}
		return at, c, nil
	}
	if q.file != indexFile { // a viewer that has watched to the end may see that it is the end
		if c := h.viewers.last(over); c != nil {
			return over, c, nil
		}
	}
	return nil, nil, err
}

// mediaURI is that of the media playlist in a folder: the same for all while the relay runs, but
// for a session and, behind one, a token.
func mediaURI(folder string, q query) string {
	uri := folder + mediaFile
	if q.plain {
		uri = folder + plainFile
	}
	uri += "?run=" + url.QueryEscape(q.run)
	if q.session != "" {
		uri += "&s=" + q.session
	}
	if q.token != "" {
		uri += "&token=" + url.QueryEscape(q.token)
	}
	return uri
}

// first waits for the first playlist.
func (c *channel) first(ctx context.Context) (*view, error) {
	ctx, cancel := context.WithTimeout(ctx, begins)
	defer cancel()
	return c.await(ctx, func(*view) bool { return true })
}

var errBeyond = errors.New("that is further ahead than two segments, or three seconds of parts")

// until waits for the segment or part that is asked for.
func (c *channel) until(ctx context.Context, q query, now *view) (*view, error) {
	if now.has(q.msn, q.part) || now.ended {
		return now, nil
	}
	if now.beyond(q.msn, q.part) {
		return nil, errBeyond
	}
	ctx, cancel := context.WithTimeout(ctx, min(waits, 3*time.Duration(now.target)*time.Second))
	defer cancel()
	return c.await(ctx, func(v *view) bool { return v.has(q.msn, q.part) })
}

// text writes a playlist.
func (h *Handler) text(w http.ResponseWriter, r *http.Request, body []byte, zipped bool) {
	header := w.Header()
	header.Set("Content-Type", "application/vnd.apple.mpegurl")
	header.Set("Vary", "Accept-Encoding")
	if zipped {
		header.Set("Content-Encoding", "gzip")
	}
	header.Set("Content-Length", strconv.Itoa(len(body)))
	if r.Method == http.MethodHead {
		return
	}
	out := h.counted(w, r)
	_, _ = out.Write(body)
	out.end()
}

// media serves a segment, a part or an init section. Who has its name was given it in a
// playlist: that is the admission.
func (h *Handler) media(ctx context.Context, w http.ResponseWriter, r *http.Request, stream, file string) {
	c, before := h.find(stream)
	var chunks []*cmaf.Chunk
	comes := false
	if c != nil {
		chunks, comes = c.file(file)
	}
	if before != nil && chunks == nil && !comes {
		chunks, _ = before.file(file)
	}
	if comes { // the next part, which players ask for before it is there
		ctx, cancel := context.WithTimeout(ctx, waits)
		defer cancel()
		_, err := c.await(ctx, func(*view) bool {
			chunks, comes = c.file(file)
			return !comes
		})
		if err != nil {
			h.fail(w, r, err)
			return
		}
	}
	if chunks == nil {
		h.fail(w, r, h.gone(ctx, stream))
		return
	}
	c.touch()
	h.serve(w, r, chunks)
}

// refuse answers a viewer that is not admitted.
func (h *Handler) refuse(w http.ResponseWriter, r *http.Request, stream string, err error) {
	if h.closed() {
		h.fail(w, r, http.ErrServerClosed)
		return
	}
	h.opts.Log.Info("play refused", "protocol", Protocol, "stream", egress.LogName(stream), "remote", h.opts.HTTP.Remote(r), "reason", err)
	h.opts.HTTP.Refuse(w, r, err)
}

// closed reports whether Close has been called.
func (h *Handler) closed() bool { return h.running.Context().Err() != nil }

// serve writes chunks as they are, or the range of them that is asked for.
func (h *Handler) serve(w http.ResponseWriter, r *http.Request, chunks []*cmaf.Chunk) {
	header := w.Header()
	header.Set("Content-Type", "video/mp4")
	header.Set("Cache-Control", "public, max-age=3600, immutable")
	size := 0
	for _, c := range chunks {
		size += len(c.Data)
	}
	if r.Header.Get("Range") != "" {
		out := h.counted(w, r)
		http.ServeContent(out, r, "", time.Time{}, io.NewSectionReader(pieces(chunks), 0, int64(size)))
		h.finish(out, r)
		return
	}
	header.Set("Accept-Ranges", "bytes")
	header.Set("Content-Length", strconv.Itoa(size))
	if r.Method == http.MethodHead {
		return
	}
	out := h.counted(w, r)
	for _, c := range chunks {
		if _, err := out.Write(c.Data); err != nil {
			break
		}
	}
	h.finish(out, r)
}

// finish ends an answer, and logs where the viewer has taken nothing of it for its whole write
// timeout. One that has gone has no line: a player leaves after any answer.
func (h *Handler) finish(out *output, r *http.Request) {
	out.end()
	if out.err == nil {
		return
	}
	stream := strings.TrimPrefix(path.Dir(r.URL.Path), "/")
	egress.Left(h.running.Context(), h.opts.Log.With("protocol", Protocol, "stream", egress.LogName(stream), "remote", h.opts.HTTP.Remote(r)), out.err)
}

// pieces reads chunks as one.
type pieces []*cmaf.Chunk

// ReadAt implements io.ReaderAt.
func (p pieces) ReadAt(b []byte, off int64) (n int, err error) {
	for _, c := range p {
		if size := int64(len(c.Data)); off >= size {
			off -= size
			continue
		}
		n += copy(b[n:], c.Data[off:])
		off = 0
		if n == len(b) {
			return n, nil
		}
	}
	return n, io.EOF
}

// output counts what is written, and gives each write its time: a client that does not read must not
// keep what it was given.
type output struct {
	http.ResponseWriter
	bytes    *atomic.Uint64
	control  *http.ResponseController
	deadline egress.Deadline
	err      error // of the first write that failed
}

func (h *Handler) counted(w http.ResponseWriter, r *http.Request) *output {
	app, name, _, _ := Match(r.URL.Path)
	control := http.NewResponseController(w)
	timeout := h.opts.Settings(app + "/" + name).WriteTimeout
	return &output{ResponseWriter: w, bytes: h.opts.Metrics.SentBytes(Protocol), control: control, deadline: egress.Deadline{Conn: control, Timeout: timeout}}
}

func (o *output) Write(b []byte) (int, error) {
	if err := o.deadline.Extend(); err != nil && !errors.Is(err, http.ErrNotSupported) {
		return 0, err
	}
	n, err := o.ResponseWriter.Write(b)
	o.err = cmp.Or(o.err, err)
	o.bytes.Add(uint64(n)) //nolint:gosec // not negative
	return n, err
}

// end sends what is left, and leaves no deadline to the next answer on the connection. It fails
// on a connection that is closed.
func (o *output) end() {
	err := o.control.Flush()
	if !errors.Is(err, http.ErrNotSupported) {
		o.err = cmp.Or(o.err, err)
	}
	_ = o.control.SetWriteDeadline(time.Time{})
}

// fail answers what cannot be served.
func (h *Handler) fail(w http.ResponseWriter, r *http.Request, err error) {
	header := w.Header()
	header.Set("Cache-Control", "no-store")
	var codec *cmaf.CodecError
	switch {
	case errors.Is(err, errBeyond):
		h.opts.HTTP.Problem(w, http.StatusBadRequest, err.Error(), "ask for what the newest playlist has next", "")
	case errors.Is(err, errGone):
		h.opts.HTTP.Problem(w, http.StatusNotFound, err.Error(), "take the names from the newest playlist", "")
	case errors.As(err, &codec):
		h.opts.HTTP.Problem(w, http.StatusNotAcceptable, err.Error(), "publish H.264, HEVC, AV1 or VP9; or play it by WebRTC", "")
	case errors.Is(err, errRestarted):
		header.Set("Retry-After", "1")
		h.opts.HTTP.Problem(w, http.StatusServiceUnavailable, err.Error(), "take the names from the newest playlist", "")
	case errors.Is(err, errWait), errors.Is(err, cmaf.ErrEnded), errors.Is(err, cmaf.ErrClosed), errors.Is(err, context.Canceled), errors.Is(err, http.ErrServerClosed):
		header.Set("Retry-After", "1")
		h.opts.HTTP.Problem(w, http.StatusServiceUnavailable, "nothing has come to be played", "try again in a moment", "")
	default:
		h.opts.HTTP.Refuse(w, r, err)
	}
}

// zips tells whether a client takes gzip (RFC 9110, 12.5.3).
func zips(accepts []string) bool {
	for _, one := range strings.Split(strings.Join(accepts, ","), ",") {
		coding, weight, _ := strings.Cut(one, ";")
		if !strings.EqualFold(strings.TrimSpace(coding), "gzip") {
			continue
		}
		name, q, _ := strings.Cut(strings.TrimSpace(weight), "=")
		value, err := strconv.ParseFloat(q, 64)
		return !strings.EqualFold(name, "q") || err == nil && value > 0
	}
	return false
}
