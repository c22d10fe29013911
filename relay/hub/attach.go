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

// Demand brings streams in, or makes them, when somebody wants them.
type Demand interface {
	// Want is asked for a stream that nobody feeds. With ok it is on its way; hopeless is
	// closed when there is no hope of it any more.
	Want(name string) (hopeless <-chan struct{}, ok bool)
	// Brings tells whether Want has a stream to bring in, without having it do so.
	Brings(name string) bool
}

// coming is how long a viewer waits for a stream that is on its way, whatever play_wait says.
const coming = 15 * time.Second

// Attach gives a viewer its place, and waits for a stream that is not live as long as its
// play_wait says, or while it is on its way. Its refusals are *ingest.Refusal; of one that is
// not live NotLive is set. sound is what the viewer takes; see stream.Stream.
func (h *Hub) Attach(ctx context.Context, app, name, protocol string, sound ...packetbuf.Codec) (*stream.Reader, error) {
	r, _, err := h.place(ctx, app, name, wish{protocol: protocol, sound: sound})
	return r, err
}

// Resume is Attach for a viewer that was cut off there; exact tells that it goes on with the
// very next packet. See stream.Stream.
func (h *Hub) Resume(ctx context.Context, app, name, protocol string, at stream.Position, sound ...packetbuf.Codec) (r *stream.Reader, exact bool, err error) {
	return h.place(ctx, app, name, wish{protocol: protocol, sound: sound, at: at})
}

func (h *Hub) place(ctx context.Context, app, name string, w wish) (r *stream.Reader, exact bool, err error) {
	full, err := ingest.StreamName(app, name)
	if err != nil {
		return nil, false, err
	}
	h.waits(full, 1)
	defer h.waits(full, -1)
	began, patience := time.Now(), h.opts.Settings.PlayWait(full, w.protocol)
	hopeless, ok := h.want(full)
	if ok {
		r, exact, err := h.attach(ctx, full, w, max(patience, coming), hopeless)
		if r != nil || ctx.Err() != nil {
			return r, exact, err
		}
	}
	return h.attach(ctx, full, w, patience-time.Since(began), nil)
}

// Expects returns nil if a viewer by a protocol may get the stream: it is there, a pull brings it
// in, or play_wait has the viewer wait. Otherwise it returns the refusal that Attach answers with.
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

// wish is what a stream is told of a viewer.
type wish struct {
	protocol string
	sound    []packetbuf.Codec
	at       stream.Position // where it was cut off; the zero Position is no stream's
}

// want asks for a stream that nobody feeds.
func (h *Hub) want(name string) (hopeless <-chan struct{}, ok bool) {
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

// attach waits for a place on a stream: so long, until there is no hope, or until asked ends.
func (h *Hub) attach(asked context.Context, name string, w wish, patience time.Duration, hopeless <-chan struct{}) (r *stream.Reader, exact bool, err error) {
	ctx, cancel := context.WithTimeout(asked, patience)
	defer cancel()
	for over := false; ; {
		h.mu.Lock()
		s, news, closed := h.streams[name], h.news, h.closed
		h.mu.Unlock()
		if closed {
			return nil, false, errClosed
		}
		if s != nil {
			r, exact, err := s.Resume(w.protocol, w.at, w.sound...)
			var keyless *stream.NoKeyframeError
			switch {
			case err == nil:
				return r, exact, nil
			case errors.As(err, &keyless):
				return nil, false, noKeyframe(keyless)
			}
		}
		if over {
			return nil, false, h.notLive(name)
		}
		select {
		case <-news: // maybe of what the wanted one is made of
			if again, ok := h.want(name); ok && hopeless != nil {
				hopeless = again
			}
		case <-hopeless:
			over = true
		case <-ctx.Done():
			if err := asked.Err(); err != nil { // the viewer has gone, or what serves it closes
				return nil, false, fmt.Errorf("wait for the stream %s: %w", name, err)
			}
			return nil, false, h.notLive(name)
		}
	}
}

// notLive is the refusal of a play of a stream that is not live.
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

// keyRetry is when a viewer may ask again that found no keyframe to begin at.
const keyRetry = 10 * time.Second

func noKeyframe(err *stream.NoKeyframeError) error {
	return &ingest.Refusal{
		Outcome: ingest.NoKeyframe, Reason: fmt.Sprintf("no keyframe for %d s", int(err.Since.Seconds())), Hint: err.Hint(), RetryAfter: keyRetry,
	}
}

// waits counts who waits for a stream.
func (h *Hub) waits(name string, n int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.waiting[name] += n
	if h.waiting[name] == 0 {
		delete(h.waiting, name)
	}
}

// Audience is how many watch a stream, or one of its renditions, or wait for it.
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

// Renditions are the streams that are renditions of the one of that name.
func (h *Hub) Renditions(name string) []*stream.Stream {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Collect(maps.Values(h.renditions[name]))
}
