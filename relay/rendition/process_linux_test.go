package rendition

import (
	"bufio"
	"io"
	"strings"
	"testing"
)

func TestMemoryOfAChildIsBounded(t *testing.T) {
	p, err := start("sh", []string{"-c", "read go; ulimit -v; ulimit -c"}, 1<<30)
	if err != nil {
		t.Fatal(err)
	}
	defer p.stop()
	if _, err := io.WriteString(p.stdin, "go\n"); err != nil {
		t.Fatal(err)
	}
	out := bufio.NewReader(p.stdout)
	for _, want := range []string{"1048576", "0"} { // in KiB
		if got, err := out.ReadString('\n'); strings.TrimSpace(got) != want {
			t.Errorf("got a limit of %q, %v, want %s", got, err, want)
		}
	}
}

// The log says how a transcode's child exited, though the relay kills it the moment its output ends.
func TestExitIsTold(t *testing.T) {
	for script, want := range map[string]string{
		"exec >&-; head -c 1 >/dev/null; echo out of luck >&2; exit 3": "exit status 3",
		"exec >&-; echo out of luck >&2; kill -SEGV $$":                "signal: segmentation fault",
		"exec >&-; echo out of luck >&2; kill -KILL $$":                "signal: killed",
	} {
		t.Run(want, func(t *testing.T) {
			t.Parallel()
			l := newLab(t, fake(t, script))
			over := l.want()
			l.until("it is given up", func() bool { return isClosed(over) })
			if said := l.said(); !strings.Contains(said, want) || !strings.Contains(said, "out of luck") {
				t.Errorf("got %s, want %q in it", said, want)
			}
		})
	}
}
