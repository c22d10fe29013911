package app

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/holdfast-live/holdfast/configs"
	"github.com/holdfast-live/holdfast/testmedia"
)

// A slate is read again when its file has changed, and is not used while the file is invalid.
func TestSlateFollowsItsFile(t *testing.T) {
	file := filepath.Join(t.TempDir(), "slate.flv")
	put := func(b []byte) {
		t.Helper()
		if err := os.WriteFile(file, b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	cfg := configs.Default()
	cfg.Defaults.Filler = file
	s := &settings{}
	s.cfg.Store(&cfg)
	slate := func() any {
		c := s.Stream("live/cam")
		if !c.Freeze {
			t.Error("without a slate nothing would go on")
		}
		if c.Slate == nil {
			return nil
		}
		return c.Slate
	}
	if slate() != nil || CheckSlates(&cfg) == nil {
		t.Error("there is no file")
	}
	put(testmedia.ClipFLV())
	one := slate()
	if one == nil || slate() != one || CheckSlates(&cfg) != nil {
		t.Error("the file is not read, or each time anew")
	}
	put([]byte("no clip"))
	if err := CheckSlates(&cfg); slate() != nil || err == nil || !strings.Contains(err.Error(), "defaults.filler") {
		t.Errorf("what is no clip is played; %v", err)
	}
	put(testmedia.ClipFLV())
	if two := slate(); two == nil || two == one {
		t.Error("the file is not read anew")
	}
}
