package rtmpconn

import (
	"errors"
	"slices"
	"testing"

	"github.com/holdfast-live/holdfast/ingest"
	"github.com/holdfast-live/holdfast/packetbuf/budget"
	wire "github.com/holdfast-live/holdfast/packetbuf/rtmp"
)

// unfinished is a video message of size bytes of which the last one has not come.
func unfinished(size int) []byte {
	b := []byte{2, 0, 0, 0, 0, 0, 4, wire.TypeSetChunkSize, 0, 0, 0, 0, 0, 0xff, 0xff, 0xff} // one chunk a message
	b = append(b, 4, 0, 0, 0, byte(size>>16), byte(size>>8), byte(size), wire.TypeVideo, 1, 0, 0, 0)
	return append(b, make([]byte, size-1)...)
}

func receive(r *reader, p []byte) (m *wire.Message, err error) {
	for piece := range slices.Chunk(p, 16<<10) {
		r.in = piece
		if m, err = r.message(); err != nil || m != nil {
			return m, err
		}
	}
	return nil, nil
}

// Connections that hold large messages back take no more than a part of the memory, and each that would
// take more ends by its own fault. Modest ones go on.
func TestUnfinishedMessagesTakeTheirPartOfTheMemory(t *testing.T) {
	const limit = 64 << 20
	memory := budget.New(limit, nil)
	account := memory.OpenFixed(budget.Reassembly)
	connection := func() *reader {
		r := newReader(nil, account)
		r.demux.SetLimits(wire.DefaultLimits())
		return r
	}
	modest := connection()
	failed := 0
	for range 100 {
		r := connection()
		_, err := receive(r, unfinished(3<<20))
		if err == nil {
			continue
		}
		failed++
		if e := endingOf(err); !errors.Is(err, wire.ErrBuffered) || e.cause != ingest.Protocol || e.gone {
			t.Fatalf("ended by %v (%v), want a protocol violation", err, e.cause)
		}
		r.account(0)
	}
	if used := account.Extra(); used > limit/8 || failed < 90 {
		t.Errorf("%d bytes held by %d connections, want at most %d", used, 100-failed, limit/8)
	}
	for range 10 {
		if m, err := receive(modest, append(unfinished(300<<10), 0)); err != nil || m == nil || len(m.Payload) != 300<<10 {
			t.Fatalf("the modest connection got %v, %v", m, err)
		}
	}
	modest.account(0)
	if share := memory.Share(); share != budget.Unlimited {
		t.Errorf("a share of %d bytes, want no bound", share)
	}
}
