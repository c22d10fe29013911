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

// slates caches the slates, which are clips that are played while streams are held. The zero value is
// ready to use.
type slates struct {
	log *slog.Logger // may be nil

	mu   sync.Mutex // guards the fields below
	read map[string]slateFile
}

// slateFile is a slate's file as it was last read. changed and size identify the version of the file. slate
// is nil if the file is invalid.
type slateFile struct {
	changed time.Time
	size    int64
	slate   *filler.Slate
}

// slate returns the slate for the value name of the setting filler. It returns nil if name is not that of
// a file or the file is invalid. It logs an invalid file once for each version of the file. It reads the
// file again if it has changed.
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
		s.slates.log.Warn("slate invalid; streams are held with the last frame", "reason", err)
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

// CheckSlate reads a file and returns an error if it cannot be used as a slate.
func CheckSlate(name string) error {
	_, err := readSlate(name)
	return err
}

// CheckSlates reads all slates that a configuration names, and returns an error for the first that is
// invalid.
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
