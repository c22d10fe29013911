package app

import (
	"context"
	"errors"
	"fmt"
	"slices"
)

// stack holds the stop functions of the parts that were started. It calls them in reverse order.
type stack struct{ steps []step }

type step struct {
	name string
	stop func(context.Context) error
}

// push adds the stop function of the part that was started last. Errors of stop are prefixed with name.
func (s *stack) push(name string, stop func(context.Context) error) {
	s.steps = append(s.steps, step{name, stop})
}

// pushFunc is like push for a stop function that neither waits nor fails.
func (s *stack) pushFunc(name string, stop func()) {
	s.push(name, func(context.Context) error {
		stop()
		return nil
	})
}

// stop calls all stop functions, even if some return errors, and empties the stack. Each function receives
// ctx and may wait until ctx is done.
func (s *stack) stop(ctx context.Context) error {
	var errs []error
	for _, one := range slices.Backward(s.steps) {
		if err := one.stop(ctx); err != nil {
			errs = append(errs, fmt.Errorf("stop %s: %w", one.name, err))
		}
	}
	s.steps = nil
	return errors.Join(errs...)
}
