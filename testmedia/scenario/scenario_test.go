package scenario

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func echo(cmd Command) string {
	switch cmd.Name {
	case "echo":
		return strings.Join(cmd.Args, "\n") + "\n"
	case "input":
		return cmd.Input
	case "values":
		return fmt.Sprintln(cmd.Int("n", -1), cmd.Float("f", -1), cmd.Duration("d", -time.Second), cmd.String("s", "-"), cmd.Has("flag"))
	case "at":
		return cmd.ArgDuration(0).String()
	}
	return cmd.Unknown()
}

func TestRun(t *testing.T) {
	Each(t, "testdata/*.txt", func(t *testing.T, path string) { Run(t, path, echo) })
}

// recorder takes what a Run says, and does not end on Fatal.
type recorder struct {
	testing.TB
	said []string
}

func (r *recorder) Helper() {}

func (r *recorder) Errorf(format string, args ...any) {
	r.said = append(r.said, fmt.Sprintf(format, args...))
}

func (r *recorder) Fatalf(format string, args ...any) {
	r.Errorf(format, args...)
	panic(r)
}

func (r *recorder) Fatal(args ...any) { r.Fatalf("%s", fmt.Sprint(args...)) }

// outcome runs a story and returns what it complains of.
func outcome(t *testing.T, path string) (said []string) {
	t.Helper()
	r := &recorder{TB: t}
	defer func() {
		if p := recover(); p != nil && p != any(r) {
			panic(p)
		}
		said = r.said
	}()
	Run(r, path, echo)
	return r.said
}

func write(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "story.txt")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// setRewrite sets the flag for the rest of the test.
func setRewrite(t *testing.T, v bool) {
	t.Helper()
	was := *rewrite
	t.Cleanup(func() { *rewrite = was })
	if err := flag.Set("rewrite", fmt.Sprint(v)); err != nil {
		t.Fatal(err)
	}
}

func TestComplaints(t *testing.T) {
	setRewrite(t, false)
	for text, want := range map[string]string{
		"echo a\n----\nb\n":       ":1: echo\ngot:\n    a\nwant:\n    b\n",
		"# x\n\necho a\n":         ":3: echo\ngot:\n    a\nwant:\n    (nothing)\n",
		"input\n----\nb\n":        ":1: input\ngot:\n    (nothing)\nwant:\n    b\n",
		"dance\n":                 ":1: dance: no such command",
		"at\n":                    ":1: at: argument 1 is missing",
		"at noon\n":               `:1: at: argument 1: time: invalid duration "noon"`,
		"values n=x\n":            `:1: values: n: strconv.Atoi: parsing "x": invalid syntax`,
		"values f=x\n":            `:1: values: f: strconv.ParseFloat: parsing "x": invalid syntax`,
		"values d=x\n":            `:1: values: d: time: invalid duration "x"`,
		"echo \"a\n":              ":1: quote without an end",
		"\n----\nb\n":             ":2: output without a command",
		"echo a\n----\n----\na\n": ":1: output without its closing lines",
		"echo a\r\n----\r\na\r\n": "",
	} {
		said := strings.Join(outcome(t, write(t, text)), "")
		if want == "" && said != "" || !strings.HasSuffix(said, want) {
			t.Errorf("%q: got %q, want %q", text, said, want)
		}
	}
}

func TestRewrite(t *testing.T) {
	before := "# Prose\n\necho a \"\"  b\n\necho c\n----\nwrong\n\n# More\ninput\n----\nnothing\n\n# End\n"
	after := "# Prose\n\necho a \"\"  b\n----\n----\na\n\nb\n----\n----\n\necho c\n----\nc\n\n# More\ninput\n\n# End\n"
	path := write(t, before)
	setRewrite(t, true)
	for range 2 {
		if said := outcome(t, path); said != nil {
			t.Fatal(said)
		}
		got, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if string(got) != after {
			t.Fatalf("got:\n%s\nwant:\n%s", got, after)
		}
	}
	setRewrite(t, false)
	if said := outcome(t, path); said != nil {
		t.Error(said)
	}
}
