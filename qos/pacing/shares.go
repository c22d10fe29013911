package pacing

import (
	"container/list"
	"time"
)

const (
	// joinShare defines the share of one address: the rate of joins divided by joinShare.
	joinShare = 16
	// maxShares is the maximum number of addresses remembered. If there are more, the address that asked
	// least recently is forgotten.
	maxShares = 4096
)

// Shares detects addresses that ask for more joins than their share, so that a single address cannot use
// up all joins. An address beyond its share still joins at the full rate while no other address asks. The
// zero value is ready to use.
type Shares struct {
	rate  int // joins per second of all addresses together
	known map[string]*list.Element
	order *list.List // of *addressShare, least recent first
}

type addressShare struct {
	address string
	due     time.Time // from when on its next join is within its share
}

// SetRate sets the total rate of joins per second, of which each address has a share; 0 means no limit.
func (s *Shares) SetRate(rate int) { s.rate = rate }

// Beyond counts a join by an address at time now, and reports whether it exceeds the address's share.
func (s *Shares) Beyond(now time.Time, address string) bool {
	if s.rate <= 0 || address == "" {
		return false
	}
	one := s.shareOf(address)
	step := time.Second / time.Duration(max(1, s.rate/joinShare))
	one.due = later(one.due, now.Add(-time.Second+step))
	if one.due.After(now) {
		return true
	}
	one.due = one.due.Add(step)
	return false
}

// shareOf returns the share of an address. It adds an unknown address.
func (s *Shares) shareOf(address string) *addressShare {
	if s.known == nil {
		s.known, s.order = map[string]*list.Element{}, list.New()
	}
	if e := s.known[address]; e != nil {
		s.order.MoveToBack(e)
		return e.Value.(*addressShare) //nolint:forcetypeassert // nothing else is in the list
	}
	if s.order.Len() >= maxShares {
		oldest := s.order.Front()
		delete(s.known, oldest.Value.(*addressShare).address) //nolint:forcetypeassert // see above
		s.order.Remove(oldest)
	}
	one := &addressShare{address: address}
	s.known[address] = s.order.PushBack(one)
	return one
}
