package hub

import (
	"fmt"
	"regexp"
	"strings"

	"github.com/holdfast-live/holdfast/ingest"
)

const part = `[A-Za-z0-9._-]{1,64}`

var (
	appRule  = regexp.MustCompile(`^` + part + `$`)
	nameRule = regexp.MustCompile(`^` + part + `(~` + part + `)?$`)
)

// Name puts a stream's name together, {app}/{name} or {app}/{name}~{rendition}, or refuses it
// with a reason.
func Name(app, name string) (string, error) {
	refuse := func(what, got string) error {
		if shown := ingest.HideSecrets(got); shown != got {
			return &ingest.Refusal{
				Outcome: ingest.RefusedName,
				Reason:  fmt.Sprintf("the %s %q has a key or token in it", what, shorten(shown)),
				Hint:    "a question mark begins the query: write name?key=…&backup=1, with & only behind it",
			}
		}
		return &ingest.Refusal{
			Outcome: ingest.RefusedName,
			Reason:  fmt.Sprintf("the %s %q is not one that a stream can have", what, shorten(got)),
			Hint:    "use {app}/{name}, each 1 to 64 of A-Z a-z 0-9 . _ -",
		}
	}
	if !appRule.MatchString(app) || dots(app) {
		return "", refuse("app", app)
	}
	if !nameRule.MatchString(name) {
		return "", refuse("stream name", name)
	}
	base, rendition, _ := strings.Cut(name, "~")
	if dots(base) || dots(rendition) {
		return "", refuse("stream name", name)
	}
	return app + "/" + name, nil
}

// Parent is the stream that a rendition belongs to; of any other, the stream itself.
func Parent(name string) string {
	parent, _, _ := strings.Cut(name, "~")
	return parent
}

func dots(s string) bool { return s == "." || s == ".." }

func shorten(s string) string {
	const most = 80
	if len(s) > most {
		return s[:most] + "…"
	}
	return s
}
