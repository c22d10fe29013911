package mse

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/coder/websocket"

	"github.com/holdfast-live/holdfast/packetbuf"
	"github.com/holdfast-live/holdfast/packetbuf/panics"
	"github.com/holdfast-live/holdfast/relay/egress"
	"github.com/holdfast-live/holdfast/relay/egress/cmaf"
)

// viewer is one socket.
type viewer struct {
	h       *Handler
	request egress.Request
	after   uint64 // what it had last; 0: nothing
	set     Settings
	begun   time.Time
	conn    *websocket.Conn
	wire    *wire
	signs   atomic.Uint64
	pongs   chan struct{} // of one: an answer to a ping has come
	window  window
	greeted chan struct{} // closed when the first message has been sent

	// Of the goroutine that sends:
	codecs string    // the client was told
	moving bool      // media was sent, or goes on where it was cut off
	told   bool      // the client knows that the next media does not follow
	joined bool      // media was sent on this socket
	dated  time.Time // when the client was told the time of day last
	skips  egress.SkipLog
	head   [8]byte
}

// defaultLag is that of a stream whose viewers may lag without end: acknowledgements may not.
const defaultLag = 5 * time.Second

func newViewer(h *Handler, r *http.Request) *viewer {
	app, name, _ := Match(r.URL.Path)
	q := r.URL.Query()
	v := &viewer{h: h, begun: time.Now(), greeted: make(chan struct{}), pongs: make(chan struct{}, 1), window: window{freed: make(chan struct{}, 1)}, set: h.opts.Settings(app + "/" + name)}
	v.skips = egress.NewSkipLog(v.log)
	if v.set.Lag <= 0 {
		v.set.Lag = defaultLag
	}
	v.request = egress.Request{
		App: app, Name: name, Token: egress.Token(r), Protocol: Protocol, Remote: h.opts.HTTP.Remote(r), Agent: r.UserAgent(), Resumable: true,
	}
	if t := q.Get("resume"); t != "" {
		v.request.Resume = &egress.Resume{Token: t, Track: packetbuf.Video, DTS: -1, Chunks: true}
		v.after, _ = strconv.ParseUint(q.Get("after"), 10, 64) // what is none is nothing
	}
	return v
}

func (v *viewer) log() *slog.Logger {
	stream := v.request.App + "/" + v.request.Name
	return v.h.opts.Log.With("protocol", Protocol, "stream", egress.LogName(stream), "remote", v.request.Remote)
}

// serve plays to the viewer until the socket, the stream or the handler ends.
func (v *viewer) serve(ctx context.Context) {
	// life is the socket's; up ends before it where the handler ends, which is told yet.
	life, end := context.WithCancelCause(ctx)
	up, stop := context.WithCancel(life)
	defer context.AfterFunc(v.h.viewers.Context(), func() { v.wire.hurry(); stop() })()
	var beside sync.WaitGroup
	for _, one := range []func(context.Context) error{v.listen, v.attend} {
		beside.Go(func() {
			err := panics.Run(func() error { return one(life) })
			panics.Report(v.log(), "viewer session", err)
			v.wire.hurry() // a write that stands must not outlast it
			end(err)
		})
	}
	err := panics.Run(func() error { return v.play(up, life) })
	panics.Report(v.log(), "viewer session", err)
	if cause := context.Cause(life); cause != nil {
		err = cause
	}
	if r, tell := v.verdict(err); tell {
		v.wire.hurry()
		v.lament(life, err)
		_ = v.conn.Close(websocket.StatusCode(r.Code), bound(r.Reason)) // the client may have gone
	}
	_ = v.conn.CloseNow()
	stop()
	end(err)
	beside.Wait()
	egress.Left(context.WithoutCancel(ctx), v.log(), err)
}

// verdict is what the client is told of the end; false where there is nobody to tell.
func (v *viewer) verdict(err error) (r Refusal, tell bool) {
	var codec *cmaf.CodecError
	switch {
	case errors.Is(err, errNotKnown):
		return Refusal{notUnderstood, err.Error()}, true
	case errors.Is(err, cmaf.ErrEnded):
		return Refusal{Ended, "the stream has ended"}, true
	case errors.Is(err, cmaf.ErrClosed), v.h.viewers.Context().Err() != nil:
		return Refusal{Restarting, "the relay is restarting"}, true
	case errors.Is(err, errExpired):
		return Refusal{Refused, "This link has expired. Ask for a new one."}, true
	case errors.As(err, &codec):
		return Refusal{Refused, err.Error()}, true
	case errors.As(err, new(*turnedAway)):
		return v.h.opts.Refuse(errors.Unwrap(err)), true
	}
	return Refusal{}, false
}

// lament names the codec that is why there is nothing to play: by another way there may be.
func (v *viewer) lament(ctx context.Context, err error) {
	if codec := (*cmaf.CodecError)(nil); errors.As(err, &codec) {
		_ = v.tell(ctx, map[string]any{"unsupported": codec.Codec.String()}) // the client may have gone
	}
}

// turnedAway is a refusal of Streams or Feeds.
type turnedAway struct{ error }

func (t *turnedAway) Unwrap() error { return t.error }

// errExpired: a viewer is let in for as long as its play token says.
var errExpired = errors.New("the play token has expired")

// play lets the viewer in and sends the stream, until its play token expires at the latest. up bounds
// what it waits for, life what it writes.
func (v *viewer) play(up, life context.Context) error {
	sub, grant, err := v.h.opts.Admission.Join(up, v.request)
	if err != nil {
		return v.refused(up, err)
	}
	defer sub.Close()
	if until := sub.Until(); !until.IsZero() {
		var cancel context.CancelFunc
		up, cancel = context.WithDeadlineCause(up, until, errExpired)
		defer cancel()
	}
	err = v.sendStream(up, life, grant)
	if errors.Is(context.Cause(up), errExpired) {
		return errExpired
	}
	return err
}

// sendStream sends the stream to a viewer that was let in.
func (v *viewer) sendStream(up, life context.Context, grant egress.Grant) error {
	feed, err := v.h.opts.Feeds.Acquire(up, v.request.App+"/"+v.request.Name)
	if err != nil {
		return v.refused(up, err)
	}
	defer feed.Release()
	at, resumed, err := v.sit(up, feed, grant)
	if err != nil {
		return err
	}
	if v.codecs, err = at.codecs(up); err != nil {
		return err
	}
	hello := map[string]any{"session": grant.Token, "codecs": v.codecs, "resume": resumed}
	if err := v.tell(life, hello); err != nil {
		return err
	}
	close(v.greeted)
	for {
		if err := v.window.wait(up, v.set.Lag); errors.Is(err, errSilent) {
			v.window.forget()
			at.skip()
		} else if err != nil {
			return err
		}
		chunks, skipped, err := at.next(up)
		if err != nil {
			return err
		}
		if err := v.send(life, chunks, skipped); err != nil {
			return err
		}
	}
}

// refused says that an error is a refusal, and not the end of the wait for an answer or of all.
func (v *viewer) refused(up context.Context, err error) error {
	var codec *cmaf.CodecError
	if up.Err() != nil || errors.Is(err, cmaf.ErrClosed) || errors.As(err, &codec) {
		return err
	}
	v.log().Info("play refused", "reason", err)
	return &turnedAway{err}
}

// sit gives the viewer its seat, where it was cut off if it can be.
func (v *viewer) sit(up context.Context, feed *cmaf.Feed, grant egress.Grant) (at *seat, resumed egress.Resumed, err error) {
	if v.request.Resume == nil {
		at, err = join(up, feed)
		return at, egress.None, err
	}
	if grant.Known && v.after > 0 {
		at = follow(feed, v.after)
	}
	if v.moving, resumed = at != nil, egress.Exact; at == nil {
		resumed = egress.Keyframe
		if at, err = join(up, feed); err != nil {
			return nil, resumed, err
		}
	}
	grant.Resumed = resumed
	v.h.opts.Metrics.Resumed(Protocol, grant.Outcome())
	return at, resumed, nil
}

// send sends chunks, and what a player has to know before it takes them.
func (v *viewer) send(ctx context.Context, chunks []*cmaf.Chunk, skipped bool) error {
	if skipped {
		v.h.opts.Skipped.Add(1)
		v.skips.Add(time.Now(), 1)
	}
	for i, c := range chunks {
		seq := c.Seq
		if c.Init && i+1 < len(chunks) {
			// One that is sent again counts as what the viewer did not get: who is cut off behind
			// it goes on with what follows it, not with what followed it once.
			seq = chunks[i+1].Seq - 1
		}
		// Behind another init section nothing follows what was before.
		if err := v.announce(ctx, c, i == 0 && skipped || (c.Discontinuity || c.Init) && v.moving); err != nil {
			return err
		}
		if err := v.date(ctx, c); err != nil {
			return err
		}
		v.window.add(seq, len(c.Data), time.Now())
		if err := v.push(seq, c.Data); err != nil {
			return err
		}
		if c.Init {
			continue
		}
		if v.moving, v.told = true, false; !v.joined {
			v.joined = true
			v.h.opts.Metrics.FirstMedia(Protocol, time.Since(v.begun))
		}
	}
	return nil
}

// redate is how often the client is told what time of day the media has: it drifts.
const redate = 10 * time.Second

// date says which time of day a chunk's first media has, where the client may not know.
func (v *viewer) date(ctx context.Context, c *cmaf.Chunk) error {
	if c.Init || !c.Discontinuity && v.joined && c.Arrived.Sub(v.dated) < redate {
		return nil
	}
	v.dated = c.Arrived
	return v.tell(ctx, map[string]any{"clock": map[string]any{"media": c.Start.Seconds(), "wall": c.Wall}})
}

// announce says what is new with a chunk, and that it does not follow.
func (v *viewer) announce(ctx context.Context, c *cmaf.Chunk, breaks bool) error {
	if c.Init && c.Info.Codecs != v.codecs {
		v.codecs = c.Info.Codecs
		if err := v.tell(ctx, map[string]any{"codecs": v.codecs}); err != nil {
			return err
		}
	}
	if !breaks || v.told {
		return nil
	}
	v.told = true
	return v.tell(ctx, map[string]any{"discontinuity": true})
}
