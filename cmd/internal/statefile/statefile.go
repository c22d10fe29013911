// Package statefile stores what survives a restart in one file.
package statefile

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

// File is a state file with named sections. It preserves unknown sections. It is not safe for
// concurrent use.
type File struct {
	file     string // if empty, nothing is stored
	log      *slog.Logger
	sections map[string]json.RawMessage
}

// version is the version of the file. Sections have versions of their own.
const version = 1

type content struct {
	Version  int                        `json:"version"`
	Sections map[string]json.RawMessage `json:"sections"`
}

// Load reads a state file. With an empty name, nothing is stored. A corrupt file is renamed, and
// Load starts with an empty one. The error is that of a file that cannot be read or written.
func Load(file string, log *slog.Logger) (*File, error) {
	f := &File{file: file, log: log, sections: map[string]json.RawMessage{}}
	if file == "" {
		return f, nil
	}
	data, err := os.ReadFile(file) //nolint:gosec // the operator's own file
	if errors.Is(err, fs.ErrNotExist) {
		return f, f.writable()
	}
	if err != nil {
		return nil, fmt.Errorf("state.file: %w", err)
	}
	var in content
	if err := json.Unmarshal(data, &in); err != nil || in.Version != version {
		f.rename("not a state file of this version")
		return f, f.writable()
	}
	if in.Sections != nil {
		f.sections = in.Sections
	}
	return f, f.writable()
}

// writable returns an error if the file cannot be written, so that this is reported at start.
func (f *File) writable() error {
	temp, err := os.CreateTemp(filepath.Dir(f.file), ".holdfast-state-*")
	if err != nil {
		return fmt.Errorf("state.file: directory not writable: %w", err)
	}
	return errors.Join(temp.Close(), os.Remove(temp.Name()))
}

// rename renames a corrupt file.
func (f *File) rename(why string) {
	aside := f.file + ".corrupt-" + time.Now().UTC().Format("20060102T150405")
	if err := os.Rename(f.file, aside); err != nil {
		f.log.Warn("state file corrupt and cannot be renamed; starting empty", "file", f.file, "reason", why, "err", err)
		return
	}
	f.log.Warn("state file corrupt; renamed, starting empty", "file", f.file, "aside", aside, "reason", why)
}

// Section returns a section by its name, or nil if there is none.
func (f *File) Section(name string) json.RawMessage { return f.sections[name] }

// Save replaces a section and writes the file.
func (f *File) Save(name string, section json.RawMessage) error {
	f.Set(name, section)
	return f.Write()
}

// Set replaces a section. The next Write writes it.
func (f *File) Set(name string, section json.RawMessage) {
	if f.file != "" {
		f.sections[name] = section
	}
}

// Write writes the file atomically.
func (f *File) Write() error {
	if f.file == "" {
		return nil
	}
	data, err := json.Marshal(content{Version: version, Sections: f.sections})
	if err != nil {
		return fmt.Errorf("save state: %w", err)
	}
	temp, err := os.CreateTemp(filepath.Dir(f.file), ".holdfast-state-*") // mode 0600: the content may be secret
	if err != nil {
		return fmt.Errorf("save state: %w", err)
	}
	_, err = temp.Write(data)
	if err == nil {
		err = temp.Sync()
	}
	err = errors.Join(err, temp.Close())
	if err == nil {
		err = os.Rename(temp.Name(), f.file)
	}
	if err != nil {
		_ = os.Remove(temp.Name())
		return fmt.Errorf("save state: %w", err)
	}
	return nil
}
