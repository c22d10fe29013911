package configs

import (
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// documents are the READMEs and their companions, from this directory.
var documents = []string{
	"../README.md", "README.md", "../qos/README.md", "../relay/README.md", "../relay/api/README.md", "../relay/route/README.md",
	"../testmedia/README.md", "../.github/CHANGELOG.md", "../.github/CONTRIBUTING.md", "../.github/SECURITY.md",
}

func readDocument(t *testing.T, file string) string {
	t.Helper()
	b, err := os.ReadFile(file) //nolint:gosec // the tree's own
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// TestDocumentedConfigurations loads every YAML block of the documents.
func TestDocumentedConfigurations(t *testing.T) {
	block := regexp.MustCompile("(?ms)^```yaml\n(.*?)^```$")
	loaded := 0
	for _, file := range documents {
		for i, m := range block.FindAllStringSubmatch(readDocument(t, file), -1) {
			loaded++
			if _, _, err := Load(write(t, m[1]), nil); err != nil {
				t.Errorf("%s, YAML block %d: %v", file, i+1, err)
			}
		}
	}
	if loaded < 3 {
		t.Errorf("found %d YAML blocks, want at least 3", loaded)
	}
}

// TestDocumentedKeys compares the keys that README.md of this package names with those that exist.
func TestDocumentedKeys(t *testing.T) {
	text := readDocument(t, "README.md")
	_, table, found := strings.Cut(text, "### Keys by topic")
	table, _, ended := strings.Cut(table, "\n## ")
	if !found || !ended {
		t.Fatal("README.md lacks the section of keys")
	}
	var got []string
	for _, m := range regexp.MustCompile("`([a-z_.]+)`").FindAllStringSubmatch(table, -1) {
		if m[1] != "defaults" && m[1] != "match" {
			got = append(got, m[1])
		}
	}
	var want []string
	keys := fileKeys(reflect.TypeFor[Config](), "")
	for _, key := range keys {
		isGroup := slices.ContainsFunc(keys, func(other string) bool { return strings.HasPrefix(other, key+".") })
		if !isGroup {
			want = append(want, key)
		}
	}
	slices.Sort(got)
	got = slices.Compact(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("README.md names the keys %q\nwant %q", got, want)
	}
}

// TestDocumentedAlerts holds that qos/README.md names every alert and its severity.
func TestDocumentedAlerts(t *testing.T) {
	var rules struct{ Groups []struct{ Rules []alert } }
	read(t, "prometheus/holdfast.rules.yaml", &rules)
	text := readDocument(t, "../qos/README.md")
	for _, g := range rules.Groups {
		for _, r := range g.Rules {
			if row := fmt.Sprintf("| `%s` | %s |", r.Alert, r.Labels["severity"]); r.Alert != "" && !strings.Contains(text, row) {
				t.Errorf("qos/README.md lacks %s", row)
			}
		}
	}
}

// TestDocumentLinks holds that each relative link leads to a file, and each fragment to a heading.
func TestDocumentLinks(t *testing.T) {
	link := regexp.MustCompile(`\]\(([^)\s]+)\)`)
	for _, file := range documents {
		for _, m := range link.FindAllStringSubmatch(readDocument(t, file), -1) {
			if strings.Contains(m[1], "://") {
				continue
			}
			path, fragment, _ := strings.Cut(m[1], "#")
			target := file
			if path != "" {
				target = filepath.Join(filepath.Dir(file), path)
			}
			if _, err := os.Stat(target); err != nil {
				t.Errorf("%s: got %s: %v", file, m[1], err)
			} else if fragment != "" && !slices.Contains(fragments(readDocument(t, target)), fragment) {
				t.Errorf("%s: got %s: no such heading", file, m[1])
			}
		}
	}
}

// fragments returns the names of a document's headings in links.
func fragments(text string) (out []string) {
	dropped := regexp.MustCompile(`[^a-z0-9 _-]`)
	for _, m := range regexp.MustCompile(`(?m)^#+ (.*)$`).FindAllStringSubmatch(text, -1) {
		name := dropped.ReplaceAllString(strings.ToLower(m[1]), "")
		out = append(out, strings.ReplaceAll(name, " ", "-"))
	}
	return out
}
