package statefile

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestStateSurvives(t *testing.T) {
	file := filepath.Join(t.TempDir(), "state.json")
	log := slog.New(slog.DiscardHandler)
	s, err := Load(file, log)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"one", "two"} {
		if err := s.Save(name, json.RawMessage(`{"is":"`+name+`"}`)); err != nil {
			t.Fatal(err)
		}
	}
	again, err := Load(file, log)
	if err != nil || string(again.Section("one")) != `{"is":"one"}` || string(again.Section("two")) != `{"is":"two"}` {
		t.Errorf("%v: got %s", err, again.sections)
	}
	if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("got %v, %v", info.Mode(), err)
	}
	if entries, _ := os.ReadDir(filepath.Dir(file)); len(entries) != 1 {
		t.Errorf("got %d files", len(entries))
	}
}

// What cannot be read as a state file is kept beside it, and told of.
func TestCorruptStateIsSetAside(t *testing.T) {
	for _, data := range []string{"", "{", `{"version": 7, "sections": {}}`, `[]`, "\x00\x01"} {
		dir := t.TempDir()
		file := filepath.Join(dir, "state.json")
		if err := os.WriteFile(file, []byte(data), 0o600); err != nil {
			t.Fatal(err)
		}
		var told bytes.Buffer
		s, err := Load(file, slog.New(slog.NewTextHandler(&told, nil)))
		if err != nil || s.Section("routes") != nil {
			t.Errorf("%q: got %v", data, err)
		}
		aside, _ := filepath.Glob(file + ".corrupt-*")
		if len(aside) != 1 || !strings.Contains(told.String(), "level=WARN") {
			t.Errorf("%q: got %d files aside, told %q", data, len(aside), told.String())
			continue
		}
		if kept, _ := os.ReadFile(aside[0]); string(kept) != data {
			t.Errorf("%q was not kept: got %q", data, kept)
		}
		if err := s.Save("routes", json.RawMessage("{}")); err != nil {
			t.Errorf("%q: got %v", data, err)
		}
	}
}

// A directory that is not writable is reported at start.
func TestStateThatCannotBeKept(t *testing.T) {
	_, err := Load(filepath.Join(t.TempDir(), "none", "state.json"), slog.New(slog.DiscardHandler))
	if err == nil || !strings.Contains(err.Error(), "state.file") {
		t.Errorf("got %v", err)
	}
	s, err := Load("", slog.New(slog.DiscardHandler))
	if err != nil || s.Save("routes", nil) != nil {
		t.Errorf("%v: without a file nothing is kept, and nothing fails", err)
	}
}
