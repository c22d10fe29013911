package mse

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/bluenviron/mediacommon/v2/pkg/formats/fmp4"
	"github.com/coder/websocket"
	"go.uber.org/goleak"

	"github.com/holdfast-live/holdfast/packetbuf"
	"github.com/holdfast-live/holdfast/relay/egress"
	"github.com/holdfast-live/holdfast/relay/egress/cmaf"
	"github.com/holdfast-live/holdfast/testmedia/gen"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// pipes is a listener in memory.
type pipes struct {
	conns chan net.Conn
	done  chan struct{}
}

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.done:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error   { close(p.done); return nil }
func (p *pipes) Addr() net.Addr { return &net.TCPAddr{} }

// bench is a relay of one stream, live/cam, and its handler behind net/http.
type bench struct {
	*Handler
	t       *testing.T
	feeds   *cmaf.Feeds
	server  *http.Server
	pipes   *pipes
	limits  cmaf.Limits
	timeout time.Duration
	bytes   atomic.Uint64
	skipped atomic.Uint64
	joins   atomic.Int64
	playing atomic.Int64 // places that are held
	serving sync.WaitGroup

	mu       sync.Mutex // guards what follows
	places   []*place
	live     bool
	refusal  error
	life     int // of the stream, and in its tokens
	resumes  []string
	finished chan struct{}
}

var (
	errNotLive = errors.New("not live")
	errBusy    = errors.New("busy")
	errToken   = errors.New("the play token is not good")
)

// story runs f with a relay in a bubble.
func story(t *testing.T, change func(*bench), f func(b *bench)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		b := &bench{
			t: t, limits: cmaf.Limits{Duration: 20 * time.Second, Bytes: 64 << 20, Lag: 5 * time.Second}, timeout: 10 * time.Second,
			live: true, finished: make(chan struct{}), pipes: &pipes{make(chan net.Conn), make(chan struct{})},
		}
		if change != nil {
			change(b)
		}
		quiet := slog.New(slog.DiscardHandler)
		b.feeds = cmaf.New(cmaf.Options{Open: b.open, Limits: func(string) cmaf.Limits { return b.limits }, Log: quiet})
		b.Handler = New(Options{
			Streams: b, Feeds: b.feeds, Refuse: refusal, Bytes: &b.bytes, Skipped: &b.skipped, Log: quiet,
			Settings: func(string) Settings { return Settings{WriteTimeout: b.timeout, Lag: b.limits.Lag} },
			Remote:   func(r *http.Request) string { return r.RemoteAddr },
			Joined:   func(time.Duration) { b.joins.Add(1) },
			Resumed: func(outcome string) {
				b.mu.Lock()
				defer b.mu.Unlock()
				b.resumes = append(b.resumes, outcome)
			},
			Problem: func(w http.ResponseWriter, status int, reason, hint string) { http.Error(w, reason+"; "+hint, status) },
		})
		b.server = &http.Server{Handler: b.Handler, ErrorLog: slog.NewLogLogger(quiet.Handler(), slog.LevelError)}
		b.serving.Go(func() { _ = b.server.Serve(b.pipes) })
		defer func() {
			b.Close()
			b.feeds.Close()
			_ = b.server.Close()
			b.serving.Wait()
			if n := b.playing.Load(); n != 0 {
				t.Errorf("%d places are still held", n)
			}
		}()
		f(b)
	})
}

func refusal(err error) Refusal {
	switch {
	case errors.Is(err, errNotLive):
		return Refusal{NotLive, "2"}
	case errors.Is(err, errBusy):
		return Refusal{Busy, "3"}
	}
	return Refusal{Refused, err.Error()}
}

// Enter implements Streams.
func (b *bench) Enter(_ context.Context, r egress.Request) (egress.Place, Pass, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	token := fmt.Sprintf("token-%d", b.life)
	switch {
	case b.refusal != nil:
		return nil, Pass{}, b.refusal
	case !b.live:
		return nil, Pass{}, errNotLive
	}
	pass := Pass{Token: token}
	if r.Resume != nil {
		pass.Good, pass.Expired = r.Resume.Token == token, r.Resume.Token == "old"
	}
	b.playing.Add(1)
	return &place{b: b, viewer: true}, pass, nil
}

func (b *bench) open(context.Context, string, bool) (egress.Place, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	p := &place{b: b, packets: make(chan *packetbuf.Packet, 1<<14)}
	b.places = append(b.places, p)
	return p, nil
}

// place is a viewer's, of which nothing is read, or a feed's.
type place struct {
	b       *bench
	viewer  bool
	packets chan *packetbuf.Packet
}

var errOver = errors.New("the publisher ended the stream")

func (p *place) Read(ctx context.Context) ([]*packetbuf.Packet, error) {
	select {
	case got, ok := <-p.packets:
		if !ok {
			return nil, errOver
		}
		return []*packetbuf.Packet{got}, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (p *place) Has(packetbuf.Track) bool { return true }
func (p *place) Skip()                    {}
func (p *place) Done() <-chan struct{}    { return p.b.finished }

func (p *place) Close() {
	if p.viewer {
		p.b.playing.Add(-1)
	}
}

// push is one publisher, whose packets come as time passes.
type push struct {
	b     *bench
	next  func() *packetbuf.Packet
	ahead *packetbuf.Packet
	seq   uint64
	began time.Time
}

func (b *bench) publish(o gen.Options) *push {
	if o.VideoBitrate == 0 {
		o.VideoBitrate = 500_000
	}
	return &push{b: b, next: gen.New(o).Next, began: time.Now()}
}

// run pushes for d.
func (p *push) run(d time.Duration) {
	for end := time.Now().Add(d); ; p.ahead = nil {
		if p.ahead == nil {
			p.ahead = p.next()
		}
		due := p.began.Add(p.ahead.DTS)
		if due.After(end) {
			time.Sleep(time.Until(end))
			synctest.Wait()
			return
		}
		time.Sleep(time.Until(due))
		p.seq++
		p.ahead.Arrived, p.ahead.Seq = time.Now(), p.seq
		p.b.mu.Lock()
		for _, to := range p.b.places {
			to.packets <- p.ahead
		}
		p.b.mu.Unlock()
	}
}

// finish ends the stream.
func (b *bench) finish() {
	b.mu.Lock()
	defer b.mu.Unlock()
	close(b.finished)
	for _, p := range b.places {
		close(p.packets)
	}
	b.live, b.places = false, nil
}

// message is what a client was sent.
type message struct {
	text string
	seq  uint64
	data []byte
}

func (m message) init() bool { return m.text == "" && string(m.data[4:8]) == "ftyp" }

// client plays.
type client struct {
	b    *bench
	raw  net.Conn
	conn *websocket.Conn
	acks bool
	done chan struct{} // closed when the socket has ended
	err  error         // then: how

	mu   sync.Mutex // guards what follows
	got  []message
	wait time.Duration // before each read
}

func (b *bench) dial(query string, change func(*client)) *client {
	b.t.Helper()
	c := &client{b: b, acks: true, done: make(chan struct{})}
	transport := &http.Transport{DialContext: func(context.Context, string, string) (net.Conn, error) {
		near, far := net.Pipe()
		c.raw = near
		b.pipes.conns <- far
		return near, nil
	}}
	var err error
	c.conn, _, err = websocket.Dial(b.t.Context(), "ws://relay/live/cam/mse"+query, &websocket.DialOptions{
		HTTPClient: &http.Client{Transport: transport}, HTTPHeader: http.Header{"Origin": {"https://elsewhere.example"}},
	})
	if err != nil {
		b.t.Fatal(err)
	}
	c.conn.SetReadLimit(16 << 20)
	if change != nil {
		change(c)
	}
	go c.read()
	synctest.Wait()
	return c
}

func (c *client) read() {
	defer close(c.done)
	for {
		c.mu.Lock()
		wait := c.wait
		c.mu.Unlock()
		time.Sleep(wait)
		kind, data, err := c.conn.Read(context.Background())
		if err != nil {
			c.err = err
			_ = c.conn.CloseNow()
			return
		}
		m := message{text: string(data)}
		if kind == websocket.MessageBinary {
			m = message{seq: binary.BigEndian.Uint64(data), data: data[8:]}
		}
		c.mu.Lock()
		c.got = append(c.got, m)
		c.mu.Unlock()
		if m.text == "" && c.acks {
			c.say(fmt.Sprintf(`{"ack": %d}`, m.seq))
		}
	}
}

func (c *client) say(text string) {
	_ = c.conn.Write(context.Background(), websocket.MessageText, []byte(text)) // it may be over
}

func (c *client) pace(wait time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.wait = wait
}

// cut ends the connection as a network does.
func (c *client) cut() {
	_ = c.raw.Close()
	<-c.done
	synctest.Wait()
}

// leave says goodbye.
func (c *client) leave() {
	_ = c.conn.Close(websocket.StatusNormalClosure, "")
	<-c.done
	synctest.Wait()
}

// closed is how the relay closed the socket.
func (c *client) closed() (Code, string) {
	<-c.done
	var end websocket.CloseError
	if !errors.As(c.err, &end) {
		return 0, c.err.Error()
	}
	return Code(end.Code), end.Reason
}

func (c *client) all() []message {
	c.mu.Lock()
	defer c.mu.Unlock()
	return append([]message(nil), c.got...)
}

// binaries are the chunks.
func (c *client) binaries() (out []message) {
	for _, m := range c.all() {
		if m.text == "" {
			out = append(out, m)
		}
	}
	return out
}

func (c *client) last() uint64 {
	all := c.binaries()
	return all[len(all)-1].seq
}

// count is how many messages of JSON have a key.
func (c *client) count(key string) (n int) {
	for _, m := range c.all() {
		if m.text != "" {
			var said map[string]any
			if err := json.Unmarshal([]byte(m.text), &said); err != nil {
				c.b.t.Errorf("not JSON: %s", m.text)
			}
			if _, ok := said[key]; ok {
				n++
			}
		}
	}
	return n
}

// hello is the first message.
func (c *client) hello() (h struct{ Session, Codecs, Resume string }) {
	c.b.t.Helper()
	all := c.all()
	if len(all) == 0 || json.Unmarshal([]byte(all[0].text), &h) != nil {
		c.b.t.Fatalf("%d messages, the first is no greeting", len(all))
	}
	return h
}

// parse takes init sections and fragments apart; it returns the pictures.
func parse(t *testing.T, all []message) (pictures int) {
	t.Helper()
	for _, m := range all {
		if m.text != "" {
			continue
		}
		if m.init() {
			var init fmp4.Init
			if err := init.Unmarshal(bytes.NewReader(m.data)); err != nil || len(init.Tracks) == 0 {
				t.Fatalf("init section %d: %v", m.seq, err)
			}
			continue
		}
		var parts fmp4.Parts
		if err := parts.Unmarshal(m.data); err != nil || len(parts) != 1 {
			t.Fatalf("chunk %d: %d fragments, %v", m.seq, len(parts), err)
		}
		for _, tr := range parts[0].Tracks {
			if tr.ID == 1 {
				pictures += len(tr.Samples)
			}
		}
	}
	return pictures
}
