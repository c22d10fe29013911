package hub

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/holdfast-live/holdfast/ingest"
	"github.com/holdfast-live/holdfast/packetbuf"
	"github.com/holdfast-live/holdfast/relay/lifecycle"
	"github.com/holdfast-live/holdfast/relay/stream"
)

// Demand starts streams when they are requested, by pulling or transcoding them.
type Demand interface {
	// Want requests a stream that has no publisher. ok reports whether the stream is being started.
	// hopeless is closed when it can no longer be expected to start.
	Want(name string) (hopeless <-chan struct{}, ok bool)
	// Brings reports whether Want could start the stream. It does not start it.
	Brings(name string) bool
}

// startWait is the minimum time that a viewer waits for a stream that is being started, whatever
// play_wait is.
const startWait = 15 * time.Second

// Attach subscribes a viewer to a stream. If the stream is not live, Attach waits for it for the
// viewer's play_wait, or at least startWait if the stream is being started. Rejections are
// *ingest.Refusal, with NotLive set if the stream is not live. audio lists the codecs that the
// viewer accepts; see stream.Stream.
func (h *Hub) Attach(ctx context.Context, app, name, protocol string, audio ...packetbuf.Codec) (*stream.Reader, error) {
	r, _, err := h.subscribe(ctx, app, name, subscribeOptions{protocol: protocol, audio: audio})
	return r, err
}

// Resume is like Attach for a viewer that was cut off at position at. exact reports whether it
// continues with the next packet. See stream.Stream.
func (h *Hub) Resume(ctx context.Context, app, name, protocol string, at stream.Position, audio ...packetbuf.Codec) (r *stream.Reader, exact bool, err error) {
	return h.subscribe(ctx, app, name, subscribeOptions{protocol: protocol, audio: audio, at: at})
}

func (h *Hub) subscribe(ctx context.Context, app, name string, w subscribeOptions) (r *stream.Reader, exact bool, err error) {
	full, err := ingest.StreamName(app, name)
	if err != nil {
		return nil, false, err
	}
	h.addWaiting(full, 1)
	defer h.addWaiting(full, -1)
	began, patience := time.Now(), h.opts.Settings.PlayWait(full, w.protocol)
	hopeless, ok := h.requestStream(full)
	if ok {
		r, exact, err := h.attach(ctx, full, w, max(patience, startWait), hopeless)
		if r != nil || ctx.Err() != nil {
			return r, exact, err
		}
	}
	return h.attach(ctx, full, w, patience-time.Since(began), nil)
}

// Expects returns nil if a viewer of the given protocol may get the stream, because the stream
// exists, can be started, or is waited for by play_wait. Otherwise it returns the refusal that
// Attach would return.
func (h *Hub) Expects(name, protocol string) error {
	h.mu.Lock()
	there, closed := h.streams[name] != nil, h.closed
	h.mu.Unlock()
	switch {
	case closed:
		return errClosed
	case there || h.opts.Settings.PlayWait(name, protocol) > 0 || h.opts.Demand != nil && h.opts.Demand.Brings(name):
		return nil
	}
	return h.notLive(name)
}

// subscribeOptions describes a viewer to a stream.
type subscribeOptions struct {
	protocol string
	audio    []packetbuf.Codec
	at       stream.Position // where the viewer was cut off; the zero Position matches no stream
}

// requestStream requests a stream that has no publisher.
func (h *Hub) requestStream(name string) (hopeless <-chan struct{}, ok bool) {
	if h.opts.Demand == nil {
		return nil, false
	}
	if s := h.Find(name); s != nil {
		if state := s.State(); state == lifecycle.Live || state == lifecycle.Suspect {
			return nil, false
		}
	}
	return h.opts.Demand.Want(name)
}

// attach tries to subscribe until patience has passed, hopeless is closed, or parent is done.
func (h *Hub) attach(parent context.Context, name string, w subscribeOptions, patience time.Duration, hopeless <-chan struct{}) (r *stream.Reader, exact bool, err error) {
	ctx, cancel := context.WithTimeout(parent, patience)
	defer cancel()
	for unavailable := false; ; {
		h.mu.Lock()
		s, wentLive, closed := h.streams[name], h.wentLive, h.closed
		h.mu.Unlock()
		if closed {
			return nil, false, errClosed
		}
		if s != nil {
			r, exact, err := s.Resume(w.protocol, w.at, w.audio...)
			var keyless *stream.NoKeyframeError
			switch {
			case err == nil:
				return r, exact, nil
			case errors.As(err, &keyless):
				return nil, false, noKeyframe(keyless)
			}
		}
		if unavailable {
			return nil, false, h.notLive(name)
		}
		select {
		case <-wentLive: // possibly the source of the requested stream
			if again, ok := h.requestStream(name); ok && hopeless != nil {
				hopeless = again
			}
		case <-hopeless:
			unavailable = true
		case <-ctx.Done():
			if err := parent.Err(); err != nil { // the viewer has disconnected, or its server is closing
				return nil, false, fmt.Errorf("wait for the stream %s: %w", name, err)
			}
			return nil, false, h.notLive(name)
		}
	}
}

// notLive returns the refusal for a stream that is not live.
func (h *Hub) notLive(name string) error {
	hint := ""
	if h.opts.Absent != nil {
		hint = h.opts.Absent(name)
	}
	return &ingest.Refusal{
		NotLive: true, Reason: fmt.Sprintf("the stream %s is not live", name),
		Hint: cmp.Or(hint, "publish to it first, or try again later"), RetryAfter: 2 * time.Second,
	}
}

// keyRetry is the retry interval for a viewer that found no keyframe to start at.
const keyRetry = 10 * time.Second

func noKeyframe(err *stream.NoKeyframeError) error {
	return &ingest.Refusal{
		Outcome: ingest.NoKeyframe, Reason: fmt.Sprintf("no keyframe for %d s", int(err.Since.Seconds())), Hint: err.Hint(), RetryAfter: keyRetry,
	}
}

// addWaiting adds n to the number of viewers that wait for a stream.
func (h *Hub) addWaiting(name string, n int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.waiting[name] += n
	if h.waiting[name] == 0 {
		delete(h.waiting, name)
	}
}

// Audience returns how many viewers watch a stream or one of its renditions, or wait for one of
// these.
func (h *Hub) Audience(name string) int {
	n := 0
	streams := h.Renditions(name)
	h.mu.Lock()
	if s := h.streams[name]; s != nil {
		streams = append(streams, s)
	}
	for full, waiting := range h.waiting {
		if full == name || ingest.ParentStream(full) == name {
			n += waiting
		}
	}
	h.mu.Unlock()
	for _, s := range streams {
		n += s.Audience()
	}
	return n
}

// Renditions returns the streams that are renditions of the named stream.
func (h *Hub) Renditions(name string) []*stream.Stream {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Collect(maps.Values(h.renditions[name]))
}
