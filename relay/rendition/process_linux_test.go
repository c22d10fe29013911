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
	defer p.end()
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
