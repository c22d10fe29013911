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
	// firstPlaylistWait is how long a request for a playlist waits for the first segment of the
	// stream.
	firstPlaylistWait = 20 * time.Second
	// maxBlock is the maximum time for which a request for a future playlist or part blocks.
	maxBlock = 15 * time.Second
)

// ServeHTTP implements http.Handler for the paths that Match accepts.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	defer context.AfterFunc(h.running.Context(), cancel)()
	app, name, file, _ := Match(r.URL.Path)
	header := w.Header()
	header.Set("X-Content-Type-Options", "nosniff")
	if h.closed() { // a 404 would end players, which should return after the restart
		h.fail(w, r, http.ErrServerClosed)
		return
	}
	switch file {
	case indexFile, mediaFile, plainFile:
		q, err := parseQuery(r.URL.RawQuery)
		if err != nil {
			header.Set("Cache-Control", "no-store")
			h.opts.HTTP.Problem(w, http.StatusBadRequest, err.Error(), "use the parameters of the server's newest playlist", "")
			return
		}
		h.playlist(ctx, w, r, playlistRequest{query: q, app: app, name: name, file: file})
	default:
		h.serveMedia(ctx, w, r, app+"/"+name, file)
	}
}

// playlistRequest is a request for a playlist.
type playlistRequest struct {
	query
	app, name, file string
}

func (h *Handler) playlist(ctx context.Context, w http.ResponseWriter, r *http.Request, q playlistRequest) {
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
	v, err := c.awaitFirst(ctx)
	if err == nil && q.blocking && q.file != indexFile {
		v, err = c.awaitRequested(ctx, q.query, v)
	}
	if err != nil {
		h.fail(w, r, err)
		return
	}
	c.touch()
	if q.file == indexFile {
		age := "max-age=1"
		if q.session = ""; at.sessionInURL {
			q.session, age = at.session, "no-cache"
		}
		q.instance = h.instance.name
		w.Header().Set("Cache-Control", age)
		h.writePlaylist(w, r, multivariant(h.variants(ctx, stream, v, q.query)), false)
		return
	}
	if took, first := h.viewers.recordResponse(at, v.target); first {
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
	if q.blocking && !v.ended {
		age = "max-age=" + strconv.Itoa(v.target) // the answer to this request never changes
	}
	w.Header().Set("Cache-Control", age)
	zipped := acceptsGzip(r.Header.Values("Accept-Encoding"))
	h.writePlaylist(w, r, v.body(h.playlistKey(form, q.instance, r.UserAgent()), zipped), zipped)
}

// admit returns the viewer of a request and the channel that serves the viewer. The channel is nil
// after Close.
func (h *Handler) admit(ctx context.Context, r *http.Request, q playlistRequest, token string) (*viewer, *channel, error) {
	at, over, err := h.viewers.admit(ctx, request{
		app: q.app, name: q.name, session: q.session, token: token, remote: h.opts.HTTP.Remote(r), agent: r.UserAgent(), multivariant: q.file == indexFile,
	})
	if err == nil {
		c := h.channelFor(q.app + "/" + q.name)
		if c != nil {
			h.viewers.setChannel(at, c)
		}
		return at, c, nil
	}
	if q.file != indexFile { // a viewer may still read the end of an ended stream
		if c := h.viewers.lastChannel(over); c != nil {
			return over, c, nil
		}
	}
	return nil, nil, err
}

// mediaURI returns the URI of the media playlist in a folder. It is the same for all viewers of an
// instance, unless they have a session or a token.
func mediaURI(folder string, q query) string {
	uri := folder + mediaFile
	if q.plain {
		uri = folder + plainFile
	}
	uri += "?run=" + url.QueryEscape(q.instance)
	if q.session != "" {
		uri += "&s=" + q.session
	}
	if q.token != "" {
		uri += "&token=" + url.QueryEscape(q.token)
	}
	return uri
}

// awaitFirst waits for the first playlist of the stream.
func (c *channel) awaitFirst(ctx context.Context) (*view, error) {
	ctx, cancel := context.WithTimeout(ctx, firstPlaylistWait)
	defer cancel()
	return c.await(ctx, func(*view) bool { return true })
}

var errTooFarAhead = errors.New("requested segment or part is more than two segments, or three seconds of parts, ahead")

// awaitRequested waits for the segment or part that q requests. now is the current view.
func (c *channel) awaitRequested(ctx context.Context, q query, now *view) (*view, error) {
	if now.has(q.msn, q.part) || now.ended {
		return now, nil
	}
	if now.tooFarAhead(q.msn, q.part) {
		return nil, errTooFarAhead
	}
	ctx, cancel := context.WithTimeout(ctx, min(maxBlock, 3*time.Duration(now.target)*time.Second))
	defer cancel()
	return c.await(ctx, func(v *view) bool { return v.has(q.msn, q.part) })
}

// writePlaylist writes a playlist as the response. zipped reports whether body is compressed with
// gzip.
func (h *Handler) writePlaylist(w http.ResponseWriter, r *http.Request, body []byte, zipped bool) {
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
	out := h.countingWriter(w, r)
	_, _ = out.Write(body)
	out.finish()
}

// serveMedia serves a segment, a part or an init section. It checks no token: the names are
// unguessable, so that a client that knows one was admitted to the playlist.
func (h *Handler) serveMedia(ctx context.Context, w http.ResponseWriter, r *http.Request, stream, file string) {
	c, before := h.lookup(stream)
	var chunks []*cmaf.Chunk
	comes := false
	if c != nil {
		chunks, comes = c.file(file)
	}
	if before != nil && chunks == nil && !comes {
		chunks, _ = before.file(file)
	}
	if comes { // the next part, which players request in advance
		ctx, cancel := context.WithTimeout(ctx, maxBlock)
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
		h.fail(w, r, h.notFound(ctx, stream))
		return
	}
	c.touch()
	h.writeChunks(w, r, chunks)
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

// writeChunks writes chunks, or the requested range of them.
func (h *Handler) writeChunks(w http.ResponseWriter, r *http.Request, chunks []*cmaf.Chunk) {
	header := w.Header()
	header.Set("Content-Type", "video/mp4")
	header.Set("Cache-Control", "public, max-age=3600, immutable")
	size := 0
	for _, c := range chunks {
		size += len(c.Data)
	}
	if r.Header.Get("Range") != "" {
		out := h.countingWriter(w, r)
		http.ServeContent(out, r, "", time.Time{}, io.NewSectionReader(chunkReader(chunks), 0, int64(size)))
		h.finish(out, r)
		return
	}
	header.Set("Accept-Ranges", "bytes")
	header.Set("Content-Length", strconv.Itoa(size))
	if r.Method == http.MethodHead {
		return
	}
	out := h.countingWriter(w, r)
	for _, c := range chunks {
		if _, err := out.Write(c.Data); err != nil {
			break
		}
	}
	h.finish(out, r)
}

// finish ends a response. If the viewer accepted no bytes for its whole write timeout, that is
// logged at level Info. A closed connection is not, because players may close it after any
// response.
func (h *Handler) finish(out *countingWriter, r *http.Request) {
	out.finish()
	if out.err == nil {
		return
	}
	stream := strings.TrimPrefix(path.Dir(r.URL.Path), "/")
	egress.Left(h.running.Context(), h.opts.Log.With("protocol", Protocol, "stream", egress.LogName(stream), "remote", h.opts.HTTP.Remote(r)), out.err)
}

// chunkReader reads a sequence of chunks as one file.
type chunkReader []*cmaf.Chunk

// ReadAt implements io.ReaderAt.
func (p chunkReader) ReadAt(b []byte, off int64) (n int, err error) {
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

// countingWriter counts the bytes of a response, and sets a deadline for each write, so that a
// client that does not read does not hold its response in memory.
type countingWriter struct {
	http.ResponseWriter
	bytes    *atomic.Uint64
	control  *http.ResponseController
	deadline egress.Deadline
	err      error // error of the first failed write
}

func (h *Handler) countingWriter(w http.ResponseWriter, r *http.Request) *countingWriter {
	app, name, _, _ := Match(r.URL.Path)
	control := http.NewResponseController(w)
	timeout := h.opts.Settings(app + "/" + name).WriteTimeout
	return &countingWriter{ResponseWriter: w, bytes: h.opts.Metrics.SentBytes(Protocol), control: control, deadline: egress.Deadline{Conn: control, Timeout: timeout}}
}

func (o *countingWriter) Write(b []byte) (int, error) {
	if err := o.deadline.Extend(); err != nil && !errors.Is(err, http.ErrNotSupported) {
		return 0, err
	}
	n, err := o.ResponseWriter.Write(b)
	o.err = cmp.Or(o.err, err)
	o.bytes.Add(uint64(n)) //nolint:gosec // not negative
	return n, err
}

// finish flushes the response, and clears the write deadline for the next response on the
// connection. The flush fails if the connection is closed.
func (o *countingWriter) finish() {
	err := o.control.Flush()
	if !errors.Is(err, http.ErrNotSupported) {
		o.err = cmp.Or(o.err, err)
	}
	_ = o.control.SetWriteDeadline(time.Time{})
}

// fail writes the error response for err.
func (h *Handler) fail(w http.ResponseWriter, r *http.Request, err error) {
	header := w.Header()
	header.Set("Cache-Control", "no-store")
	var codec *cmaf.CodecError
	switch {
	case errors.Is(err, errTooFarAhead):
		h.opts.HTTP.Problem(w, http.StatusBadRequest, err.Error(), "request the segment or part that the newest playlist announces", "")
	case errors.Is(err, errNotFound):
		h.opts.HTTP.Problem(w, http.StatusNotFound, err.Error(), "take the names from the newest playlist", "")
	case errors.As(err, &codec):
		h.opts.HTTP.Problem(w, http.StatusNotAcceptable, err.Error(), "publish H.264, HEVC, AV1 or VP9; or play it by WebRTC", "")
	case errors.Is(err, errRestarted):
		header.Set("Retry-After", "1")
		h.opts.HTTP.Problem(w, http.StatusServiceUnavailable, err.Error(), "take the names from the newest playlist", "")
	case errors.Is(err, errTimeout), errors.Is(err, cmaf.ErrEnded), errors.Is(err, cmaf.ErrClosed), errors.Is(err, context.Canceled), errors.Is(err, http.ErrServerClosed):
		header.Set("Retry-After", "1")
		h.opts.HTTP.Problem(w, http.StatusServiceUnavailable, "no media available yet", "try again in a moment", "")
	default:
		h.opts.HTTP.Refuse(w, r, err)
	}
}

// acceptsGzip reports whether a client accepts gzip (RFC 9110, 12.5.3).
func acceptsGzip(accepts []string) bool {
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
