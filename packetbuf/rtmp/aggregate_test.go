package rtmp

import (
	"errors"
	"slices"
	"testing"
)

func aggregate(timestamp uint32, ms ...Message) *Message {
	a := &Message{Header: Header{ChunkStream: 4, Stream: 1, Type: TypeAggregate, Timestamp: timestamp}}
	for _, m := range ms {
		a.Payload = AppendAggregated(a.Payload, m)
	}
	return a
}

func splitAll(m *Message) (got []Message, err error) {
	err = SplitAggregate(m, func(m *Message) error {
		got = append(got, *m)
		return nil
	})
	return got, err
}

func TestSplitAggregate(t *testing.T) {
	sub := func(typ uint8, timestamp uint32, payload ...byte) Message {
		return Message{Header: Header{ChunkStream: 4, Stream: 1, Type: typ, Timestamp: timestamp}, Payload: payload}
	}
	t.Run("timestamps move to the aggregate's", func(t *testing.T) {
		got, err := splitAll(aggregate(10, sub(8, 0xfffffff0, 1), sub(9, 0x4, 2, 3), sub(8, 0x10)))
		want := []Message{sub(8, 10, 1), sub(9, 30, 2, 3), sub(8, 42)}
		if err != nil || !slices.EqualFunc(got, want, sameMessage) {
			t.Fatal(got, err)
		}
	})
	t.Run("last back pointer missing", func(t *testing.T) {
		a := aggregate(0, sub(8, 0, 1), sub(9, 20, 2))
		a.Payload = a.Payload[:len(a.Payload)-4]
		if got, err := splitAll(a); err != nil || len(got) != 2 {
			t.Fatal(got, err)
		}
	})
	t.Run("a part does not keep the whole", func(t *testing.T) {
		a := aggregate(0, sub(8, 0, 1), sub(9, 20, 2))
		got, err := splitAll(a)
		clear(a.Payload)
		if err != nil || got[0].Payload[0] != 1 || got[1].Payload[0] != 2 {
			t.Fatal(got, err)
		}
	})
	for name, p := range map[string][]byte{
		"half a header":    make([]byte, 10),
		"size beyond end":  {8, 0, 0, 9, 0, 0, 0, 0, 0, 0, 0, 1},
		"aggregate within": aggregate(0, sub(TypeAggregate, 0)).Payload,
	} {
		if _, err := splitAll(&Message{Payload: p}); !errors.Is(err, ErrBadAggregate) {
			t.Errorf("%s: got %v, want ErrBadAggregate", name, err)
		}
	}
	t.Run("the error of the callee", func(t *testing.T) {
		full := errors.New("full")
		if err := SplitAggregate(aggregate(0, sub(8, 0)), func(*Message) error { return full }); !errors.Is(err, full) {
			t.Fatal(err)
		}
	})
}

func FuzzSplitAggregate(f *testing.F) {
	f.Add(aggregate(0, Message{Header: Header{Type: 8}, Payload: []byte{1}}).Payload)
	f.Fuzz(func(t *testing.T, p []byte) {
		n := 0
		_ = SplitAggregate(&Message{Payload: p}, func(m *Message) error {
			n += len(m.Payload) + aggregateHeader
			return nil
		})
		if n > len(p) {
			t.Fatalf("got %d bytes from %d", n, len(p))
		}
	})
}
