// Package budget divides a bounded amount of memory among the buffers of all streams.
//
// A buffer counts what it holds in an Account. While everything fits, each buffer holds what its
// own limits allow. Near the limit the largest buffers shrink to an equal share, and smaller ones
// keep all they have.
//
// The package is pure: no goroutine, no clock, no I/O.
package budget

import (
	"sync"
	"sync/atomic"
)

const (
	// step is how much an account changes by before the total is told.
	step = 64 << 10
	// least is the share below which no buffer is of use: it holds a GOP of two seconds at 8 Mb/s.
	least = 2 << 20

	// cappedPart is the part of the limit that a capped account may take before its holders are bounded.
	cappedPart = 8
	// modest is what each holder of a capped account may have past its cap, and scant past twice its cap.
	modest = 1 << 20
	scant  = step
)

// Budget is the memory that all buffers of a relay may hold together. A nil Budget has no limit.
type Budget struct {
	near  func()
	limit atomic.Int64
	share atomic.Int64 // the most that one buffer may hold
	used  atomic.Int64 // the sum of what accounts have told, which lags by up to a step for each

	mu       sync.Mutex // guards accounts
	accounts map[*Account]struct{}
}

// New returns a budget of limit bytes. near is called when the limit is near, with locks held by
// who grows: it must not block, and have Balance called soon. nil: only Balance sees to the limit.
func New(limit int64, near func()) *Budget {
	b := &Budget{near: near, accounts: map[*Account]struct{}{}}
	b.limit.Store(limit)
	b.share.Store(Unlimited)
	return b
}

// SetLimit changes the limit. Balance puts it in force.
func (b *Budget) SetLimit(limit int64) { b.limit.Store(limit) }

// Limit returns the limit in bytes.
func (b *Budget) Limit() int64 { return b.limit.Load() }

// Share returns the most bytes that one buffer may hold now; Unlimited where all fit.
func (b *Budget) Share() int64 {
	if b == nil {
		return Unlimited
	}
	return b.share.Load()
}

// mark is the use from which near is called, and goal the one that Balance shrinks to.
func (b *Budget) mark() int64 { return b.limit.Load() / 20 * 19 }
func (b *Budget) goal() int64 { return b.limit.Load() / 10 * 9 }

// floor is the share that each buffer keeps, whatever else takes memory.
func (b *Budget) floor() int64 { return min(least, b.limit.Load()/32) }

// Kind is what memory is used for.
type Kind uint8

// The kinds of memory.
const (
	Packets    Kind = iota // in the buffers of streams; what Add counts of them is Wires
	Wires                  // their forms as protocols send them, which viewers share
	Chunks                 // of fragmented MP4, for HLS and Media Source
	Reassembly             // messages of publishers that have not come whole
	kinds
)

func (k Kind) String() string {
	return [kinds]string{"packets", "wires", "chunks", "reassembly"}[k]
}

// Account is what one buffer holds. Methods of a nil Account do nothing.
type Account struct {
	of     *Budget
	kind   Kind
	shrink func()
	fixed  bool
	closed atomic.Bool
	size   atomic.Int64 // as Set has told
	extra  atomic.Int64 // the sum of what Add has told
	told   atomic.Int64 // what of both is in used
}

// Open returns the account of a buffer that keeps to its Share. shrink, if not nil, has the buffer
// do so at once: it is called by Balance when the buffer holds more.
func (b *Budget) Open(kind Kind, shrink func()) *Account {
	return b.open(&Account{kind: kind, shrink: shrink})
}

// OpenFixed returns the account of memory that cannot shrink: buffers have to fit beside it.
func (b *Budget) OpenFixed(kind Kind) *Account { return b.open(&Account{kind: kind, fixed: true}) }

func (b *Budget) open(a *Account) *Account {
	if b == nil {
		return nil
	}
	a.of = b
	b.mu.Lock()
	b.accounts[a] = struct{}{}
	b.mu.Unlock()
	return a
}

// Set says how many bytes the buffer holds, without what Add counts. Calls must not overlap.
func (a *Account) Set(bytes int) {
	if a != nil {
		a.size.Store(int64(bytes))
		a.tell()
	}
}

// Add counts bytes that belong to the buffer beside those of Set, or that do not any more where it
// is negative. It may be called from any goroutine.
func (a *Account) Add(bytes int) {
	if a != nil {
		a.extra.Add(int64(bytes))
		a.tell()
	}
}

// Reserve counts more bytes, as Add does, for a holder that has held bytes with them, and reports whether
// it may have them. If not, nothing is counted. Any holder may have any number while the account is
// within an eighth of the limit. Past it a holder may have 1 MiB, and past a quarter 64 KiB. It may be
// called from any goroutine.
func (a *Account) Reserve(more, held int) bool {
	if a == nil {
		return true
	}
	a.extra.Add(int64(more))
	if most := a.of.limit.Load() / cappedPart; held > scant && a.total() > most {
		if held > modest || a.total() > 2*most {
			a.extra.Add(int64(-more))
			return false
		}
	}
	a.tell()
	return true
}

// Extra returns the sum of what Add has counted.
func (a *Account) Extra() int {
	if a == nil {
		return 0
	}
	return int(a.extra.Load())
}

// Share returns the most bytes that the buffer may hold now.
func (a *Account) Share() int64 {
	if a == nil {
		return Unlimited
	}
	return a.of.share.Load()
}

func (a *Account) total() int64 { return max(0, a.size.Load()+a.extra.Load()) }

// tell brings the budget's sum up to date once a step has come together.
func (a *Account) tell() {
	told, now := a.told.Load(), a.total()
	if d := now - told; d < step && d > -step || a.closed.Load() {
		return
	}
	if !a.told.CompareAndSwap(told, now) {
		return // another goroutine tells
	}
	b := a.of
	if b.used.Add(now-told) > b.mark() && now > told && b.near != nil {
		b.near()
	}
}

// Close takes the account out of the budget. What is said of it afterwards does not count.
func (a *Account) Close() {
	if a == nil || a.closed.Swap(true) {
		return
	}
	b := a.of
	b.mu.Lock()
	delete(b.accounts, a)
	b.mu.Unlock()
	b.used.Add(-a.told.Swap(0))
}

// Used returns the bytes that all accounts hold.
func (b *Budget) Used() (bytes int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for a := range b.accounts {
		bytes += a.total()
	}
	return bytes
}

// Use returns the bytes that all accounts hold, by what for.
func (b *Budget) Use() map[string]int64 {
	use := map[string]int64{}
	for k := range kinds {
		use[k.String()] = 0
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	for a := range b.accounts {
		extra := a.kind
		if extra == Packets {
			extra = Wires
		}
		use[a.kind.String()] += a.size.Load()
		use[extra.String()] += a.extra.Load()
	}
	return use
}

// sizes returns what can shrink, with extra, and how many bytes what cannot takes. b.mu is held.
func (b *Budget) sizes(extra ...int64) (sizes []int64, fixed int64) {
	sizes = append(make([]int64, 0, len(b.accounts)+len(extra)), extra...)
	for a := range b.accounts {
		if a.fixed {
			fixed += a.total()
		} else {
			sizes = append(sizes, a.total())
		}
	}
	return sizes, fixed
}

// Balance divides the budget anew, and has buffers shrink that hold more than their share. It is
// to be called when near was, and now and then: buffers grow again where memory was given back.
func (b *Budget) Balance() {
	b.mu.Lock()
	sizes, fixed := b.sizes()
	share := max(b.floor(), Share(b.goal()-fixed, sizes))
	b.share.Store(share)
	var large []*Account
	used := int64(0)
	for a := range b.accounts {
		used += a.told.Load()
		if !a.fixed && a.shrink != nil && a.total() > share {
			large = append(large, a)
		}
	}
	b.used.Store(used)
	b.mu.Unlock()
	for _, a := range large {
		a.shrink()
	}
}

// Full reports whether there is no room for the buffer of another stream: it would get less than it
// needs, though all that hold more shrank to as much.
func (b *Budget) Full() bool {
	if b == nil {
		return false
	}
	need := b.floor()
	b.mu.Lock()
	sizes, fixed := b.sizes(need)
	b.mu.Unlock()
	return Share(b.goal()-fixed, sizes) < need
}
