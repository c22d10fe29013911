package mse

import (
	"bufio"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/coder/websocket"

	"github.com/holdfast-live/holdfast/qos/pacing"
	"github.com/holdfast-live/holdfast/relay/egress"
)

// Code is why a socket was closed, as the client is told.
type Code int

const (
	// Ended: the stream is over; a retry does not help.
	Ended Code = 4000
	// NotLive: the stream is not there yet, or not any more; the reason is when to ask again, in seconds.
	NotLive Code = 4001
	// Refused: the reason says why; a retry does not help.
	Refused Code = 4002
	// Restarting: the relay is; to be retried at once.
	Restarting Code = 1012
	// Busy: the reason is when to ask again, in seconds.
	Busy Code = 1013

	notUnderstood Code = 1007
)

const (
	// mostRead bounds a message of the client.
	mostRead = 1 << 10
	// mostReason is how long the reason of a close may be, in bytes.
	mostReason = 123
	// lastWords is how long what is written and awaited last may take.
	lastWords = time.Second
	// mostReport is how long a word about the stream may take, whatever its writes may.
	mostReport = 15 * time.Second
	// mostMissed pings without a sign of life make a client dead.
	mostMissed = 3
)

var (
	errDead     = errors.New("the client does not answer pings")
	errNotKnown = errors.New(`a message has to be JSON: {"ack": N} or {"ping": N}`)
)

// taker puts a wire beneath what is taken over from net/http.
type taker struct {
	http.ResponseWriter
	timeout time.Duration
	wire    *wire
}

// Hijack implements http.Hijacker.
func (t *taker) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	conn, buffers, err := http.NewResponseController(t.ResponseWriter).Hijack()
	if err != nil {
		return nil, nil, err
	}
	_ = conn.SetDeadline(time.Time{}) // what net/http has set
	t.wire = newWire(conn, t.timeout)
	return t.wire, bufio.NewReadWriter(buffers.Reader, bufio.NewWriter(t.wire)), nil
}

// accept makes a viewer of a request, from wherever its page is: who may play is decided by
// token, not by origin.
func (h *Handler) accept(w http.ResponseWriter, r *http.Request) (*viewer, error) {
	v := newViewer(h, r)
	t := &taker{ResponseWriter: w, timeout: v.set.WriteTimeout}
	conn, err := websocket.Accept(t, r, &websocket.AcceptOptions{
		InsecureSkipVerify: true,
		CompressionMode:    websocket.CompressionDisabled,
		OnPingReceived: func(_ context.Context, ping []byte) bool { // the library would end who does not take the pong in 5 s
			v.hear()
			t.wire.answer(ping)
			return false
		},
		OnPongReceived: func(context.Context, []byte) {
			v.hear()
			select {
			case v.pongs <- struct{}{}:
			default:
			}
		},
	})
	if err != nil {
		return nil, err
	}
	v.conn, v.wire = conn, t.wire
	conn.SetReadLimit(mostRead)
	return v, nil
}

// heard is what a client says.
type heard struct {
	Ack  *uint64          `json:"ack"`
	Ping *json.RawMessage `json:"ping"`
}

// listen takes what the client says until the socket ends. Its error is never nil.
func (v *viewer) listen(ctx context.Context) error {
	for {
		kind, text, err := v.conn.Read(context.Background()) // it ends with the socket
		if err != nil {
			return err
		}
		v.hear()
		var said heard
		if kind != websocket.MessageText || json.Unmarshal(text, &said) != nil {
			return errNotKnown
		}
		if said.Ack != nil {
			v.window.ack(*said.Ack)
		}
		if said.Ping != nil { // scripts in browsers cannot send the other kind
			if err := v.tell(ctx, map[string]any{"pong": said.Ping, "now": time.Now()}); err != nil {
				return err
			}
		}
	}
}

// hear notes a sign of life.
func (v *viewer) hear() { v.signs.Add(1) }

// attend asks the client for a sign of life again and again, until it gives none any more, and
// tells it how the stream is. Its error is never nil.
func (v *viewer) attend(ctx context.Context) error {
	beat := pacing.Heartbeat{Fixed: v.set.Heartbeat, Most: egress.IdleAfter}
	due := time.NewTimer(beat.Every())
	defer due.Stop()
	var changed <-chan struct{} = v.greeted
	signs, asked, waits := uint64(0), time.Time{}, false
	for missed := 0; missed < mostMissed; {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-changed:
			var err error
			if changed, err = v.report(ctx); err != nil {
				return err
			}
			continue
		case <-v.pongs:
			if rtt := time.Since(asked); waits {
				beat.Answered(rtt)
				due.Reset(beat.Every() - rtt)
				waits, missed = false, 0
			}
			continue
		case <-due.C:
		}
		if waits {
			beat.Missed()
			if missed++; v.signs.Load() != signs {
				missed = 0
			}
		}
		signs, asked, waits = v.signs.Load(), time.Now(), true
		v.wire.askForSign()
		due.Reset(beat.Wait())
	}
	return errDead
}

// report tells how the stream is, and returns what tells of a change.
func (v *viewer) report(ctx context.Context) (changed <-chan struct{}, err error) {
	if v.h.opts.State == nil {
		return nil, nil
	}
	message, changed := v.h.opts.State(v.request.App + "/" + v.request.Name)
	if message == nil {
		return nil, nil
	}
	ctx, cancel := context.WithTimeout(ctx, mostReport)
	defer cancel()
	return changed, v.tell(ctx, message)
}

// limited is ctx for one message.
func (v *viewer) limited(ctx context.Context) (context.Context, context.CancelFunc) {
	if v.set.WriteTimeout <= 0 {
		return context.WithCancel(ctx)
	}
	return context.WithTimeout(ctx, v.set.WriteTimeout)
}

// tell sends a message of JSON. Any goroutine may call it.
func (v *viewer) tell(ctx context.Context, message any) error {
	text, err := json.Marshal(message)
	if err != nil {
		return err
	}
	ctx, cancel := v.limited(ctx)
	defer cancel()
	return v.conn.Write(ctx, websocket.MessageText, text)
}

// push sends a chunk. What all viewers share is not copied to stand behind its sequence.
func (v *viewer) push(seq uint64, data []byte) error {
	binary.BigEndian.PutUint64(v.head[:], seq)
	if err := v.wire.binary(v.head[:], data); err != nil {
		return err
	}
	v.h.sent.Add(uint64(len(v.head) + len(data)))
	return nil
}

// bound makes a reason as short as a close frame wants it.
func bound(reason string) string {
	if len(reason) <= mostReason {
		return reason
	}
	return strings.ToValidUTF8(reason[:mostReason], "")
}
