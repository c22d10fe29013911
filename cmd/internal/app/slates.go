package app

import (
	"fmt"
	"log/slog"
	"os"
	"sync"
	"time"

	"github.com/holdfast-live/holdfast/configs"
	"github.com/holdfast-live/holdfast/relay/stream/filler"
)

// slates are the clips that are played while streams are held, as they were read last. The zero
// value is ready.
type slates struct {
	log *slog.Logger // nil: nothing is said

	mu   sync.Mutex // guards what follows
	read map[string]slateFile
}

// slateFile is a file as it was when it was read; without a slate it is none.
type slateFile struct {
	changed time.Time
	size    int64
	slate   *filler.Slate
}

// slate is the clip that a filler names; nil where it names none, or the file is not good, which
// is said once for each change of it. Its file is looked at, and read anew where it has changed.
func (s *settings) slate(name string) *filler.Slate {
	if !configs.IsSlate(name) {
		return nil
	}
	s.slates.mu.Lock()
	defer s.slates.mu.Unlock()
	info, err := os.Stat(name)
	var now slateFile
	if err == nil {
		now = slateFile{changed: info.ModTime(), size: info.Size()}
	}
	if was, ok := s.slates.read[name]; ok && was.changed.Equal(now.changed) && was.size == now.size {
		return was.slate
	}
	if err == nil {
		now.slate, err = readSlate(name)
	}
	if err != nil && s.slates.log != nil {
		s.slates.log.Warn("the slate cannot be played; streams are held with the last picture", "reason", err)
	}
	if s.slates.read == nil {
		s.slates.read = map[string]slateFile{}
	}
	s.slates.read[name] = now
	return now.slate
}

func readSlate(name string) (*filler.Slate, error) {
	f, err := os.Open(name) //nolint:gosec // the operator names it
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return filler.ReadSlate(name, f)
}

// CheckSlate reads a file and tells why it cannot be a slate.
func CheckSlate(name string) error {
	_, err := readSlate(name)
	return err
}

// CheckSlates reads the slates that a configuration names and returns what is wrong with the
// first that is not good.
func CheckSlates(c *configs.Config) error {
	check := func(key, filler string) error {
		if !configs.IsSlate(filler) {
			return nil
		}
		if err := CheckSlate(filler); err != nil {
			return fmt.Errorf("%s: %w; make one with holdfast slate", key, err)
		}
		return nil
	}
	if err := check("defaults.filler", c.Defaults.Filler); err != nil {
		return err
	}
	for i := range c.Streams {
		if err := check(fmt.Sprintf("streams[%d].filler", i), c.Streams[i].Filler); err != nil {
			return err
		}
	}
	return nil
}
