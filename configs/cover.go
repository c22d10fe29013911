package configs

import (
	"path"
	"strings"
)

// covers reports whether a pattern of streams matches every stream that the pattern other matches. It
// returns false if that cannot be determined in bounded time.
func covers(pattern, other string) bool {
	app, name, _ := strings.Cut(pattern, "/")
	otherApp, otherName, _ := strings.Cut(other, "/")
	return coversPart(app, otherApp) && coversPart(name, otherName)
}

// alphabet lists the characters of stream names.
const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-"

const (
	// maxTokens is the maximum length of patterns that are compared. Positions are bits of a uint64.
	maxTokens = 63
	// maxSteps bounds the work of one comparison.
	maxSteps = 20_000
)

// glob is a pattern as a nondeterministic automaton. A state of the automaton is a set of positions in the
// tokens, as the bits of a number.
type glob []string

// parseGlob splits a part of a path.Match pattern into tokens. Each token matches one character, except
// "*", which matches any number. ok is false if the pattern is too long or malformed.
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

// classEnd returns the length of the character class at the start of a pattern. If the class is not
// closed, the result exceeds the length of the pattern.
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

// closed returns the positions at, together with those reachable from them without reading a character.
func (g glob) closed(at uint64) uint64 {
	for i, token := range g {
		if token == "*" && at&(1<<i) != 0 {
			at |= 1 << (i + 1)
		}
	}
	return at
}

// next returns the positions that are reached from the positions at by reading character c.
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

// overlaps reports whether a stream may exist that both patterns match. It returns true if that cannot be
// determined in bounded time.
func overlaps(a, b string) bool {
	appA, nameA, _ := strings.Cut(a, "/")
	appB, nameB, _ := strings.Cut(b, "/")
	return overlapsPart(appA, appB) && overlapsPart(nameA, nameB)
}

// coversPart is like covers, for the app or the name part of patterns.
func coversPart(pattern, other string) bool {
	missed, known := findText(pattern, other, func(a, b bool) bool { return b && !a })
	return known && !missed
}

// overlapsPart is like overlaps, for the app or the name part of patterns.
func overlapsPart(pattern, other string) bool {
	met, known := findText(pattern, other, func(a, b bool) bool { return a && b })
	return met || !known
}

// findText reports whether a text exists for which the function found returns true. The arguments of found
// tell which of the two patterns match the text; it must return false if other does not. findText follows
// all texts that other can match through both automata. known is false if that exceeds maxSteps, or if a
// pattern is malformed or too long.
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
