// Package statefile stores the state that survives a restart in a single file.
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

// File is a state file, which consists of named sections. Sections that are not replaced are preserved. A
// File is not safe for concurrent use.
type File struct {
	file     string // if empty, nothing is stored
	log      *slog.Logger
	sections map[string]json.RawMessage
}

// version is the version of the file format. Sections have versions of their own.
const version = 1

type content struct {
	Version  int                        `json:"version"`
	Sections map[string]json.RawMessage `json:"sections"`
}

// Load reads the state file with the path file. If file is empty, the File stores nothing. If the state
// file is corrupt, Load renames it and returns an empty File. It returns an error if the state file cannot
// be read, or if its directory is not writable.
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

// writable returns an error if the file cannot be written, so that the relay can report that at its start.
func (f *File) writable() error {
	temp, err := os.CreateTemp(filepath.Dir(f.file), ".holdfast-state-*")
	if err != nil {
		return fmt.Errorf("state.file: directory not writable: %w", err)
	}
	return errors.Join(temp.Close(), os.Remove(temp.Name()))
}

// rename renames a corrupt state file and logs a warning with the reason why.
func (f *File) rename(why string) {
	aside := f.file + ".corrupt-" + time.Now().UTC().Format("20060102T150405")
	if err := os.Rename(f.file, aside); err != nil {
		f.log.Warn("state file corrupt and cannot be renamed; starting empty", "file", f.file, "reason", why, "err", err)
		return
	}
	f.log.Warn("state file corrupt; renamed, starting empty", "file", f.file, "aside", aside, "reason", why)
}

// Section returns the section with the given name, or nil if the file has none.
func (f *File) Section(name string) json.RawMessage { return f.sections[name] }

// Save replaces the section with the given name and writes the file.
func (f *File) Save(name string, section json.RawMessage) error {
	f.Set(name, section)
	return f.Write()
}

// Set replaces the section with the given name, without writing the file. The next Write does.
func (f *File) Set(name string, section json.RawMessage) {
	if f.file != "" {
		f.sections[name] = section
	}
}

// Write writes the file atomically. If the file's path is empty, it does nothing.
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
