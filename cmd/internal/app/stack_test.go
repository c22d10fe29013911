package app

import (
	"context"
	"errors"
	"slices"
	"testing"
)

// Everything that was started is stopped once, in reverse order, regardless of errors.
func TestStack(t *testing.T) {
	var s stack
	var order []string
	failed := errors.New("busy")
	s.pushFunc("streams", func() { order = append(order, "streams") })
	s.push("routes", func(context.Context) error {
		order = append(order, "routes")
		return failed
	})
	s.pushFunc("viewers", func() { order = append(order, "viewers") })
	if err := s.stop(t.Context()); !errors.Is(err, failed) || err.Error() != "stop routes: busy" {
		t.Errorf("got %v, want the error of routes", err)
	}
	if want := []string{"viewers", "routes", "streams"}; !slices.Equal(order, want) {
		t.Errorf("stopped %v, want %v", order, want)
	}
	if err := s.stop(t.Context()); err != nil || len(order) != 3 {
		t.Errorf("stopped again: got %v, %v", err, order)
	}
}
