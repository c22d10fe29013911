package ingest

import (
	"errors"
	"strings"
	"testing"
)

var long = strings.Repeat("x", 64)

var names = []struct {
	app, name string
	ok        bool
}{
	{"live", "cam", true},
	{"live", "cam~360p", true},
	{"a", "b", true},
	{"A.z_9-", "0...~_", true},
	{long, long, true},
	{long, long + "~" + long, true},
	{"...", "...", true},
	{".hidden", "..x", true},
	{"", "cam", false},
	{"live", "", false},
	{"live", "~", false},
	{"live", "~360p", false},
	{"live", "cam~", false},
	{"live", "cam~a~b", false},
	{"live~x", "cam", false},
	{".", "cam", false},
	{"..", "cam", false},
	{"live", ".", false},
	{"live", "..", false},
	{"live", "..~x", false},
	{"live", "cam~..", false},
	{"live", "cam~.", false},
	{long + "x", "cam", false},
	{"live", long + "x", false},
	{"live", "cam~" + long + "x", false},
	{"live/a", "cam", false},
	{"live", "a/cam", false},
	{"live", "cam\n", false},
	{"live", "cam\x00", false},
	{"live", "cäm", false},
	{"live", "cam?key=x", false},
	{"live", "a b", false},
	{"live", "\xff\xfe", false},
	{"live", strings.Repeat("é", 5000), false},
}

func TestName(t *testing.T) {
	for _, tt := range names {
		checkName(t, tt.app, tt.name)
		if _, err := StreamName(tt.app, tt.name); (err == nil) != tt.ok {
			t.Errorf("%q, %q: got %v", tt.app, tt.name, err)
		}
	}
}

// allowed is an independent form of the rule: {app}/{name}, each part 1 to 64 of A-Z a-z 0-9 . _ -,
// but not . or ..; {name}~{rendition} likewise.
func allowed(app, name string) bool {
	parts := append([]string{app}, strings.Split(name, "~")...)
	for _, p := range parts {
		if len(p) < 1 || len(p) > 64 || p == "." || p == ".." {
			return false
		}
		for _, c := range []byte(p) {
			if !strings.ContainsRune("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-", rune(c)) {
				return false
			}
		}
	}
	return len(parts) <= 3
}

func checkName(t *testing.T, app, name string) {
	full, err := StreamName(app, name)
	if (err == nil) != allowed(app, name) {
		t.Fatalf("%q, %q: got %v", app, name, err)
	}
	if err == nil {
		base, _, _ := strings.Cut(name, "~")
		if full != app+"/"+name || ParentStream(full) != app+"/"+base {
			t.Fatalf("%q, %q: got %q with parent %q", app, name, full, ParentStream(full))
		}
		return
	}
	var r *Refusal
	if !errors.As(err, &r) || r.Outcome != RefusedName || r.Reason == "" || r.Hint == "" || full != "" {
		t.Fatalf("got %q, %+v", full, err)
	}
	if len(r.Reason) > 500 || strings.ContainsAny(r.Reason, "\n\r\x00") {
		t.Fatalf("got reason %q", r.Reason)
	}
}

func FuzzName(f *testing.F) {
	for _, tt := range names {
		f.Add(tt.app, tt.name)
	}
	f.Fuzz(func(t *testing.T, app, name string) { checkName(t, app, name) })
}
