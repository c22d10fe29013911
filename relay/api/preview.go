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

// Picture is a moment of a stream that begins with a keyframe, as a fragmented MP4 of its own.
type Picture struct {
	Codecs string // by RFC 6381
	Data   []byte
}

// The bounds of previews.
const (
	previewWait = 3 * time.Second  // for a picture, and for one's turn
	previewSent = 10 * time.Second // that a peer may take to read it
	previews    = 8                // that are made or sent at a time: each holds a keyframe
)

// preview shows how a stream looks now. Nobody is counted as a viewer for it.
func preview(of func(context.Context, string) (Picture, error)) http.HandlerFunc {
	turns := make(chan struct{}, previews)
	return func(w http.ResponseWriter, r *http.Request) {
		if of == nil {
			Problem(w, http.StatusNotImplemented, "this relay makes no pictures", "play the stream")
			return
		}
		ctx, cancel := context.WithTimeout(r.Context(), previewWait)
		defer cancel()
		select {
		case turns <- struct{}{}:
			defer func() { <-turns }()
		case <-ctx.Done():
			unseen(w, ctx.Err())
			return
		}
		p, err := of(ctx, r.PathValue("app")+"/"+r.PathValue("name"))
		if err != nil {
			unseen(w, err)
			return
		}
		h := w.Header()
		h.Set("Content-Type", mime.FormatMediaType("video/mp4", map[string]string{"codecs": p.Codecs}))
		h.Set("Content-Length", strconv.Itoa(len(p.Data)))
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(previewSent))
		_, _ = w.Write(p.Data) // the peer has gone: nobody to tell
	}
}

// unseen says why there is no picture.
func unseen(w http.ResponseWriter, err error) {
	var why *ingest.Refusal
	switch {
	case errors.As(err, &why) && why.NotLive:
		Problem(w, http.StatusNotFound, why.Reason, why.Hint)
	case errors.As(err, &why):
		Problem(w, http.StatusUnprocessableEntity, why.Reason, why.Hint)
	default: // none came in time, or the stream ended
		Problem(w, http.StatusServiceUnavailable, "there is no picture of it now", "try again in a moment")
	}
}
