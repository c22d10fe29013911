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

// clock notes the deadlines that it is given.
type clock struct {
	set  []time.Duration // from the time of the call
	fail error
}

func (c *clock) SetWriteDeadline(t time.Time) error {
	c.set = append(c.set, time.Until(t))
	return c.fail
}

// A deadline is set seldom, and no write gets less than three quarters of its time.
func TestDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &clock{}
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
				t.Fatalf("%v left", left)
			}
			time.Sleep(33 * time.Millisecond)
		}
		if len(c.set) > 11 {
			t.Errorf("set %d times in 20 s", len(c.set))
		}
		n := len(c.set)
		d.End()
		time.Sleep(10 * time.Second)
		if err := d.Extend(); err != nil || len(c.set) != n+1 || c.set[n] != lastWords {
			t.Errorf("after the end: %v, %v", c.set[n:], err)
		}
	})
}

// racing ends the deadline while it is being extended.
type racing struct {
	clock
	d *Deadline
}

func (r *racing) SetWriteDeadline(t time.Time) error {
	if len(r.set) == 0 {
		r.set = append(r.set, 0)
		r.d.End()
	}
	return r.clock.SetWriteDeadline(t)
}

func TestDeadlineEndsMeanwhile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &racing{}
		r.d = &Deadline{Conn: r, Timeout: 8 * time.Second}
		if err := r.d.Extend(); err != nil || r.set[len(r.set)-1] != lastWords {
			t.Errorf("%v, %v", r.set, err)
		}
	})
}

func TestNoDeadline(t *testing.T) {
	c := &clock{}
	d := Deadline{Conn: c}
	for range 3 {
		if err := d.Extend(); err != nil || len(c.set) != 1 || c.set[0] < 365*24*time.Hour {
			t.Errorf("%v, %v, want one that is far away", c.set, err)
		}
	}
	c.fail = net.ErrClosed
	d = Deadline{Conn: c, Timeout: time.Second}
	if err := d.Extend(); !errors.Is(err, net.ErrClosed) {
		t.Error(err)
	}
}

// steps is a stream that hands out one batch after another, a second apart.
type steps [][]*packetbuf.Packet

var errEnd = errors.New("the stream is over")

func (s *steps) Read(ctx context.Context) ([]*packetbuf.Packet, error) {
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

func (*steps) Skip()                 {}
func (*steps) Done() <-chan struct{} { return nil }

// plain writes payloads.
type plain struct {
	wrote []string
	idle  int
	fail  error
}

func (*plain) Paused() bool { return false }

func (*plain) Append(bufs net.Buffers, p *packetbuf.Packet) net.Buffers {
	if len(p.Payload) == 0 {
		return bufs
	}
	return append(bufs, p.Payload)
}

func (w *plain) Write(bufs *net.Buffers) error {
	s := ""
	for _, b := range *bufs {
		s += string(b)
	}
	w.wrote = append(w.wrote, s)
	return w.fail
}

func (w *plain) Idle() error {
	w.idle++
	return w.fail
}

func packet(kind packetbuf.Kind, payload string) *packetbuf.Packet {
	return &packetbuf.Packet{Kind: kind, Payload: []byte(payload)}
}

// Each batch is one write; what a protocol has no words for is none, and counts as nothing
// said. The first media is told once.
func TestRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := steps{{packet(packetbuf.Config, "c")}, nil, {packet(packetbuf.Key, "k"), packet(packetbuf.Delta, "d")}, {packet(packetbuf.Delta, "e")}}
		for range 31 {
			s = append(s, []*packetbuf.Packet{packet(packetbuf.Delta, "")})
		}
		w, started, sum := &plain{}, time.Duration(0), atomic.Uint64{}
		began := time.Now()
		err := Run(t.Context(), &s, w, Meter{Bytes: &sum, Started: func() { started += time.Since(began) }})
		if !errors.Is(err, errEnd) || len(w.wrote) != 3 || w.wrote[0] != "c" || w.wrote[1] != "kd" || w.wrote[2] != "e" {
			t.Errorf("%q, %v", w.wrote, err)
		}
		if started != 3*time.Second || sum.Load() != 4 || w.idle != 2 {
			t.Errorf("started at %v, %d bytes, idle %d times", started, sum.Load(), w.idle)
		}
	})
}

func TestRunFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		broken := errors.New("broken pipe")
		s := steps{{packet(packetbuf.Key, "k")}}
		if err := Run(t.Context(), &s, &plain{fail: broken}, Meter{}); !errors.Is(err, broken) {
			t.Error(err)
		}
		s = make(steps, 30)
		if err := Run(t.Context(), &s, &plain{fail: broken}, Meter{}); !errors.Is(err, broken) || len(s) != 15 {
			t.Error(err, len(s))
		}
	})
}
