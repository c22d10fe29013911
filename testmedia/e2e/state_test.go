//go:build unix

package e2e

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/holdfast-live/holdfast/testmedia/faultnet"
	"github.com/holdfast-live/holdfast/testmedia/gen"
)

// TestHistoryOverRestart checks that a relay keeps over a restart what it has learned of a slow line.
func TestHistoryOverRestart(t *testing.T) {
	t.Parallel()
	const stream, narrow = "live/cam", 1_500_000 // in bit/s, for a stream of 2.6 Mb/s
	file := filepath.Join(t.TempDir(), "state.json")
	server := startNginxRTMP(t)
	line, err := faultnet.NewProxy(server.addr, func(int) faultnet.Options {
		return faultnet.Options{Up: faultnet.Shape{Rate: narrow / 8, Buffer: 16 << 10}}
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = line.Close() })
	g := group{list: "push", urls: pushURLs(line.Addr()), more: "redial: {base: 100ms, max: 1s}"}
	one := startWithRoutes(t, g, "--state.file", file)
	p := publish(t, one, stream, gen.Options{Source: 1})
	waitUntil(t, "the line is measured", func() bool {
		s := one.routeStatus(stream)
		return len(s.Routes) == 1 && s.Routes[0].History.Capacity > 0 && s.Ladder.Level > 0
	})
	line.Refuse(true)
	line.Do(faultnet.Reset, faultnet.Both)
	waitUntil(t, "failures are counted", func() bool {
		a := one.routeStatus(stream).Routes[0]
		return a.Fails > 1 && a.Score.Value < 0.5
	})
	before := one.routeStatus(stream).Routes[0]
	p.disconnect()
	one.stop()
	line.Refuse(false)

	two := startWithRoutes(t, g, "--state.file", file)
	publish(t, two, stream, gen.Options{Source: 2})
	waitUntil(t, "the stream is pushed", func() bool { return two.routeStatus(stream).Stream == stream })
	after := two.routeStatus(stream).Routes[0]
	t.Logf("before: got %+v", before)
	t.Logf("after: got %+v", after)
	if after.History.Attempts < before.History.Attempts || after.History.Failed == 0 || len(after.History.Breaks) != 1 {
		t.Errorf("got history %+v before and %+v after the restart", before.History, after.History)
	}
	if off := after.History.Capacity / before.History.Capacity; off < 0.5 || off > 2 {
		t.Errorf("got a capacity of %v bit/s before and %v after the restart", before.History.Capacity, after.History.Capacity)
	}
	if after.Score.Value > before.Score.Value+0.2 {
		t.Errorf("got a score of %v before and %v after the restart", before.Score.Value, after.Score.Value)
	}
}

// TestCorruptState checks that a corrupt state file is renamed and the relay starts.
func TestCorruptState(t *testing.T) {
	t.Parallel()
	for name, content := range map[string]string{
		"no JSON": "\x00\x01 half a fi", "another version": `{"version": 99}`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			file := filepath.Join(dir, "state.json")
			if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
				t.Fatal(err)
			}
			r := startRelay(t, "--state.file", file)
			_, l := r.waitLog(0, "a warning", func(l logLine) bool { return l.str("level") == "WARN" && l.str("aside") != "" })
			t.Log(l.text)
			aside, err := os.ReadFile(l.str("aside"))
			if err != nil || string(aside) != content {
				t.Errorf("got renamed files %q, %v", aside, err)
			}
		})
	}
}
