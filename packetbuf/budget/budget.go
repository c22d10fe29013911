// Package budget divides a bounded amount of memory among the buffers of all streams.
//
// A buffer counts what it holds in an Account. While everything fits, each buffer holds what its
// own limits allow. Near the limit the largest buffers shrink to an equal share, and smaller ones
// keep everything.
//
// The package is pure: no goroutine, no clock, no I/O.
package budget

import (
	"sync"
	"sync/atomic"
)

const (
	// reportStep is the change of an account after which the total is updated.
	reportStep = 64 << 10
	// minShare is the smallest useful share: it holds a GOP of two seconds at 8 Mb/s.
	minShare = 2 << 20

	// capDivisor defines the cap of an account that Reserve is called on: limit / capDivisor. Up to the
	// cap its holders are unbounded.
	capDivisor = 8
	// modestHolder is what each holder may have while the account is above its cap, and scantHolder
	// while it is above twice its cap.
	modestHolder = 1 << 20
	scantHolder  = reportStep
)

// Budget is the memory that all buffers of a relay may hold together. A nil Budget has no limit.
type Budget struct {
	onNear func()
	limit  atomic.Int64
	share  atomic.Int64 // the most that one buffer may hold
	used   atomic.Int64 // sum of the sizes that accounts have reported; lags by up to reportStep per account

	mu       sync.Mutex // guards accounts
	accounts map[*Account]struct{}
}

// New returns a budget of limit bytes. Set, Add and Reserve call the function near when use exceeds
// 95 % of the limit. Their callers may hold locks, so near must not block; it should arrange for a call
// of Balance soon. If near is nil, only Balance enforces the limit.
func New(limit int64, near func()) *Budget {
	b := &Budget{onNear: near, accounts: map[*Account]struct{}{}}
	b.limit.Store(limit)
	b.share.Store(Unlimited)
	return b
}

// SetLimit changes the limit in bytes. It takes effect at the next Balance.
func (b *Budget) SetLimit(limit int64) { b.limit.Store(limit) }

// Limit returns the limit in bytes.
func (b *Budget) Limit() int64 { return b.limit.Load() }

// Share returns the most bytes that one buffer may hold now; Unlimited if all fit.
func (b *Budget) Share() int64 {
	if b == nil {
		return Unlimited
	}
	return b.share.Load()
}

// highMark returns the use in bytes above which onNear is called.
func (b *Budget) highMark() int64 { return b.limit.Load() / 20 * 19 }

// goal returns the use in bytes that Balance shrinks to.
func (b *Budget) goal() int64 { return b.limit.Load() / 10 * 9 }

// floor returns the share that each buffer keeps, whatever else uses memory.
func (b *Budget) floor() int64 { return min(minShare, b.limit.Load()/32) }

// Kind is what memory is used for.
type Kind uint8

// The kinds of memory.
const (
	Packets    Kind = iota // in the buffers of streams; bytes counted by Add are listed as Wires
	Wires                  // serialised forms of packets, which viewers share
	Chunks                 // of fragmented MP4, for HLS and Media Source
	Reassembly             // messages of publishers that have not arrived completely
	kinds
)

func (k Kind) String() string {
	return [kinds]string{"packets", "wires", "chunks", "reassembly"}[k]
}

// Account counts the bytes that one buffer holds. Methods of a nil Account do nothing.
type Account struct {
	budget   *Budget
	kind     Kind
	shrink   func()
	fixed    bool
	closed   atomic.Bool
	size     atomic.Int64 // set by Set
	extra    atomic.Int64 // the sum passed to Add
	reported atomic.Int64 // the part of size and extra that is counted in Budget.used
}

// Open returns an account for a buffer that can shrink and must hold no more than its Share. When it
// holds more, Balance calls shrink, if not nil; shrink must evict the excess at once.
func (b *Budget) Open(kind Kind, shrink func()) *Account {
	return b.open(&Account{kind: kind, shrink: shrink})
}

// OpenFixed returns an account for memory that cannot shrink. It reduces what the buffers share.
func (b *Budget) OpenFixed(kind Kind) *Account { return b.open(&Account{kind: kind, fixed: true}) }

func (b *Budget) open(a *Account) *Account {
	if b == nil {
		return nil
	}
	a.budget = b
	b.mu.Lock()
	b.accounts[a] = struct{}{}
	b.mu.Unlock()
	return a
}

// Set sets the bytes that the buffer holds, not including those counted by Add. It must not be called
// concurrently with itself.
func (a *Account) Set(bytes int) {
	if a != nil {
		a.size.Store(int64(bytes))
		a.report()
	}
}

// Add adds to the bytes that the buffer holds in addition to those of Set; a negative number subtracts.
// It is safe for concurrent use.
func (a *Account) Add(bytes int) {
	if a != nil {
		a.extra.Add(int64(bytes))
		a.report()
	}
}

// Reserve adds bytes to the account, as Add does, for one of several holders, such as a connection:
// more is the number to add, and held the holder's total including them. It reports whether the bytes
// were granted; if not, it adds nothing. Up to an eighth of the limit, a holder may have any number.
// While the account is above an eighth, a holder may have 1 MiB, and above a quarter 64 KiB. Reserve is
// safe for concurrent use.
func (a *Account) Reserve(more, held int) bool {
	if a == nil {
		return true
	}
	a.extra.Add(int64(more))
	if most := a.budget.limit.Load() / capDivisor; held > scantHolder && a.total() > most {
		if held > modestHolder || a.total() > 2*most {
			a.extra.Add(int64(-more))
			return false
		}
	}
	a.report()
	return true
}

// Extra returns the bytes counted by Add and Reserve.
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
	return a.budget.share.Load()
}

func (a *Account) total() int64 { return max(0, a.size.Load()+a.extra.Load()) }

// report updates the budget's sum once the account has changed by reportStep.
func (a *Account) report() {
	reported, now := a.reported.Load(), a.total()
	if d := now - reported; d < reportStep && d > -reportStep || a.closed.Load() {
		return
	}
	if !a.reported.CompareAndSwap(reported, now) {
		return // another goroutine updates it
	}
	b := a.budget
	if b.used.Add(now-reported) > b.highMark() && now > reported && b.onNear != nil {
		b.onNear()
	}
}

// Close removes the account from the budget. Later changes of the account have no effect.
func (a *Account) Close() {
	if a == nil || a.closed.Swap(true) {
		return
	}
	b := a.budget
	b.mu.Lock()
	delete(b.accounts, a)
	b.mu.Unlock()
	b.used.Add(-a.reported.Swap(0))
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

// Use returns the bytes that all accounts hold, keyed by the name of the Kind.
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

// sizes returns extra followed by the sizes of all accounts that can shrink, and the total size of the
// accounts that cannot. b.mu must be held.
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

// Balance recomputes the share of each buffer and shrinks the buffers that hold more. It must be called
// after the near function of New was called, and periodically, so that buffers may grow again when
// memory is freed.
func (b *Budget) Balance() {
	b.mu.Lock()
	sizes, fixed := b.sizes()
	share := max(b.floor(), Share(b.goal()-fixed, sizes))
	b.share.Store(share)
	var large []*Account
	used := int64(0)
	for a := range b.accounts {
		used += a.reported.Load()
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

// Full reports whether the budget has no room for the buffer of another stream. That is the case if the
// buffer would get less than the minimum share even if all larger buffers shrank to its size.
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
