package api

import (
	"context"
	"errors"
	"mime"
	"net/http"
	"strconv"
	"time"

	"github.com/holdfast-live/holdfast/ingest"
)

// Picture is a short fragmented MP4 that begins with a keyframe of a stream.
type Picture struct {
	Codecs string // as in RFC 6381
	Data   []byte
}

// Limits of previews.
const (
	previewWait         = 3 * time.Second  // maximum wait for a slot and the preview together
	previewWriteTimeout = 10 * time.Second // write timeout
	maxPreviews         = 8                // concurrent previews, each of which holds a keyframe
)

// preview serves the newest keyframe of a stream. The client does not count as a viewer.
func preview(of func(context.Context, string) (Picture, error)) http.HandlerFunc {
	turns := make(chan struct{}, maxPreviews)
	return func(w http.ResponseWriter, r *http.Request) {
		if of == nil {
			Problem(w, http.StatusNotImplemented, "this relay makes no previews", "play the stream")
			return
		}
		ctx, cancel := context.WithTimeout(r.Context(), previewWait)
		defer cancel()
		select {
		case turns <- struct{}{}:
			defer func() { <-turns }()
		case <-ctx.Done():
			previewProblem(w, ctx.Err())
			return
		}
		p, err := of(ctx, r.PathValue("app")+"/"+r.PathValue("name"))
		if err != nil {
			previewProblem(w, err)
			return
		}
		h := w.Header()
		h.Set("Content-Type", mime.FormatMediaType("video/mp4", map[string]string{"codecs": p.Codecs}))
		h.Set("Content-Length", strconv.Itoa(len(p.Data)))
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(previewWriteTimeout))
		_, _ = w.Write(p.Data) // fails if the client has gone
	}
}

// previewProblem answers with the reason why there is no preview.
func previewProblem(w http.ResponseWriter, err error) {
	var why *ingest.Refusal
	switch {
	case errors.As(err, &why) && why.NotLive:
		Problem(w, http.StatusNotFound, why.Reason, why.Hint)
	case errors.As(err, &why):
		Problem(w, http.StatusUnprocessableEntity, why.Reason, why.Hint)
	default: // no keyframe arrived in time, or the stream ended
		Problem(w, http.StatusServiceUnavailable, "no preview available now", "try again in a moment")
	}
}
