// Package scenario runs stories: files of commands, with prose between them and the output
// that each command must have behind it.
//
//	# A publisher's line goes dead. Nothing tells us; only the frames stop.
//	publish name=cam at=0s
//	----
//	live
//
//	advance 1.4s
//	----
//	suspect after 620ms
//	held after 1.31s: silence
//
// A line that begins with # is prose. A command is a line of a name and arguments; lines
// after it, up to ----, are its input. What it returned stands between ---- and the next
// empty line. Output with empty lines in it stands between two double lines of ----, and
// may hold no such double line itself. A command without ---- must return nothing.
//
// go test -rewrite writes what the commands return now into the files; what has changed is
// then read in the diff.
package scenario

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

var rewrite = flag.Bool("rewrite", false, "write the output of scenarios into their files")

// Run runs the story in the file at path and compares. It starts no goroutine and no
// subtest, so that it may run within a testing/synctest bubble. Windows line ends count as
// line ends.
func Run(t testing.TB, path string, f func(cmd Command) string) {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	s, err := parse(path, strings.ReplaceAll(string(text), "\r\n", "\n"))
	if err != nil {
		t.Fatal(err)
	}
	for i := range s.steps {
		step := &s.steps[i]
		step.cmd.t = t
		got := f(step.cmd)
		if got != "" && !strings.HasSuffix(got, "\n") {
			got += "\n"
		}
		if got == step.want {
			continue
		}
		if !*rewrite {
			t.Errorf("%s: %s\ngot:\n%swant:\n%s", step.cmd.Pos, step.cmd.Name, indent(got), indent(step.want))
		}
		step.want = got
	}
	if !*rewrite {
		return
	}
	if err := os.WriteFile(path, []byte(s.format()), 0o600); err != nil {
		t.Fatal(err)
	}
}

// Each runs f as a subtest for every file that matches pattern, which must be at least one.
func Each(t *testing.T, pattern string, f func(t *testing.T, path string)) {
	t.Helper()
	paths, err := filepath.Glob(pattern)
	if err != nil {
		t.Fatal(err)
	}
	if len(paths) == 0 {
		t.Fatalf("no scenario matches %s", pattern)
	}
	for _, path := range paths {
		name := strings.TrimSuffix(filepath.Base(path), filepath.Ext(path))
		t.Run(name, func(t *testing.T) { f(t, path) })
	}
}

func indent(s string) string {
	if s == "" {
		return "    (nothing)\n"
	}
	return "    " + strings.ReplaceAll(strings.TrimSuffix(s, "\n"), "\n", "\n    ") + "\n"
}
