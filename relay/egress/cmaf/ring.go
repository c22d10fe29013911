package cmaf

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/holdfast-live/holdfast/packetbuf/budget"
)

// ring keeps the newest chunks of a stream.
type ring struct {
	wake atomic.Pointer[chan struct{}] // closed when there is something new

	mu     sync.RWMutex // guards all below
	slots  []*Chunk     // those of sequences tail to head-1; a power of two long
	head   uint64
	tail   uint64
	bytes  int
	inits  []*Chunk // the init sections of the chunks kept, the one in force last
	key    uint64   // the newest independent chunk; 0: none
	err    error    // why nothing follows
	limits Limits
	// account is of the chunks' data.
	account *budget.Account
}

func newRing(first uint64, l Limits) *ring {
	r := &ring{slots: make([]*Chunk, 64), head: first, tail: first, limits: l}
	ch := make(chan struct{})
	r.wake.Store(&ch)
	return r
}

// shrink has the ring keep to its share of the relay's memory now.
func (r *ring) shrink() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.head > r.tail {
		r.trim(*r.at(r.head - 1))
		r.account.Set(r.bytes)
	}
}

// oldest is the sequence of the oldest chunk kept.
func (r *ring) oldest() uint64 {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return r.tail
}

func (r *ring) at(seq uint64) **Chunk { return &r.slots[seq&uint64(len(r.slots)-1)] } //nolint:gosec // a power of two

func (r *ring) append(c *Chunk) {
	r.put(c)
	r.tell()
}

func (r *ring) put(c *Chunk) {
	r.mu.Lock()
	defer r.mu.Unlock() // a panic is recovered, and close follows
	if r.head-r.tail == uint64(len(r.slots)) {
		r.grow()
	}
	*r.at(c.Seq) = c
	r.head = c.Seq + 1
	r.bytes += len(c.Data)
	if c.Init {
		r.inits = append(r.inits, c)
	}
	if c.Independent {
		r.key = c.Seq
	}
	r.trim(c)
	r.account.Set(r.bytes)
}

func (r *ring) grow() {
	old := r.slots
	r.slots = make([]*Chunk, 2*len(old))
	for s := r.tail; s < r.head; s++ {
		*r.at(s) = old[s&uint64(len(old)-1)] //nolint:gosec // a power of two
	}
}

// trim gives up the oldest chunks. The newest stays, and its init section.
func (r *ring) trim(newest *Chunk) {
	over := func() bool {
		return r.limits.Bytes > 0 && r.bytes > r.limits.Bytes || int64(r.bytes) > r.account.Share() ||
			r.limits.Duration > 0 && newest.Start-(*r.at(r.tail)).Start > r.limits.Duration
	}
	for r.head-r.tail > 1 && over() {
		r.bytes -= len((*r.at(r.tail)).Data)
		*r.at(r.tail) = nil
		r.tail++
	}
	for len(r.inits) > 1 && r.inits[1].Seq <= r.tail {
		r.inits = append(r.inits[:0], r.inits[1:]...)
	}
	if r.key < r.tail {
		r.key = 0
	}
}

// tell wakes all that wait.
func (r *ring) tell() {
	ch := make(chan struct{})
	close(*r.wake.Swap(&ch))
}

// close ends the ring: what it holds can be read, and then err.
func (r *ring) close(err error) {
	r.mu.Lock()
	if r.err == nil {
		r.err = err
	}
	r.mu.Unlock()
	r.tell()
}

// initOf is the init section in force at seq. r.mu is held.
func (r *ring) initOf(seq uint64) *Chunk {
	var found *Chunk
	for _, c := range r.inits {
		if c.Seq <= seq {
			found = c
		}
	}
	return found
}

// first is the oldest independent chunk; 0: none. r.mu is held.
func (r *ring) first() uint64 {
	for seq := r.tail; seq < r.head; seq++ {
		if (*r.at(seq)).Independent {
			return seq
		}
	}
	return 0
}

// Cursor is one reader's place among the chunks of a feed. One goroutine uses it.
type Cursor struct {
	r       *ring
	lag     time.Duration
	next    uint64 // 0: waits for an independent chunk
	oldest  bool   // which may be old
	init    *Chunk // that was handed out last
	back    bool   // it came back, and is not held to the lag before it has caught up
	lost    bool   // what is handed out next does not follow
	skipped bool
	buf     [batch]*Chunk
}

// batch is how many chunks are handed out at a time.
const batch = 32

// Next waits for chunks and returns those that follow, valid until the next Next: first the
// init section wherever it is another than the reader has. Its error is that of ctx, or tells
// how the feed ended, after all chunks have been handed out: it is ErrEnded, ErrClosed, or a
// *CodecError.
//
// A reader that has fallen behind by more than the lag allowed, or out of the ring, goes on at
// the newest independent chunk; Skipped tells.
func (c *Cursor) Next(ctx context.Context) ([]*Chunk, error) {
	for {
		wake := *c.r.wake.Load()
		got, err := c.take()
		if len(got) > 0 || err != nil {
			return got, err
		}
		select {
		case <-wake:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// Skipped tells whether the chunks that Next returned last do not follow those before.
func (c *Cursor) Skipped() bool { return c.skipped }

// take returns what there is now.
func (c *Cursor) take() ([]*Chunk, error) {
	r := c.r
	r.mu.RLock()
	defer r.mu.RUnlock()
	c.skipped = false
	switch {
	case c.next == 0 && c.oldest:
		c.next = r.first()
	case c.next == 0:
		c.next = r.key
	case c.behind():
		c.lost, c.next = true, r.key
	}
	if c.next == 0 || c.next == r.head {
		c.back = false
		return nil, r.err
	}
	c.skipped, c.lost = c.lost, false
	out := c.buf[:0]
	if init := r.initOf(c.next); init != nil && init != c.init && init.Seq != c.next {
		out, c.init = append(out, init), init
	}
	for ; c.next < r.head && len(out) < batch; c.next++ {
		chunk := *r.at(c.next)
		if chunk.Init {
			c.init = chunk
		}
		out = append(out, chunk)
	}
	return out, nil
}

// behind tells whether the reader has to skip. r.mu is held.
func (c *Cursor) behind() bool {
	r := c.r
	if c.next < r.tail {
		return true
	}
	if c.lag <= 0 || c.next >= r.head {
		return false
	}
	// In arrivals: a publisher that delivers seconds at once makes nobody slow.
	late := (*r.at(r.head - 1)).Arrived.Sub((*r.at(c.next)).Arrived) > c.lag
	c.back = c.back && late
	return late && !c.back && r.key > c.next
}
