package main

import (
	"errors"
	"io"
	"testing"
	"testing/synctest"
	"time"
)

// If the relay does not stop, the process terminates, whatever it is doing.
func TestStopWithin(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		stuck := make(chan struct{})
		err := stopWithin(20*time.Second, func() error { <-stuck; return nil })
		if took := time.Since(began); !errors.Is(err, errStuck) || took != 20*time.Second {
			t.Errorf("got %v after %v, want %v after 20s", err, took, errStuck)
		}
		close(stuck)
		if err := stopWithin(time.Second, func() error { return io.EOF }); !errors.Is(err, io.EOF) {
			t.Errorf("got %v, want %v", err, io.EOF)
		}
	})
}
