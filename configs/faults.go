package configs

import "strings"

// Fault is one thing that is wrong with a configuration.
type Fault struct {
	Key     string // such as streams[0].hold
	Problem string // what is wrong
	Right   string // what would be right
}

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

// Faults is the error of a configuration that is not right: everything that is wrong with it.
type Faults []Fault

func (f Faults) Error() string {
	lines := make([]string, len(f))
	for i, fault := range f {
		lines[i] = fault.String()
	}
	return strings.Join(lines, "\n")
}
