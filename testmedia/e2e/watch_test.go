//go:build unix

package e2e

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
)

var errOver = errors.New("it is over")

// list is a list that grows and that many may wait on.
type list[T any] struct {
	mu    sync.Mutex // guards all below
	items []T
	more  chan struct{} // closed at the next change
	end   error         // why nothing more comes
}

func newList[T any]() *list[T] { return &list[T]{more: make(chan struct{})} }

func (l *list[T]) add(v T) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.items = append(l.items, v)
	close(l.more)
	l.more = make(chan struct{})
}

// close says why nothing more comes; nil is an ordinary end.
func (l *list[T]) close(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.end != nil {
		return
	}
	if err == nil {
		err = errOver
	}
	l.end = err
	close(l.more)
	l.more = make(chan struct{})
}

// all is a copy of what is there.
func (l *list[T]) all() []T {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.items)
}

func (l *list[T]) len() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.items)
}

// ended is why nothing more comes; nil while more may come, errOver after an ordinary end.
func (l *list[T]) ended() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.end
}

// next waits for the first item from index from on that is right, and returns its index.
func (l *list[T]) next(ctx context.Context, from int, right func(T) bool) (int, T, error) {
	for {
		l.mu.Lock()
		items, more, end := l.items, l.more, l.end
		l.mu.Unlock()
		for ; from < len(items); from++ {
			if right(items[from]) {
				return from, items[from], nil
			}
		}
		var none T
		if end != nil {
			return from, none, fmt.Errorf("after %d items: %w", len(items), end)
		}
		select {
		case <-ctx.Done():
			return from, none, fmt.Errorf("after %d items: %w", len(items), ctx.Err())
		case <-more:
		}
	}
}

// over waits until nothing more comes.
func (l *list[T]) over(ctx context.Context) error {
	_, _, err := l.next(ctx, l.len(), func(T) bool { return false })
	if errors.Is(err, ctx.Err()) && l.ended() == nil {
		return err
	}
	return nil
}
