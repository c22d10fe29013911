package scenario

import (
	"strconv"
	"strings"
	"testing"
	"time"
)

// Command is one step of a story. An argument it lacks or cannot read ends the test.
type Command struct {
	Name  string
	Args  []string // all of them, those of the form key=value included
	Input string   // the lines below it, without the last newline
	Pos   string   // file:line

	t testing.TB
}

// Fatalf ends the test, saying where in the story.
func (c Command) Fatalf(format string, args ...any) {
	c.t.Helper()
	c.t.Fatalf("%s: %s: "+format, append([]any{c.Pos, c.Name}, args...)...)
}

// Unknown ends the test: nothing carries out such a command.
func (c Command) Unknown() string {
	c.t.Helper()
	c.Fatalf("no such command")
	return ""
}

// Has tells whether there is an argument key, or key=value.
func (c Command) Has(key string) bool {
	_, ok := c.lookup(key)
	return ok
}

func (c Command) lookup(key string) (string, bool) {
	for _, a := range c.Args {
		if k, v, _ := strings.Cut(a, "="); k == key {
			return v, true
		}
	}
	return "", false
}

// Arg is the argument at place i, from 0.
func (c Command) Arg(i int) string {
	c.t.Helper()
	if i >= len(c.Args) {
		c.Fatalf("argument %d is missing", i+1)
	}
	return c.Args[i]
}

// ArgDuration is the argument at place i as a duration.
func (c Command) ArgDuration(i int) time.Duration {
	c.t.Helper()
	d, err := time.ParseDuration(c.Arg(i))
	if err != nil {
		c.Fatalf("argument %d: %v", i+1, err)
	}
	return d
}

// String is the value of key, or def.
func (c Command) String(key, def string) string {
	if v, ok := c.lookup(key); ok {
		return v
	}
	return def
}

// Int is the value of key as a whole number, or def.
func (c Command) Int(key string, def int) int {
	c.t.Helper()
	v, ok := c.lookup(key)
	if !ok {
		return def
	}
	n, err := strconv.Atoi(v)
	if err != nil {
		c.Fatalf("%s: %v", key, err)
	}
	return n
}

// Float is the value of key as a number, or def.
func (c Command) Float(key string, def float64) float64 {
	c.t.Helper()
	v, ok := c.lookup(key)
	if !ok {
		return def
	}
	f, err := strconv.ParseFloat(v, 64)
	if err != nil {
		c.Fatalf("%s: %v", key, err)
	}
	return f
}

// Duration is the value of key, or def.
func (c Command) Duration(key string, def time.Duration) time.Duration {
	c.t.Helper()
	v, ok := c.lookup(key)
	if !ok {
		return def
	}
	d, err := time.ParseDuration(v)
	if err != nil {
		c.Fatalf("%s: %v", key, err)
	}
	return d
}
