package policy

import (
	"container/list"
	"time"
)

const (
	// joinShare is the part of the rate of joins that one address has before others have to wait for
	// it: one in so many.
	joinShare = 16
	// mostShares bounds the addresses that are remembered; of more the one that asked least recently
	// is forgotten.
	mostShares = 4096
)

// Shares tells the addresses that ask for more joins than their share from the others, so that none
// can use up all turns. An address beyond its share still joins at the full rate while no other
// address wants to. The zero value is ready.
type Shares struct {
	rate  int // joins per second, of all
	known map[string]*list.Element
	order *list.List // of *share, the one that asked least recently first
}

type share struct {
	of  string
	due time.Time // when its next join is within its share
}

// SetRate sets the joins per second of which each address has a share.
func (s *Shares) SetRate(rate int) { s.rate = rate }

// Beyond counts a join of an address, and reports whether it is more than the share of that.
func (s *Shares) Beyond(now time.Time, address string) bool {
	if s.rate <= 0 || address == "" {
		return false
	}
	one := s.share(address)
	step := time.Second / time.Duration(max(1, s.rate/joinShare))
	one.due = later(one.due, now.Add(-time.Second+step))
	if one.due.After(now) {
		return true
	}
	one.due = one.due.Add(step)
	return false
}

// share returns the share of an address, which is a new one where it is not known.
func (s *Shares) share(address string) *share {
	if s.known == nil {
		s.known, s.order = map[string]*list.Element{}, list.New()
	}
	if e := s.known[address]; e != nil {
		s.order.MoveToBack(e)
		return e.Value.(*share) //nolint:forcetypeassert // nothing else is in the list
	}
	if s.order.Len() >= mostShares {
		oldest := s.order.Front()
		delete(s.known, oldest.Value.(*share).of) //nolint:forcetypeassert // as above
		s.order.Remove(oldest)
	}
	one := &share{of: address}
	s.known[address] = s.order.PushBack(one)
	return one
}
