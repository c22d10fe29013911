package ingest

import (
	"fmt"
	"regexp"
	"strings"
)

const namePart = `[A-Za-z0-9._-]{1,64}`

var (
	appPattern  = regexp.MustCompile(`^` + namePart + `$`)
	leafPattern = regexp.MustCompile(`^` + namePart + `(~` + namePart + `)?$`)
)

// StreamName returns the name of a stream, {app}/{name} or {app}/{name}~{rendition}, from its app
// and name. If either is not valid, the error is a *Refusal with the outcome RefusedName.
func StreamName(app, name string) (string, error) {
	if !appPattern.MatchString(app) || isDots(app) {
		return "", refuseName("app", app)
	}
	if !leafPattern.MatchString(name) {
		return "", refuseName("stream name", name)
	}
	base, rendition, _ := strings.Cut(name, "~")
	if isDots(base) || isDots(rendition) {
		return "", refuseName("stream name", name)
	}
	return app + "/" + name, nil
}

// refuseName returns the refusal of an app or a name, with secrets in it hidden.
func refuseName(part, value string) error {
	if shown := HideSecrets(value); shown != value {
		return &Refusal{
			Outcome: RefusedName,
			Reason:  fmt.Sprintf("the %s %q contains a key or token", part, truncateName(shown)),
			Hint:    "a question mark begins the query: write name?key=…&backup=1, with & only behind it",
		}
	}
	return &Refusal{
		Outcome: RefusedName,
		Reason:  fmt.Sprintf("the %s %q is not valid", part, truncateName(value)),
		Hint:    "use {app}/{name}, each 1 to 64 of A-Z a-z 0-9 . _ -",
	}
}

// ParentStream returns the stream that a rendition belongs to, and name itself for any other stream.
func ParentStream(name string) string {
	parent, _, _ := strings.Cut(name, "~")
	return parent
}

func isDots(s string) bool { return s == "." || s == ".." }

// truncateName shortens a name that a refusal repeats to 80 bytes.
func truncateName(s string) string {
	const limit = 80
	if len(s) > limit {
		return s[:limit] + "…"
	}
	return s
}
