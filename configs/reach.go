package configs

import (
	"fmt"
	"path"
	"strings"
)

// Reach is one of the entries of streams, or the defaults, that counts for some of a pattern's streams.
type Reach struct {
	At       string // streams[0], or defaults
	Match    string // of the entry; empty: the defaults
	Settings *Stream
}

// String names the entry as an operator finds it.
func (r Reach) String() string {
	if r.Match == "" {
		return r.At
	}
	return fmt.Sprintf("%s (%q)", r.At, r.Match)
}

// Reaches returns what counts for the streams that a pattern matches, in the order of the file. Entries
// that count for none of them, because earlier ones do, are left out.
func (c *Config) Reaches(pattern string) (out []Reach) {
	for i := range c.Streams {
		match := c.Streams[i].Match
		if !overlaps(match, pattern) || c.shadows(i) {
			continue
		}
		out = append(out, Reach{fmt.Sprintf("streams[%d]", i), match, &c.Streams[i].Stream})
		if covers(match, pattern) {
			return out
		}
	}
	return append(out, Reach{At: "defaults", Settings: &c.Defaults})
}

// shadows reports whether an earlier entry matches all that the one at i does.
func (c *Config) shadows(i int) bool {
	for j := range i {
		if covers(c.Streams[j].Match, c.Streams[i].Match) {
			return true
		}
	}
	return false
}

// IsPattern reports whether a text is a pattern of streams, or the name of one: {app}/{name}.
func IsPattern(text string) bool {
	_, err := path.Match(text, "app/name")
	app, name, _ := strings.Cut(text, "/")
	return err == nil && app != "" && name != "" && strings.Count(text, "/") == 1
}

// IsOpen says for which streams something is open to everyone: which has the patterns, and others whether
// it is open for all streams that no pattern matches.
type IsOpen struct {
	Which  []string
	Others bool
	All    bool // for every stream
}

// Open returns where publishing and where playing is open to everyone.
func (c *Config) Open() (publish, play IsOpen) {
	reaches := c.Reaches("*/*")
	return openOf(reaches, func(s *Stream) bool { return len(s.PublishKeys) == 0 }),
		openOf(reaches, func(s *Stream) bool { return s.PlaySecret == "" })
}

func openOf(reaches []Reach, open func(*Stream) bool) (out IsOpen) {
	out.All = true
	for _, r := range reaches {
		switch {
		case !open(r.Settings):
			out.All = false
		case r.Match == "":
			out.Others = true
		default:
			out.Which = append(out.Which, r.Match)
		}
	}
	return out
}
