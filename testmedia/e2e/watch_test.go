//go:build unix

package e2e

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
)

var errListClosed = errors.New("list closed")

// list is a growing list that any number of goroutines can wait on.
type list[T any] struct {
	mu      sync.Mutex // guards the fields below
	items   []T
	changed chan struct{} // closed at the next change
	end     error         // why the list was closed; nil: open
}

func newList[T any]() *list[T] { return &list[T]{changed: make(chan struct{})} }

func (l *list[T]) add(v T) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.items = append(l.items, v)
	close(l.changed)
	l.changed = make(chan struct{})
}

// close closes the list. A nil error is a normal end.
func (l *list[T]) close(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.end != nil {
		return
	}
	if err == nil {
		err = errListClosed
	}
	l.end = err
	close(l.changed)
	l.changed = make(chan struct{})
}

// all returns a copy of the items.
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

// closeErr returns why the list was closed: nil while it is open, errListClosed after a normal end.
func (l *list[T]) closeErr() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.end
}

// waitFor waits for the first item, from index from on, for which right returns true. It returns its index
// and the item.
func (l *list[T]) waitFor(ctx context.Context, from int, right func(T) bool) (int, T, error) {
	for {
		l.mu.Lock()
		items, more, end := l.items, l.changed, l.end
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

// waitClosed waits until the list is closed.
func (l *list[T]) waitClosed(ctx context.Context) error {
	_, _, err := l.waitFor(ctx, l.len(), func(T) bool { return false })
	if errors.Is(err, ctx.Err()) && l.closeErr() == nil {
		return err
	}
	return nil
}
