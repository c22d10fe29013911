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

// viewer is one WebSocket connection of a viewer.
type viewer struct {
	handler  *Handler
	request  egress.Request
	after    uint64 // last chunk that the viewer has received; 0 if none
	settings Settings
	start    time.Time
	conn     *websocket.Conn
	wire     *wire
	activity atomic.Uint64
	pongs    chan struct{} // capacity 1: a pong has arrived
	window   window
	greeted  chan struct{} // closed when the first message was sent

	// The fields below are used only by the sending goroutine.
	codecs    string    // codecs that the client was told
	started   bool      // media was sent, or the viewer has resumed and continues earlier media
	announced bool      // the client was told that the next media is not continuous
	joined    bool      // media was sent on this connection
	clockSent time.Time // when the time of day was last sent
	skips     egress.SkipLog
	header    [8]byte
}

// defaultLag is the maximum time for acknowledgements if Settings.Lag is not set.
const defaultLag = 5 * time.Second

func newViewer(h *Handler, r *http.Request) *viewer {
	app, name, _ := Match(r.URL.Path)
	q := r.URL.Query()
	v := &viewer{handler: h, start: time.Now(), greeted: make(chan struct{}), pongs: make(chan struct{}, 1), window: window{freed: make(chan struct{}, 1)}, settings: h.opts.Settings(app + "/" + name)}
	v.skips = egress.NewSkipLog(v.log)
	if v.settings.Lag <= 0 {
		v.settings.Lag = defaultLag
	}
	v.request = egress.Request{
		App: app, Name: name, Token: egress.Token(r), Protocol: Protocol, Remote: h.opts.HTTP.Remote(r), Agent: r.UserAgent(), Resumable: true,
	}
	if t := q.Get("resume"); t != "" {
		v.request.Resume = &egress.Resume{Token: t, Track: packetbuf.Video, DTS: -1, Chunks: true}
		v.after, _ = strconv.ParseUint(q.Get("after"), 10, 64) // 0 if malformed
	}
	return v
}

func (v *viewer) log() *slog.Logger {
	stream := v.request.App + "/" + v.request.Name
	return v.handler.opts.Log.With("protocol", Protocol, "stream", egress.LogName(stream), "remote", v.request.Remote)
}

// serve serves the viewer until the connection ends, the stream ends or the handler closes.
func (v *viewer) serve(ctx context.Context) {
	// connCtx lasts as long as the connection. playCtx also ends when the handler closes; the
	// connection then remains for sending a close code.
	connCtx, endConn := context.WithCancelCause(ctx)
	playCtx, stop := context.WithCancel(connCtx)
	defer context.AfterFunc(v.handler.viewers.Context(), func() { v.wire.limitRemaining(); stop() })()
	var loops sync.WaitGroup
	for _, one := range []func(context.Context) error{v.readMessages, v.keepAlive} {
		loops.Go(func() {
			err := panics.Run(func() error { return one(connCtx) })
			panics.Report(v.log(), "viewer session", err)
			v.wire.limitRemaining() // bound the current write
			endConn(err)
		})
	}
	err := panics.Run(func() error { return v.play(playCtx, connCtx) })
	panics.Report(v.log(), "viewer session", err)
	if cause := context.Cause(connCtx); cause != nil {
		err = cause
	}
	if r, tell := v.closeCode(err); tell {
		v.wire.limitRemaining()
		v.reportUnsupportedCodec(connCtx, err)
		_ = v.conn.Close(websocket.StatusCode(r.Code), truncateReason(r.Reason)) // fails if the client has gone
	}
	_ = v.conn.CloseNow()
	stop()
	endConn(err)
	loops.Wait()
	egress.Left(context.WithoutCancel(ctx), v.log(), err)
}

// closeCode returns the close code and reason for err. ok is false if no close code can be sent to
// the client.
func (v *viewer) closeCode(err error) (r Refusal, ok bool) {
	var codec *cmaf.CodecError
	switch {
	case errors.Is(err, errMalformed):
		return Refusal{malformed, err.Error()}, true
	case errors.Is(err, cmaf.ErrEnded):
		return Refusal{Ended, "the stream has ended"}, true
	case errors.Is(err, cmaf.ErrClosed), v.handler.viewers.Context().Err() != nil:
		return Refusal{Restarting, "the relay is restarting"}, true
	case errors.Is(err, errExpired):
		return Refusal{Refused, "This link has expired. Ask for a new one."}, true
	case errors.As(err, &codec):
		return Refusal{Refused, err.Error()}, true
	case errors.As(err, new(*rejection)):
		return v.handler.opts.Refuse(errors.Unwrap(err)), true
	}
	return Refusal{}, false
}

// reportUnsupportedCodec tells the client which codec prevents playing, because another protocol
// may support that codec.
func (v *viewer) reportUnsupportedCodec(ctx context.Context, err error) {
	if codec := (*cmaf.CodecError)(nil); errors.As(err, &codec) {
		_ = v.sendJSON(ctx, map[string]any{"unsupported": codec.Codec.String()}) // fails if the client has gone
	}
}

// rejection is a refusal by Admission or Feeds.
type rejection struct{ error }

func (t *rejection) Unwrap() error { return t.error }

// errExpired ends a viewer whose play token has expired.
var errExpired = errors.New("the play token has expired")

// play admits the viewer and sends the stream until the play token expires at the latest. playCtx
// limits how long it waits for media, connCtx how long it writes.
func (v *viewer) play(playCtx, connCtx context.Context) error {
	sub, grant, err := v.handler.opts.Admission.Join(playCtx, v.request)
	if err != nil {
		return v.reject(playCtx, err)
	}
	defer sub.Close()
	if until := sub.Until(); !until.IsZero() {
		var cancel context.CancelFunc
		playCtx, cancel = context.WithDeadlineCause(playCtx, until, errExpired)
		defer cancel()
	}
	err = v.sendStream(playCtx, connCtx, grant)
	if errors.Is(context.Cause(playCtx), errExpired) {
		return errExpired
	}
	return err
}

// sendStream sends the stream to an admitted viewer.
func (v *viewer) sendStream(playCtx, connCtx context.Context, grant egress.Grant) error {
	feed, err := v.handler.opts.Feeds.Acquire(playCtx, v.request.App+"/"+v.request.Name)
	if err != nil {
		return v.reject(playCtx, err)
	}
	defer feed.Release()
	reader, resumed, err := v.openReader(playCtx, feed, grant)
	if err != nil {
		return err
	}
	if v.codecs, err = reader.codecs(playCtx); err != nil {
		return err
	}
	hello := map[string]any{"session": grant.Token, "codecs": v.codecs, "resume": resumed}
	if err := v.sendJSON(connCtx, hello); err != nil {
		return err
	}
	close(v.greeted)
	for {
		if err := v.window.wait(playCtx, v.settings.Lag); errors.Is(err, errNotAcknowledged) {
			v.window.reset()
			reader.skip()
		} else if err != nil {
			return err
		}
		chunks, skipped, err := reader.next(playCtx)
		if err != nil {
			return err
		}
		if err := v.send(connCtx, chunks, skipped); err != nil {
			return err
		}
	}
}

// reject wraps err in a rejection, unless err is due to the end of playCtx or of the feed, or to a
// codec.
func (v *viewer) reject(playCtx context.Context, err error) error {
	var codec *cmaf.CodecError
	if playCtx.Err() != nil || errors.Is(err, cmaf.ErrClosed) || errors.As(err, &codec) {
		return err
	}
	v.log().Info("play refused", "reason", err)
	return &rejection{err}
}

// openReader returns the viewer's reader. If possible, it continues at the position at which the
// viewer was cut off.
func (v *viewer) openReader(playCtx context.Context, feed *cmaf.Feed, grant egress.Grant) (reader *chunkReader, resumed egress.Resumed, err error) {
	if v.request.Resume == nil {
		reader, err = join(playCtx, feed)
		return reader, egress.None, err
	}
	if grant.Known && v.after > 0 {
		reader = resumeAfter(feed, v.after)
	}
	if v.started, resumed = reader != nil, egress.Exact; reader == nil {
		resumed = egress.Keyframe
		if reader, err = join(playCtx, feed); err != nil {
			return nil, resumed, err
		}
	}
	grant.Resumed = resumed
	v.handler.opts.Metrics.Resumed(Protocol, grant.Outcome())
	return reader, resumed, nil
}

// send sends chunks, and before each chunk the messages that the player needs for it.
func (v *viewer) send(ctx context.Context, chunks []*cmaf.Chunk, skipped bool) error {
	if skipped {
		v.handler.opts.Skipped.Add(1)
		v.skips.Add(time.Now(), 1)
	}
	for i, c := range chunks {
		seq := c.Seq
		if c.Init && i+1 < len(chunks) {
			// A repeated init section gets the sequence number before that of the next chunk. A
			// viewer that is cut off after it then resumes at that chunk, and not at the chunk that
			// originally followed the init section.
			seq = chunks[i+1].Seq - 1
		}
		// Media after a different init section is not continuous.
		if err := v.announce(ctx, c, i == 0 && skipped || (c.Discontinuity || c.Init) && v.started); err != nil {
			return err
		}
		if err := v.sendClock(ctx, c); err != nil {
			return err
		}
		v.window.add(seq, len(c.Data), time.Now())
		if err := v.sendChunk(seq, c.Data); err != nil {
			return err
		}
		if c.Init {
			continue
		}
		if v.started, v.announced = true, false; !v.joined {
			v.joined = true
			v.handler.opts.Metrics.FirstMedia(Protocol, time.Since(v.start))
		}
	}
	return nil
}

// clockInterval is how often the time of day of the media is sent. It is repeated because clocks
// drift.
const clockInterval = 10 * time.Second

// sendClock sends the time of day at which chunk c starts, if the client may not know it.
func (v *viewer) sendClock(ctx context.Context, c *cmaf.Chunk) error {
	if c.Init || !c.Discontinuity && v.joined && c.Arrived.Sub(v.clockSent) < clockInterval {
		return nil
	}
	v.clockSent = c.Arrived
	return v.sendJSON(ctx, map[string]any{"clock": map[string]any{"media": c.Start.Seconds(), "wall": c.Wall}})
}

// announce tells the client the codecs, if they change with chunk c, and, if breaks is set, that c
// is not continuous.
func (v *viewer) announce(ctx context.Context, c *cmaf.Chunk, breaks bool) error {
	if c.Init && c.Info.Codecs != v.codecs {
		v.codecs = c.Info.Codecs
		if err := v.sendJSON(ctx, map[string]any{"codecs": v.codecs}); err != nil {
			return err
		}
	}
	if !breaks || v.announced {
		return nil
	}
	v.announced = true
	return v.sendJSON(ctx, map[string]any{"discontinuity": true})
}
