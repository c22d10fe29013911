//go:build unix

package e2e

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/holdfast-live/holdfast/testmedia/faultnet"
	"github.com/holdfast-live/holdfast/testmedia/gen"
)

// What a relay has learned of a line that is too narrow, the next one knows.
func TestHistoryOverRestart(t *testing.T) {
	t.Parallel()
	const stream, narrow = "live/cam", 1_500_000 // bit/s, of 2.6 million
	file := filepath.Join(t.TempDir(), "state.json")
	far := nginxRTMP(t)
	line, err := faultnet.NewProxy(far.addr, func(int) faultnet.Options {
		return faultnet.Options{Up: faultnet.Shape{Rate: narrow / 8, Buffer: 16 << 10}}
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = line.Close() })
	g := group{list: "push", urls: pushTo(line.Addr()), more: "redial: {base: 100ms, max: 1s}"}
	one := routing(t, g, "--state.file", file)
	p := publish(t, one, stream, gen.Options{Source: 1})
	until(t, "the line is measured", func() bool {
		s := one.route(stream)
		return len(s.Routes) == 1 && s.Routes[0].History.Capacity > 0 && s.Ladder.Level > 0
	})
	line.Refuse(true)
	line.Do(faultnet.Reset, faultnet.Both)
	until(t, "failures are counted", func() bool {
		a := one.route(stream).Routes[0]
		return a.Fails > 1 && a.Score.Value < 0.5
	})
	before := one.route(stream).Routes[0]
	p.leave()
	one.stop()
	line.Refuse(false)

	two := routing(t, g, "--state.file", file)
	publish(t, two, stream, gen.Options{Source: 2})
	until(t, "the stream is pushed", func() bool { return two.route(stream).Stream == stream })
	after := two.route(stream).Routes[0]
	t.Logf("before: %+v", before)
	t.Logf("after: %+v", after)
	if after.History.Attempts < before.History.Attempts || after.History.Failed == 0 || len(after.History.Breaks) != 1 {
		t.Errorf("of %+v the next relay knows %+v", before.History, after.History)
	}
	if off := after.History.Capacity / before.History.Capacity; off < 0.5 || off > 2 {
		t.Errorf("the line carried %v bit/s, now it is %v", before.History.Capacity, after.History.Capacity)
	}
	if after.Score.Value > before.Score.Value+0.2 {
		t.Errorf("the score was %v and is %v", before.Score.Value, after.Score.Value)
	}
}

// A state file that is of no use is kept aside; the relay starts.
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
			r := start(t, "--state.file", file)
			_, l := r.expect(0, "a warning", func(l logLine) bool { return l.str("level") == "WARN" && l.str("aside") != "" })
			t.Log(l.text)
			aside, err := os.ReadFile(l.str("aside"))
			if err != nil || string(aside) != content {
				t.Errorf("set aside: %q, %v", aside, err)
			}
		})
	}
}
