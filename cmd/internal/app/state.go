package app

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"time"
)

const (
	// saveEvery is how often what survives a restart is written while the relay runs.
	saveEvery = time.Minute
	// saveSoon is how soon it is written when a stream has gone live or ended, for a crash.
	saveSoon = 500 * time.Millisecond
)

// state is what survives a restart: sections by name, in one file. A section that this version
// does not know is kept.
type state struct {
	file     string // empty: nothing survives
	log      *slog.Logger
	sections map[string]json.RawMessage
}

// stateVersion is the version of the file. Sections have their own.
const stateVersion = 1

type stateFile struct {
	Version  int                        `json:"version"`
	Sections map[string]json.RawMessage `json:"sections"`
}

// loadState reads the file. One that cannot be read as what it should be is set aside, so that
// nothing is lost, and the relay begins without. The error is that of a file that may not be
// read: with another configuration it could be.
func loadState(file string, log *slog.Logger) (*state, error) {
	s := &state{file: file, log: log, sections: map[string]json.RawMessage{}}
	if file == "" {
		return s, nil
	}
	data, err := os.ReadFile(file) //nolint:gosec // the operator's own file
	if errors.Is(err, fs.ErrNotExist) {
		return s, s.writable()
	}
	if err != nil {
		return nil, fmt.Errorf("state.file: %w", err)
	}
	var in stateFile
	if err := json.Unmarshal(data, &in); err != nil || in.Version != stateVersion {
		s.setAside("it is not a state file of this version")
		return s, s.writable()
	}
	if in.Sections != nil {
		s.sections = in.Sections
	}
	return s, s.writable()
}

// writable finds out at start, not an hour later, that nothing can be kept.
func (s *state) writable() error {
	f, err := os.CreateTemp(filepath.Dir(s.file), ".holdfast-state-*")
	if err != nil {
		return fmt.Errorf("state.file: nothing can be written beside it: %w", err)
	}
	return errors.Join(f.Close(), os.Remove(f.Name()))
}

// setAside renames a file that is of no use.
func (s *state) setAside(why string) {
	aside := s.file + ".corrupt-" + time.Now().UTC().Format("20060102T150405")
	if err := os.Rename(s.file, aside); err != nil {
		s.log.Warn("the state file is of no use and cannot be set aside", "file", s.file, "why", why, "err", err)
		return
	}
	s.log.Warn("the state file is of no use and was set aside; what it held is forgotten", "file", s.file, "aside", aside, "why", why)
}

// section is what was kept under a name; nil if nothing was.
func (s *state) section(name string) json.RawMessage { return s.sections[name] }

// save replaces a section and writes the file.
func (s *state) save(name string, section json.RawMessage) error {
	s.set(name, section)
	return s.write()
}

// set replaces a section, which the next write writes.
func (s *state) set(name string, section json.RawMessage) {
	if s.file != "" {
		s.sections[name] = section
	}
}

// write writes the file. It is there whole or as it was before.
func (s *state) write() error {
	if s.file == "" {
		return nil
	}
	data, err := json.Marshal(stateFile{Version: stateVersion, Sections: s.sections})
	if err != nil {
		return fmt.Errorf("save state: %w", err)
	}
	f, err := os.CreateTemp(filepath.Dir(s.file), ".holdfast-state-*") // 0600: what is kept may be secret
	if err != nil {
		return fmt.Errorf("save state: %w", err)
	}
	_, err = f.Write(data)
	if err == nil {
		err = f.Sync()
	}
	err = errors.Join(err, f.Close())
	if err == nil {
		err = os.Rename(f.Name(), s.file)
	}
	if err != nil {
		_ = os.Remove(f.Name())
		return fmt.Errorf("save state: %w", err)
	}
	return nil
}
