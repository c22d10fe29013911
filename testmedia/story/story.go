// Package story runs scripts of cockroachdb/datadriven. It parses the argument types that stories of media
// and networks use: durations, integers and floating-point numbers.
package story

import (
	"strconv"
	"testing"
	"time"

	"github.com/cockroachdb/datadriven"
)

// Each runs the stories in a folder as subtests. start returns the function that runs the commands of one
// story.
func Each(t *testing.T, folder string, start func(t *testing.T) func(Command) string) {
	t.Helper()
	datadriven.Walk(t, folder, func(t *testing.T, path string) { Run(t, path, start(t)) })
}

// Run runs the story in a file. It starts no goroutine, so it may be called in a testing/synctest bubble.
func Run(t *testing.T, path string, do func(Command) string) {
	t.Helper()
	datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
		t.Helper()
		return do(Command{Name: d.Cmd, t: t, data: d})
	})
}

// Command is a command of a story. A missing or malformed argument ends the test.
type Command struct {
	Name string

	t    testing.TB
	data *datadriven.TestData
}

// Fatalf ends the test with a message and the position in the story.
func (c Command) Fatalf(format string, args ...any) {
	c.t.Helper()
	c.data.Fatalf(c.t, format, args...)
}

// Unknown ends the test because the command does not exist.
func (c Command) Unknown() string {
	c.t.Helper()
	c.Fatalf("unknown command %q", c.Name)
	return ""
}

// Has reports whether the command has an argument key or key=value.
func (c Command) Has(key string) bool { return c.data.HasArg(key) }

// Arg returns the name of the argument at place, from 0.
func (c Command) Arg(place int) string {
	c.t.Helper()
	if place >= len(c.data.CmdArgs) {
		c.Fatalf("argument %d is missing", place+1)
	}
	return c.data.CmdArgs[place].Key
}

// ArgDuration returns the argument at place as a duration.
func (c Command) ArgDuration(place int) time.Duration {
	c.t.Helper()
	return parse(c, c.Arg(place), time.ParseDuration)
}

// String returns the value of key, or def if there is none.
func (c Command) String(key, def string) string {
	if a, ok := c.data.Arg(key); ok && len(a.Vals) > 0 {
		return a.Vals[0]
	}
	return def
}

// Int returns the value of key as an integer, or def if there is none.
func (c Command) Int(key string, def int) int {
	c.t.Helper()
	return value(c, key, def, strconv.Atoi)
}

// Float returns the value of key as a number, or def if there is none.
func (c Command) Float(key string, def float64) float64 {
	c.t.Helper()
	return value(c, key, def, func(s string) (float64, error) { return strconv.ParseFloat(s, 64) })
}

// Duration returns the value of key as a duration, or def if there is none.
func (c Command) Duration(key string, def time.Duration) time.Duration {
	c.t.Helper()
	return value(c, key, def, time.ParseDuration)
}

func value[T any](c Command, key string, def T, read func(string) (T, error)) T {
	c.t.Helper()
	if text := c.String(key, ""); text != "" {
		return parse(c, text, read)
	}
	return def
}

func parse[T any](c Command, text string, read func(string) (T, error)) T {
	c.t.Helper()
	v, err := read(text)
	if err != nil {
		c.Fatalf("%s: %v", text, err)
	}
	return v
}
