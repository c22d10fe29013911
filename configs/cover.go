package configs

import (
	"path"
	"strings"
)

// covers reports whether a pattern of streams matches everything that another matches, as far as
// that can be determined in bounded time.
func covers(pattern, other string) bool {
	app, name, _ := strings.Cut(pattern, "/")
	otherApp, otherName, _ := strings.Cut(other, "/")
	return coversPart(app, otherApp) && coversPart(name, otherName)
}

// alphabet lists the characters of stream names.
const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-"

const (
	// maxTokens bounds the patterns that are compared, because positions are bits of a number.
	maxTokens = 63
	// maxSteps bounds the work of one comparison.
	maxSteps = 20_000
)

// glob is a pattern as an automaton. Its state is a set of positions in the tokens; "*" may
// repeat.
type glob []string

// parseGlob splits a part of a pattern of path.Match into tokens, each of which matches one
// character, except "*". ok is false if the pattern is too long or malformed.
func parseGlob(part string) (g glob, ok bool) {
	if _, err := path.Match(part, ""); err != nil {
		return nil, false
	}
	for part != "" {
		n := 1
		switch part[0] {
		case '\\':
			n = 2
		case '[':
			n = classEnd(part)
		}
		if n > len(part) {
			return nil, false
		}
		g = append(g, part[:n])
		part = part[n:]
	}
	return g, len(g) <= maxTokens
}

// classEnd returns the length of the character class that a pattern begins with.
func classEnd(part string) int {
	for i := 1; i < len(part); i++ {
		switch {
		case part[i] == '\\':
			i++
		case part[i] == ']' && i > 1:
			return i + 1
		}
	}
	return len(part) + 1
}

// closed adds to the positions those that are reachable without a character.
func (g glob) closed(at uint64) uint64 {
	for i, token := range g {
		if token == "*" && at&(1<<i) != 0 {
			at |= 1 << (i + 1)
		}
	}
	return at
}

// next returns the positions after a character.
func (g glob) next(at uint64, c byte) (to uint64) {
	for i, token := range g {
		if at&(1<<i) == 0 {
			continue
		}
		if token == "*" {
			to |= 1 << i
		} else if ok, err := path.Match(token, string(c)); ok && err == nil {
			to |= 1 << (i + 1)
		}
	}
	return g.closed(to)
}

func (g glob) accepts(at uint64) bool { return at&(1<<len(g)) != 0 }

// overlaps reports whether two patterns may match a common stream.
func overlaps(a, b string) bool {
	appA, nameA, _ := strings.Cut(a, "/")
	appB, nameB, _ := strings.Cut(b, "/")
	return overlapsPart(appA, appB) && overlapsPart(nameA, nameB)
}

// coversPart is like covers for an app or a name.
func coversPart(pattern, other string) bool {
	missed, known := findText(pattern, other, func(a, b bool) bool { return b && !a })
	return known && !missed
}

// overlapsPart is like overlaps for an app or a name.
func overlapsPart(pattern, other string) bool {
	met, known := findText(pattern, other, func(a, b bool) bool { return a && b })
	return met || !known
}

// findText reports whether there is a text for which found returns true. found is called with
// whether each of the two patterns matches the text, and must return false if other does not.
// meet follows all texts that other matches through both automata. known is false if that needs
// too much work, or if a pattern is malformed.
func findText(pattern, other string, found func(pattern, other bool) bool) (met, known bool) {
	a, ok := parseGlob(pattern)
	b, okToo := parseGlob(other)
	if !ok || !okToo {
		return false, false
	}
	type state struct{ a, b uint64 }
	first := state{a.closed(1), b.closed(1)}
	seen, todo := map[state]bool{first: true}, []state{first}
	for steps := 0; len(todo) > 0; steps++ {
		at := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		for _, c := range []byte(alphabet) {
			to := state{a.next(at.a, c), b.next(at.b, c)}
			if steps > maxSteps/len(alphabet) {
				return false, false
			}
			if found(a.accepts(to.a), b.accepts(to.b)) {
				return true, true
			}
			if to.b == 0 || seen[to] {
				continue
			}
			seen[to] = true
			todo = append(todo, to)
		}
	}
	return false, true
}
