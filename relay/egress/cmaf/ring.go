package cmaf

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/holdfast-live/holdfast/packetbuf/budget"
)

// ring holds the newest chunks of a stream.
type ring struct {
	wake atomic.Pointer[chan struct{}] // closed when a chunk is added or the ring ends

	mu        sync.RWMutex // guards the fields below
	slots     []*Chunk     // chunks from tail to head-1; the length is a power of two
	head      uint64
	tail      uint64
	bytes     int
	inits     []*Chunk // init sections of the chunks in the ring, the one in force last
	newestKey uint64   // newest independent chunk; 0 if none
	err       error    // why no more chunks follow
	limits    Limits
	// account counts the bytes of the chunks' data.
	account *budget.Account
}

func newRing(first uint64, l Limits) *ring {
	r := &ring{slots: make([]*Chunk, 64), head: first, tail: first, limits: l}
	ch := make(chan struct{})
	r.wake.Store(&ch)
	return r
}

// shrink trims the ring to its share of the relay's memory.
func (r *ring) shrink() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.head > r.tail {
		r.trim(*r.slot(r.head - 1))
		r.account.Set(r.bytes)
	}
}

// oldest returns the sequence number of the oldest chunk in the ring.
func (r *ring) oldest() uint64 {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return r.tail
}

func (r *ring) slot(seq uint64) **Chunk { return &r.slots[seq&uint64(len(r.slots)-1)] } //nolint:gosec // a power of two

func (r *ring) append(c *Chunk) {
	r.store(c)
	r.wakeReaders()
}

func (r *ring) store(c *Chunk) {
	r.mu.Lock()
	defer r.mu.Unlock() // a panic is recovered, and close follows
	if r.head-r.tail == uint64(len(r.slots)) {
		r.grow()
	}
	*r.slot(c.Seq) = c
	r.head = c.Seq + 1
	r.bytes += len(c.Data)
	if c.Init {
		r.inits = append(r.inits, c)
	}
	if c.Independent {
		r.newestKey = c.Seq
	}
	r.trim(c)
	r.account.Set(r.bytes)
}

func (r *ring) grow() {
	old := r.slots
	r.slots = make([]*Chunk, 2*len(old))
	for s := r.tail; s < r.head; s++ {
		*r.slot(s) = old[s&uint64(len(old)-1)] //nolint:gosec // a power of two
	}
}

// trim removes the oldest chunks until the limits are met. It keeps the newest chunk and its init
// section.
func (r *ring) trim(newest *Chunk) {
	over := func() bool {
		return r.limits.Bytes > 0 && r.bytes > r.limits.Bytes || int64(r.bytes) > r.account.Share() ||
			r.limits.Duration > 0 && newest.Start-(*r.slot(r.tail)).Start > r.limits.Duration
	}
	for r.head-r.tail > 1 && over() {
		r.bytes -= len((*r.slot(r.tail)).Data)
		*r.slot(r.tail) = nil
		r.tail++
	}
	for len(r.inits) > 1 && r.inits[1].Seq <= r.tail {
		r.inits = append(r.inits[:0], r.inits[1:]...)
	}
	if r.newestKey < r.tail {
		r.newestKey = 0
	}
}

// wakeReaders wakes all waiting readers.
func (r *ring) wakeReaders() {
	ch := make(chan struct{})
	close(*r.wake.Swap(&ch))
}

// close ends the ring. Readers first get the remaining chunks, then err.
func (r *ring) close(err error) {
	r.mu.Lock()
	if r.err == nil {
		r.err = err
	}
	r.mu.Unlock()
	r.wakeReaders()
}

// initOf returns the init section in force at seq, or nil. r.mu is held.
func (r *ring) initOf(seq uint64) *Chunk {
	var found *Chunk
	for _, c := range r.inits {
		if c.Seq <= seq {
			found = c
		}
	}
	return found
}

// oldestIndependent returns the oldest independent chunk, or 0 if there is none. r.mu is held.
func (r *ring) oldestIndependent() uint64 {
	for seq := r.tail; seq < r.head; seq++ {
		if (*r.slot(seq)).Independent {
			return seq
		}
	}
	return 0
}

// Cursor is a reader's position in a feed. It is not safe for concurrent use.
type Cursor struct {
	r          *ring
	lag        time.Duration
	next       uint64 // 0 until an independent chunk is available
	fromOldest bool   // begins at the oldest independent chunk, not at the newest
	sentInit   *Chunk // last init section that was returned
	catchingUp bool   // has resumed and not yet caught up, so that lag does not apply
	missed     bool   // the next chunk does not follow the last one
	skipped    bool
	buf        [batch]*Chunk
}

// batch is the maximum number of chunks that Next returns at once.
const batch = 32

// Next waits for chunks and returns them. The slice is valid until the next call. If the reader
// does not have the init section of the chunks, it comes first. After the last chunk, Next returns
// why the feed ended: ErrEnded, ErrClosed or a *CodecError. It returns the error of ctx if ctx is
// done first.
//
// A reader that is behind by more than Limits.Lag, or whose next chunk has left the ring, continues
// at the newest independent chunk; see Skipped.
func (c *Cursor) Next(ctx context.Context) ([]*Chunk, error) {
	for {
		wake := *c.r.wake.Load()
		got, err := c.read()
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

// Skipped reports whether chunks are missing before those that Next returned last.
func (c *Cursor) Skipped() bool { return c.skipped }

// read returns the chunks that are available.
func (c *Cursor) read() ([]*Chunk, error) {
	r := c.r
	r.mu.RLock()
	defer r.mu.RUnlock()
	c.skipped = false
	switch {
	case c.next == 0 && c.fromOldest:
		c.next = r.oldestIndependent()
	case c.next == 0:
		c.next = r.newestKey
	case c.behind():
		c.missed, c.next = true, r.newestKey
	}
	if c.next == 0 || c.next == r.head {
		c.catchingUp = false
		return nil, r.err
	}
	c.skipped, c.missed = c.missed, false
	out := c.buf[:0]
	if init := r.initOf(c.next); init != nil && init != c.sentInit && init.Seq != c.next {
		out, c.sentInit = append(out, init), init
	}
	for ; c.next < r.head && len(out) < batch; c.next++ {
		chunk := *r.slot(c.next)
		if chunk.Init {
			c.sentInit = chunk
		}
		out = append(out, chunk)
	}
	return out, nil
}

// behind reports whether the reader must skip chunks. r.mu is held.
func (c *Cursor) behind() bool {
	r := c.r
	if c.next < r.tail {
		return true
	}
	if c.lag <= 0 || c.next >= r.head {
		return false
	}
	// Compare arrivals: a publisher that delivers seconds of media at once does not make
	// readers slow.
	late := (*r.slot(r.head - 1)).Arrived.Sub((*r.slot(c.next)).Arrived) > c.lag
	c.catchingUp = c.catchingUp && late
	return late && !c.catchingUp && r.newestKey > c.next
}
