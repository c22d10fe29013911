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

// Code is the WebSocket close code that a client receives.
type Code int

const (
	// Ended means that the stream has ended; a retry does not help.
	Ended Code = 4000
	// NotLive means that the stream is not live; the reason is the time until a retry, in
	// seconds.
	NotLive Code = 4001
	// Refused means that the viewer was rejected for the given reason; a retry does not help.
	Refused Code = 4002
	// Restarting means that the relay is restarting; the client should retry at once.
	Restarting Code = 1012
	// Busy means that the relay is busy; the reason is the time until a retry, in seconds.
	Busy Code = 1013

	malformed Code = 1007
)

const (
	// maxRead is the maximum size of a client's message, in bytes.
	maxRead = 1 << 10
	// maxReason is the maximum length of a close reason, in bytes.
	maxReason = 123
	// closeTimeout is how long the last writes and reads may take.
	closeTimeout = time.Second
	// maxReport is how long writing a state message may take, regardless of WriteTimeout.
	maxReport = 15 * time.Second
	// maxMissed is the number of consecutive unanswered pings after which a connection is closed.
	maxMissed = 3
)

var (
	errDead      = errors.New("client does not answer pings")
	errMalformed = errors.New(`message must be JSON: {"ack": N} or {"ping": N}`)
)

// hijacker wraps the hijacked connection in a wire.
type hijacker struct {
	http.ResponseWriter
	timeout time.Duration
	wire    *wire
}

// Hijack implements http.Hijacker.
func (t *hijacker) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	conn, buffers, err := http.NewResponseController(t.ResponseWriter).Hijack()
	if err != nil {
		return nil, nil, err
	}
	_ = conn.SetDeadline(time.Time{}) // clear the deadline of net/http
	t.wire = newWire(conn, t.timeout)
	return t.wire, bufio.NewReadWriter(buffers.Reader, bufio.NewWriter(t.wire)), nil
}

// accept accepts a WebSocket and returns its viewer. It accepts any origin, because play tokens
// decide about access.
func (h *Handler) accept(w http.ResponseWriter, r *http.Request) (*viewer, error) {
	v := newViewer(h, r)
	t := &hijacker{ResponseWriter: w, timeout: v.settings.WriteTimeout}
	conn, err := websocket.Accept(t, r, &websocket.AcceptOptions{
		InsecureSkipVerify: true,
		CompressionMode:    websocket.CompressionDisabled,
		OnPingReceived: func(_ context.Context, ping []byte) bool { // the library would close a connection that cannot take the pong within 5 s
			v.recordActivity()
			t.wire.sendPong(ping)
			return false
		},
		OnPongReceived: func(context.Context, []byte) {
			v.recordActivity()
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
	conn.SetReadLimit(maxRead)
	return v, nil
}

// clientMessage is a message from the client.
type clientMessage struct {
	Ack  *uint64          `json:"ack"`
	Ping *json.RawMessage `json:"ping"`
}

// readMessages handles the client's messages until the connection ends. It never returns nil.
func (v *viewer) readMessages(ctx context.Context) error {
	for {
		kind, text, err := v.conn.Read(context.Background()) // returns when the connection is closed
		if err != nil {
			return err
		}
		v.recordActivity()
		var message clientMessage
		if kind != websocket.MessageText || json.Unmarshal(text, &message) != nil {
			return errMalformed
		}
		if message.Ack != nil {
			v.window.ack(*message.Ack)
		}
		if message.Ping != nil { // for scripts in browsers, which cannot send ping frames
			if err := v.sendJSON(ctx, map[string]any{"pong": message.Ping, "now": time.Now()}); err != nil {
				return err
			}
		}
	}
}

// recordActivity records that the client has sent a message, a ping or a pong.
func (v *viewer) recordActivity() { v.activity.Add(1) }

// keepAlive pings the client, and sends it each change of the stream's state. It returns when the
// client no longer answers, and never returns nil.
func (v *viewer) keepAlive(ctx context.Context) error {
	heartbeat := pacing.Heartbeat{Fixed: v.settings.Heartbeat, Most: egress.IdleAfter}
	due := time.NewTimer(heartbeat.Every())
	defer due.Stop()
	var changed <-chan struct{} = v.greeted
	signs, pinged, waiting := uint64(0), time.Time{}, false
	for missed := 0; missed < maxMissed; {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-changed:
			var err error
			if changed, err = v.reportState(ctx); err != nil {
				return err
			}
			continue
		case <-v.pongs:
			if rtt := time.Since(pinged); waiting {
				heartbeat.Answered(rtt)
				due.Reset(heartbeat.Every() - rtt)
				waiting, missed = false, 0
			}
			continue
		case <-due.C:
		}
		if waiting {
			heartbeat.Missed()
			if missed++; v.activity.Load() != signs {
				missed = 0
			}
		}
		signs, pinged, waiting = v.activity.Load(), time.Now(), true
		v.wire.sendPing()
		due.Reset(heartbeat.Wait())
	}
	return errDead
}

// reportState sends the state of the stream. It returns the channel that is closed when the state
// changes.
func (v *viewer) reportState(ctx context.Context) (changed <-chan struct{}, err error) {
	if v.handler.opts.State == nil {
		return nil, nil
	}
	message, changed := v.handler.opts.State(v.request.App + "/" + v.request.Name)
	if message == nil {
		return nil, nil
	}
	ctx, cancel := context.WithTimeout(ctx, maxReport)
	defer cancel()
	return changed, v.sendJSON(ctx, message)
}

// writeContext returns ctx with the timeout of one message.
func (v *viewer) writeContext(ctx context.Context) (context.Context, context.CancelFunc) {
	if v.settings.WriteTimeout <= 0 {
		return context.WithCancel(ctx)
	}
	return context.WithTimeout(ctx, v.settings.WriteTimeout)
}

// sendJSON sends a JSON message. It is safe for concurrent use.
func (v *viewer) sendJSON(ctx context.Context, message any) error {
	text, err := json.Marshal(message)
	if err != nil {
		return err
	}
	ctx, cancel := v.writeContext(ctx)
	defer cancel()
	return v.conn.Write(ctx, websocket.MessageText, text)
}

// sendChunk sends a chunk. It does not copy data, which all viewers share.
func (v *viewer) sendChunk(seq uint64, data []byte) error {
	binary.BigEndian.PutUint64(v.header[:], seq)
	if err := v.wire.writeBinary(v.header[:], data); err != nil {
		return err
	}
	v.handler.sent.Add(uint64(len(v.header) + len(data)))
	return nil
}

// truncateReason shortens a reason to the maximum length of a close frame's reason.
func truncateReason(reason string) string {
	if len(reason) <= maxReason {
		return reason
	}
	return strings.ToValidUTF8(reason[:maxReason], "")
}
