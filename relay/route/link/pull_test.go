package link

import (
	"errors"
	"io"
	"slices"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/holdfast-live/holdfast/packetbuf"
	"github.com/holdfast-live/holdfast/packetbuf/flv"
	wire "github.com/holdfast-live/holdfast/packetbuf/rtmp"
	"github.com/holdfast-live/holdfast/qos"
	"github.com/holdfast-live/holdfast/testmedia"
	"github.com/holdfast-live/holdfast/testmedia/faultnet"
)

var s0s1s2 = append([]byte{3}, make([]byte, 2*1536)...)

func playing() []byte {
	return slices.Concat(wire.AppendUserControl(nil, wire.EventStreamBegin, 1),
		says("onStatus", 0, wire.Null{}, status("NetStream.Play.Reset", "")),
		says("onStatus", 0, wire.Null{}, status("NetStream.Play.Start", "")),
		data("|RtmpSampleAccess", wire.Bool(true), wire.Bool(true)))
}

func data(name string, values ...wire.Value) []byte {
	b := wire.AppendAMF(nil, append([]wire.Value{wire.String(name)}, values...)...)
	return wire.AppendMessage(nil, wire.Header{ChunkStream: 5, Stream: 1, Type: wire.TypeDataAMF0}, wire.DefaultChunkSize, b)
}

// message is a packet as an origin sends it.
func message(t testing.TB, p *packetbuf.Packet) wire.Message {
	t.Helper()
	body, err := flv.AppendBody(nil, p)
	if err != nil {
		t.Fatal(err)
	}
	h := wire.Header{ChunkStream: 6, Stream: 1, Type: flv.TagType(p.Track), Timestamp: p.Millis()}
	return wire.Message{Header: h, Payload: body}
}

func chunks(ms ...wire.Message) []byte {
	var b []byte
	for _, m := range ms {
		b = wire.AppendMessage(b, m.Header, wire.DefaultChunkSize, m.Payload)
	}
	return b
}

// clip is the beginning of the clip in chunks, and its packets.
func clip(t testing.TB, packets int) ([]byte, []*packetbuf.Packet) {
	t.Helper()
	var b []byte
	var out []*packetbuf.Packet
	for loop := testmedia.NewLoop(0); len(out) < packets; {
		p := loop.Next()
		b = append(b, chunks(message(t, p))...)
		out = append(out, p)
	}
	return b, out
}

// origin answers one connection: with connected to connect, then with a piece to createStream
// and with one to play, and then stays, or closes. It tells how many messages it heard, by
// their type.
func origin(t *testing.T, n *faultnet.Network, stay bool, pieces ...[]byte) (heard chan map[uint8]int) {
	t.Helper()
	l, err := n.Listen(serverAddr)
	if err != nil {
		t.Fatal(err)
	}
	heard = make(chan map[uint8]int, 1)
	go func() {
		defer l.Close()
		types := map[uint8]int{}
		defer func() { heard <- types }()
		conn, err := l.Accept()
		if err != nil {
			return
		}
		defer conn.Close()
		if _, err := conn.Write(s0s1s2); err != nil {
			return
		}
		if _, err := io.CopyN(io.Discard, conn, handshakeSize); err != nil {
			return
		}
		pieces := append([][]byte{connected()}, pieces...)
		buf, d := make([]byte, 64<<10), wire.NewDemuxer(wire.DefaultLimits())
		for stay || len(pieces) > 0 {
			k, err := conn.Read(buf)
			if err != nil {
				return
			}
			for p := buf[:k]; len(p) > 0; {
				rest, m, err := d.Push(p)
				if err != nil || m == nil {
					break
				}
				p = rest
				types[m.Type]++
				if m.Type == wire.TypeCommandAMF0 && len(pieces) > 0 {
					_, _ = conn.Write(pieces[0])
					pieces = pieces[1:]
				}
			}
		}
	}()
	return heard
}

func pull(t *testing.T, n *faultnet.Network) (*Feed, error) {
	t.Helper()
	return Pull(t.Context(), Options{URL: "rtmp://far/live/cam?key=hush", Dialer: n.DialContext})
}

func same(a, b *packetbuf.Packet) bool {
	return a.Track == b.Track && a.Codec == b.Codec && a.DTS == b.DTS && a.CTO == b.CTO &&
		(a.Kind == packetbuf.Config) == (b.Kind == packetbuf.Config) && slices.Equal(a.Payload, b.Payload)
}

// drain reads a feed to its end and expects the packets.
func drain(t *testing.T, f *Feed, want []*packetbuf.Packet) error {
	t.Helper()
	for i := 0; ; i++ {
		p, err := f.Read()
		if err != nil {
			if i != len(want) {
				t.Errorf("%d packets of %d, then %v", i, len(want), err)
			}
			return err
		}
		if i >= len(want) || !same(p, want[i]) || p.Arrived.IsZero() {
			t.Fatalf("packet %d: %+v", i, p)
		}
	}
}

// endings are how an origin ends what it sends.
func endings() map[Ending][][]byte {
	return map[Ending][][]byte{
		EndedUnpublish: {
			says("onStatus", 0, wire.Null{}, status("NetStream.Play.UnpublishNotify", "over")),
			says("onStatus", 0, wire.Null{}, status("NetStream.Play.Stop", "over")),
			data("onPlayStatus", status("NetStream.Play.Complete", "")),
			wire.AppendUserControl(nil, wire.EventStreamEOF, 1),
		},
		EndedRejected: {
			says("onStatus", 0, wire.Null{}, append(status("NetStream.Play.Failed", "broken"), wire.Property{Key: "level", Value: wire.String("error")})),
			says("close", 0, wire.Null{}),
		},
		EndedProtocol: {
			{0xcf}, // goes on where nothing has begun
			wire.AppendMessage(nil, wire.Header{ChunkStream: 6, Stream: 1, Type: wire.TypeVideo}, 128, []byte{0x12, 1, 2, 3, 4, 5, 6}), // Sorenson
			wire.AppendMessage(nil, wire.Header{ChunkStream: 6, Stream: 1, Type: wire.TypeAggregate}, 128, []byte{9, 1}),
			{0x06, 0, 0, 0, 0xff, 0xff, 0xff, wire.TypeVideo, 1, 0, 0, 0}, // 16 MiB to come
		},
		EndedEOF: {nil},
	}
}

func TestPull(t *testing.T) {
	media, packets := clip(t, 300)
	for ending, ways := range endings() {
		for _, last := range ways {
			synctest.Test(t, func(t *testing.T) {
				n := faultnet.NewNetwork(nil)
				heard := origin(t, n, last != nil, created(1), slices.Concat(playing(), media, last))
				f, err := pull(t, n)
				if err != nil {
					t.Fatal(err)
				}
				err = drain(t, f, packets)
				var at *PhaseError
				if EndingOf(err) != ending || !errors.As(err, &at) || at.Phase != qos.PhaseRunning || at.Op != opPull {
					t.Errorf("%s by %q: %v", ending, last, err)
				}
				if _, again := f.Read(); again.Error() != err.Error() {
					t.Error("then", again)
				}
				if f.Progress().Received < uint64(len(media)) {
					t.Errorf("%+v", f.Progress())
				}
				_ = f.Close()
				<-heard
			})
		}
	}
}

// TestPullAggregate takes messages that come as one, and timestamps that wrap.
func TestPullAggregate(t *testing.T) {
	_, packets := clip(t, 60)
	const base = 0xffffff00 // ms, to which those of the aggregate are moved
	whole := wire.Message{Header: wire.Header{ChunkStream: 6, Stream: 1, Type: wire.TypeAggregate, Timestamp: base}}
	for _, p := range packets {
		whole.Payload = wire.AppendAggregated(whole.Payload, message(t, p))
	}
	synctest.Test(t, func(t *testing.T) {
		n := faultnet.NewNetwork(nil)
		origin(t, n, false, created(1), slices.Concat(playing(), chunks(whole)))
		f, err := pull(t, n)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		for i, want := range packets {
			p, err := f.Read()
			if err != nil {
				t.Fatal(err)
			}
			if ms := uint32(p.DTS / time.Millisecond); ms != base+want.Millis() || !slices.Equal(p.Payload, want.Payload) {
				t.Fatalf("packet %d at %d ms: %+v", i, ms, p)
			}
		}
	})
}

// TestPullTalk is what an origin hears.
func TestPullTalk(t *testing.T) {
	p := newPeer(target(t), player)
	steps := []struct {
		come []byte
		want []string
	}{
		{nil, []string{"connect"}},
		{connected(), []string{"createStream"}},
		{created(3), []string{"play cam?key=hush"}},
	}
	for _, s := range steps {
		b := p.state.connect() // in chunks of the default size
		if s.come != nil {
			answer, err := p.feed(s.come)
			if err != nil {
				t.Fatal(err)
			}
			b = append(wire.AppendSetChunkSize(nil, chunkSize), answer...)
		}
		if got := commands(t, b); !slices.Equal(got, s.want) {
			t.Errorf("%q, want %q", got, s.want)
		}
	}
	if got := commands(t, append(wire.AppendSetChunkSize(nil, chunkSize), p.state.unpublish()...)); !slices.Equal(got, []string{"deleteStream"}) {
		t.Error(got)
	}
}

// TestPullRefused meets origins that say no, or nothing.
func TestPullRefused(t *testing.T) {
	media, _ := clip(t, 3) // metadata and configurations
	tests := []struct {
		name       string
		pieces     [][]byte
		disconnect bool
		phase      qos.Phase
		outcome    qos.Outcome
		after      time.Duration
	}{
		{"no such stream", [][]byte{created(1), says("onStatus", 0, wire.Null{}, status("NetStream.Play.StreamNotFound", ""))}, false, qos.PhasePublish, qos.DialRejected, 0},
		{"failed", [][]byte{created(1), says("onStatus", 0, wire.Null{}, status("NetStream.Play.Failed", ""))}, false, qos.PhasePublish, qos.DialRejected, 0},
		{"no stream for us", [][]byte{says("_error", txCreateStream)}, false, qos.PhasePublish, qos.DialRejected, 0},
		{"closed at play", [][]byte{created(1), nil}, true, qos.PhasePublish, qos.DialRejected, 0},
		{"closed before media", [][]byte{created(1), slices.Concat(playing(), media)}, true, qos.PhaseMedia, qos.DialRejected, 0},
		{"over before it began", [][]byte{created(1), slices.Concat(playing(), says("onStatus", 0, wire.Null{}, status("NetStream.Play.UnpublishNotify", "")))}, false, qos.PhasePublish, qos.DialRejected, 0},
		{"no answer to play", [][]byte{created(1)}, false, qos.PhasePublish, qos.DialTimeout, 5 * time.Second},
		{"no media", [][]byte{created(1), slices.Concat(playing(), media)}, false, qos.PhaseMedia, qos.DialTimeout, 10 * time.Second},
		{"an early end of file", [][]byte{created(1), slices.Concat(playing(), wire.AppendUserControl(nil, wire.EventStreamEOF, 1))}, false, qos.PhaseMedia, qos.DialTimeout, 10 * time.Second},
	}
	for _, tt := range tests {
		synctest.Test(t, func(t *testing.T) {
			n := faultnet.NewNetwork(nil)
			ended := origin(t, n, !tt.disconnect, tt.pieces...)
			begun := time.Now()
			_, err := pull(t, n)
			var at *PhaseError
			if !errors.As(err, &at) || at.Phase != tt.phase || Classify(err) != tt.outcome || time.Since(begun) != tt.after {
				t.Errorf("%s: %v after %v", tt.name, err, time.Since(begun))
			}
			if err != nil && strings.Contains(err.Error(), "hush") {
				t.Error(err)
			}
			<-ended
		})
	}
}

// TestPullCloses ends a Read that waits.
func TestPullCloses(t *testing.T) {
	media, packets := clip(t, 10)
	synctest.Test(t, func(t *testing.T) {
		n := faultnet.NewNetwork(nil)
		ended := origin(t, n, true, created(1), slices.Concat(playing(), media))
		f, err := pull(t, n)
		if err != nil {
			t.Fatal(err)
		}
		read := make(chan error)
		go func() { read <- drain(t, f, packets) }()
		time.Sleep(time.Hour) // the bubble's time: silence is not a feed's to judge
		if err := errors.Join(f.Close(), f.Close()); err != nil {
			t.Error(err)
		}
		if err := <-read; !errors.Is(err, ErrClosed) || EndingOf(err) != EndedClosed {
			t.Error(err)
		}
		<-ended
	})
}

func TestPullReset(t *testing.T) {
	media, packets := clip(t, 10)
	synctest.Test(t, func(t *testing.T) {
		n := faultnet.NewNetwork(nil)
		ended := origin(t, n, true, created(1), slices.Concat(playing(), media))
		f, err := pull(t, n)
		if err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		n.Wire(0).Do(faultnet.Reset, faultnet.Both)
		if err := drain(t, f, packets); EndingOf(err) != EndedReset || !errors.Is(err, syscall.ECONNRESET) {
			t.Error(err)
		}
		<-ended
	})
}

// TestPullAnswers answers pings and acknowledges by the origin's window.
func TestPullAnswers(t *testing.T) {
	media, packets := clip(t, 400)
	synctest.Test(t, func(t *testing.T) {
		n := faultnet.NewNetwork(nil)
		heard := origin(t, n, true, created(1), slices.Concat(playing(), wire.AppendWindowAckSize(nil, 10_000),
			wire.AppendUserControl(nil, wire.EventPingRequest, 7), media))
		f, err := pull(t, n)
		if err != nil {
			t.Fatal(err)
		}
		for range packets {
			if _, err := f.Read(); err != nil {
				t.Fatal(err)
			}
		}
		_ = f.Close()
		got := <-heard
		// SetBufferLength and the pong are user control both.
		if want := len(media) / (10_000 + feedBuffer); got[wire.TypeAck] < want || got[wire.TypeUserControl] != 2 {
			t.Errorf("%v, want %d acknowledgements", got, want)
		}
	})
}
