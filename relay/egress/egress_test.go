package egress

import (
	"context"
	"errors"
	"net"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/holdfast-live/holdfast/packetbuf"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// fakeConn records the deadlines that are set.
type fakeConn struct {
	set  []time.Duration // from the time of the call
	fail error
}

func (c *fakeConn) SetWriteDeadline(t time.Time) error {
	c.set = append(c.set, time.Until(t))
	return c.fail
}

// The deadline is set rarely, and each write gets at least three quarters of the timeout.
func TestDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &fakeConn{}
		d := Deadline{Conn: c, Timeout: 8 * time.Second}
		until := time.Time{}
		for range 600 {
			n := len(c.set)
			if err := d.Extend(); err != nil {
				t.Fatal(err)
			}
			if len(c.set) > n {
				until = time.Now().Add(c.set[n])
			}
			if left := time.Until(until); left < 6*time.Second || left > 8*time.Second {
				t.Fatalf("got %v left for a write, want 6s to 8s", left)
			}
			time.Sleep(33 * time.Millisecond)
		}
		if len(c.set) > 11 {
			t.Errorf("deadline set %d times in 20 s, want at most 11", len(c.set))
		}
		n := len(c.set)
		d.End()
		time.Sleep(10 * time.Second)
		if err := d.Extend(); err != nil || len(c.set) != n+1 || c.set[n] != endTimeout {
			t.Errorf("after End: got deadlines %v and error %v, want one of %v", c.set[n:], err, endTimeout)
		}
	})
}

// endingConn calls End while the deadline is being extended.
type endingConn struct {
	fakeConn
	d *Deadline
}

func (r *endingConn) SetWriteDeadline(t time.Time) error {
	if len(r.set) == 0 {
		r.set = append(r.set, 0)
		r.d.End()
	}
	return r.fakeConn.SetWriteDeadline(t)
}

func TestDeadlineEndsMeanwhile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &endingConn{}
		r.d = &Deadline{Conn: r, Timeout: 8 * time.Second}
		if err := r.d.Extend(); err != nil || r.set[len(r.set)-1] != endTimeout {
			t.Errorf("got deadlines %v and error %v, want the last to be %v", r.set, err, endTimeout)
		}
	})
}

func TestNoDeadline(t *testing.T) {
	c := &fakeConn{}
	d := Deadline{Conn: c}
	for range 3 {
		if err := d.Extend(); err != nil || len(c.set) != 1 || c.set[0] < 365*24*time.Hour {
			t.Errorf("got deadlines %v and error %v, want one deadline years away", c.set, err)
		}
	}
	c.fail = net.ErrClosed
	d = Deadline{Conn: c, Timeout: time.Second}
	if err := d.Extend(); !errors.Is(err, net.ErrClosed) {
		t.Error(err)
	}
}

// batches is a stream that returns one batch per Read, a second apart.
type batches [][]*packetbuf.Packet

var errEnd = errors.New("the stream has ended")

func (s *batches) Read(ctx context.Context) ([]*packetbuf.Packet, error) {
	if len(*s) == 0 {
		return nil, errEnd
	}
	time.Sleep(time.Second)
	p := (*s)[0]
	*s = (*s)[1:]
	for i := range p {
		p[i].Arrived = time.Now()
	}
	return p, ctx.Err()
}

func (*batches) Skip()                 {}
func (*batches) Done() <-chan struct{} { return nil }

// payloadWriter records the payloads that are written.
type payloadWriter struct {
	wrote []string
	idle  int
	fail  error
}

func (*payloadWriter) Paused() bool { return false }

func (*payloadWriter) Append(bufs net.Buffers, p *packetbuf.Packet) net.Buffers {
	if len(p.Payload) == 0 {
		return bufs
	}
	return append(bufs, p.Payload)
}

func (w *payloadWriter) Write(bufs *net.Buffers) error {
	s := ""
	for _, b := range *bufs {
		s += string(b)
	}
	w.wrote = append(w.wrote, s)
	return w.fail
}

func (w *payloadWriter) Idle() error {
	w.idle++
	return w.fail
}

func packet(kind packetbuf.Kind, payload string) *packetbuf.Packet {
	return &packetbuf.Packet{Kind: kind, Payload: []byte(payload)}
}

// Each batch is one write. Packets that the protocol does not carry are not written and do not
// prevent a keepalive. Started is called once, after the first media.
func TestRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := batches{{packet(packetbuf.Config, "c")}, nil, {packet(packetbuf.Key, "k"), packet(packetbuf.Delta, "d")}, {packet(packetbuf.Delta, "e")}}
		for range 31 {
			s = append(s, []*packetbuf.Packet{packet(packetbuf.Delta, "")})
		}
		w, started, sum := &payloadWriter{}, time.Duration(0), atomic.Uint64{}
		start := time.Now()
		err := Run(t.Context(), &s, w, Meter{Bytes: &sum, Started: func() { started += time.Since(start) }})
		if !errors.Is(err, errEnd) || len(w.wrote) != 3 || w.wrote[0] != "c" || w.wrote[1] != "kd" || w.wrote[2] != "e" {
			t.Errorf("got writes %q and error %v, want c, kd, e and %v", w.wrote, err, errEnd)
		}
		if started != 3*time.Second || sum.Load() != 4 || w.idle != 2 {
			t.Errorf("got start after %v, %d bytes, %d keepalives, want 3s, 4, 2", started, sum.Load(), w.idle)
		}
	})
}

func TestRunFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		broken := errors.New("broken pipe")
		s := batches{{packet(packetbuf.Key, "k")}}
		if err := Run(t.Context(), &s, &payloadWriter{fail: broken}, Meter{}); !errors.Is(err, broken) {
			t.Error(err)
		}
		s = make(batches, 30)
		if err := Run(t.Context(), &s, &payloadWriter{fail: broken}, Meter{}); !errors.Is(err, broken) || len(s) != 15 {
			t.Error(err, len(s))
		}
	})
}
