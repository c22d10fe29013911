package configs

import (
	"fmt"
	"slices"
	"strings"
)

// Fault is a mistake in a configuration.
type Fault struct {
	Key     string // such as streams[0].hold
	Problem string // what is wrong
	Right   string // what would be correct
	File    string // file with the mistake; empty if it is in none
	Line    int
}

// String returns the text of the fault, without its place.
func (f Fault) String() string {
	s := f.Problem
	if f.Key != "" {
		s = f.Key + ": " + s
	}
	if f.Right != "" {
		s += "; " + f.Right
	}
	return s
}

// Place returns the place of the fault as file:line, or "" if the fault is not in a file.
func (f Fault) Place() string {
	if f.File == "" || f.Line == 0 {
		return ""
	}
	return fmt.Sprintf("%s:%d", f.File, f.Line)
}

// Placed returns the text of the fault, preceded by its place.
func (f Fault) Placed() string {
	if place := f.Place(); place != "" {
		return place + ": " + f.String()
	}
	return f.String()
}

// Faults is the error for an invalid configuration. It lists all faults.
type Faults []Fault

func (f Faults) Error() string { return f.join(Fault.String) }

// Placed is like Error, with each fault preceded by its place.
func (f Faults) Placed() string { return f.join(Fault.Placed) }

// Places returns the places of the faults, without duplicates.
func (f Faults) Places() (out []string) {
	for _, fault := range f {
		if place := fault.Place(); place != "" && !slices.Contains(out, place) {
			out = append(out, place)
		}
	}
	return out
}

func (f Faults) join(text func(Fault) string) string {
	lines := make([]string, len(f))
	for i, fault := range f {
		lines[i] = text(fault)
	}
	return strings.Join(lines, "\n")
}

// places records the lines of the keys in a file.
type places struct {
	file  string
	lines map[string]int // by key, such as streams[2].hls.part
}

// line returns the line of a key. If the key is not in the file, it returns the line of the innermost
// existing group that would contain it, or 0 if none exists.
func (p places) line(key string) int {
	for key != "" {
		if line, ok := p.lines[key]; ok {
			return line
		}
		key = key[:max(strings.LastIndexAny(key, ".["), 0)]
	}
	return 0
}

// own reports whether the key is written in the file.
func (p places) own(key string) bool { return p.lines[key] > 0 }

// setPlaces sets the places of faults and sorts them by line. from maps the keys that flags or the
// environment have set to their origin; their faults get the origin instead of a place.
func (p places) setPlaces(faults Faults, from map[string]string) {
	for i := range faults {
		f := &faults[i]
		if origin := from[f.Key]; origin != "" {
			if !strings.Contains(f.Problem, " (from ") {
				f.Problem += " (from " + origin + ")"
			}
			continue
		}
		if f.Line == 0 {
			f.Line = p.line(f.Key)
		}
		if f.Line > 0 {
			f.File = p.file
		}
	}
	slices.SortStableFunc(faults, func(a, b Fault) int { return a.Line - b.Line })
}

// inherited removes the faults of streams that only repeat a fault of the defaults, and returns the rest.
func (p places) inherited(faults Faults) Faults {
	type wrong struct{ key, problem string }
	defaults := map[wrong]bool{}
	for _, f := range faults {
		if key, ok := strings.CutPrefix(f.Key, "defaults."); ok {
			defaults[wrong{key, f.Problem}] = true
		}
	}
	return slices.DeleteFunc(faults, func(f Fault) bool {
		if !strings.HasPrefix(f.Key, "streams[") {
			return false
		}
		_, key, _ := strings.Cut(f.Key, "].")
		return defaults[wrong{key, f.Problem}] && !p.own(f.Key)
	})
}
