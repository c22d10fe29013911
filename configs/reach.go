package configs

import (
	"fmt"
	"path"
	"strings"
)

// Reach is an entry of the list "streams" that applies to some of the streams of a pattern, or the
// defaults if they do.
type Reach struct {
	At       string // key of the entry, such as streams[0], or defaults
	Match    string // pattern of the entry; empty for the defaults
	Settings *Stream
}

// String returns the entry's key and pattern.
func (r Reach) String() string {
	if r.Match == "" {
		return r.At
	}
	return fmt.Sprintf("%s (%q)", r.At, r.Match)
}

// Reaches returns the entries that apply to the streams of a pattern, in the order of the file. It omits
// entries that never apply because earlier entries match the same streams.
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

// shadows reports whether an entry of streams before entry i matches everything that entry i matches.
func (c *Config) shadows(i int) bool {
	for j := range i {
		if covers(c.Streams[j].Match, c.Streams[i].Match) {
			return true
		}
	}
	return false
}

// IsPattern reports whether a text is a pattern of streams or the name of a stream: {app}/{name}.
func IsPattern(text string) bool {
	_, err := path.Match(text, "app/name")
	app, name, _ := strings.Cut(text, "/")
	return err == nil && app != "" && name != "" && strings.Count(text, "/") == 1
}

// IsOpen describes for which streams an action, publishing or playing, is open to everyone.
type IsOpen struct {
	Which  []string // patterns of entries for which it is open
	Others bool     // it is open for streams that no entry matches
	All    bool     // it is open for every stream
}

// Open returns the streams for which publishing and playing are open to everyone.
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
