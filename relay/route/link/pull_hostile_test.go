package link

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/holdfast-live/holdfast/packetbuf/flv"
	wire "github.com/holdfast-live/holdfast/packetbuf/rtmp"
	"github.com/holdfast-live/holdfast/testmedia/faultnet"
)

// TestPullFlood meets an origin that sends everything but media, as fast as it can.
func TestPullFlood(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := faultnet.NewNetwork(nil)
		l, err := n.Listen(serverAddr)
		if err != nil {
			t.Fatal(err)
		}
		sent := make(chan int, 1)
		go func() {
			defer l.Close()
			conn, err := l.Accept()
			if err != nil {
				return
			}
			defer conn.Close()
			go func() { _, _ = io.Copy(io.Discard, conn) }()
			_, _ = conn.Write(slices.Concat(s0s1s2, connected(), created(1), playing()))
			flood := data("onCuePoint", wire.String(strings.Repeat("x", 100_000)))
			for total := 0; ; total += len(flood) {
				if _, err := conn.Write(flood); err != nil {
					sent <- total
					return
				}
			}
		}()
		_, err = pull(t, n)
		if EndingOf(err) != EndedProtocol || !errors.Is(err, ErrProtocol) {
			t.Error(err)
		}
		if total := <-sent; total > 2*maxAheadBytes {
			t.Errorf("%d bytes were taken", total)
		}
	})
}

func TestPacketQueueIsBounded(t *testing.T) {
	q := &packetQueue{state: newClientState(target(t), player)}
	q.state.stream = 1
	small := wire.Message{Header: wire.Header{Type: wire.TypeAudio}, Payload: []byte{0x2f, 1}}
	m := wire.Message{Header: wire.Header{Type: wire.TypeAggregate}}
	for range maxAggregated + 1 {
		m.Payload = wire.AppendAggregated(m.Payload, small)
	}
	if err := q.takeMessage(&m); !errors.Is(err, ErrProtocol) || len(q.queue) != maxAggregated {
		t.Errorf("%v, %d packets", err, len(q.queue))
	}
	for range maxAggregated {
		if q.pop() == nil {
			t.Fatal("too few")
		}
	}
	if q.pop() != nil || q.queue != nil {
		t.Error("the queue keeps its memory")
	}
}

// FuzzPull feeds what an origin may send: nothing of it may end the process, make this side
// send much more than came, or hold much more than that.
func FuzzPull(f *testing.F) {
	media, packets := clip(f, 8)
	begin := slices.Concat(connected(), created(1))
	f.Add(slices.Concat(begin, playing(), media), 100)
	f.Add(slices.Concat(begin, media), 7)
	for _, ways := range endings() {
		for _, last := range ways {
			f.Add(slices.Concat(begin, playing(), media[:200], last), 5)
		}
	}
	whole := wire.Message{Header: wire.Header{ChunkStream: 6, Stream: 1, Type: wire.TypeAggregate}}
	for _, p := range packets[:4] {
		whole.Payload = wire.AppendAggregated(whole.Payload, message(f, p))
	}
	f.Add(slices.Concat(begin, chunks(whole)), 11)
	f.Fuzz(func(t *testing.T, come []byte, cut int) {
		p := newPeer(target(t), player)
		q := &packetQueue{state: p.state}
		p.media = q.takeMessage
		sent := 0
		for _, part := range split(come, cut) {
			answer, err := p.feed(part)
			sent += len(answer)
			if err != nil {
				if s := fmt.Sprint(err); len(s) > 4*maxShown || strings.Contains(s, "hush") {
					t.Error(s)
				}
				break
			}
		}
		if limit := 4096 + 3*len(come); sent > limit {
			t.Errorf("%d bytes sent for %d that came", sent, len(come))
		}
		held := p.demux.Buffered()
		for p := q.pop(); p != nil; p = q.pop() {
			held += len(p.Payload)
			if !flv.CanCarry(p.Codec) || len(p.Payload) == 0 {
				t.Errorf("%+v", p)
			}
		}
		if p.state.stream == 0 && held > peerLimits().Buffered || held > 3*len(come)+wire.DefaultLimits().Buffered {
			t.Errorf("%d bytes held of %d", held, len(come))
		}
	})
}
