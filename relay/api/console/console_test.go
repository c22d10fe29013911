package console

import (
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
)

func get(path string, header ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(http.MethodGet, path, nil)
	if len(header) == 2 {
		r.Header.Set(header[0], header[1])
	}
	w := httptest.NewRecorder()
	Handler().ServeHTTP(w, r)
	return w
}

// The page and all files that it refers to are served from this origin.
func TestPageIsWhole(t *testing.T) {
	seen := map[string]bool{}
	refs := regexp.MustCompile(`(?:src|href)="([^"#]+)"|from '(\.[^']+)'`)
	var visit func(path string)
	visit = func(path string) {
		if seen[path] {
			return
		}
		seen[path] = true
		w := get(path)
		h := w.Header()
		if w.Code != http.StatusOK || h.Get("Content-Type") == "" || h.Get("X-Frame-Options") != "DENY" || h.Get("ETag") == "" {
			t.Errorf("%s: got %d %v", path, w.Code, h)
			return
		}
		if again := get(path, "If-None-Match", h.Get("ETag")); again.Code != http.StatusNotModified || again.Body.Len() > 0 {
			t.Errorf("%s again: got %d", path, again.Code)
		}
		for _, m := range refs.FindAllStringSubmatch(w.Body.String(), -1) {
			ref := m[1] + m[2]
			if strings.Contains(ref, "//") {
				t.Errorf("%s asks %s", path, ref)
				continue
			}
			visit("/console/" + strings.TrimPrefix(strings.TrimPrefix(ref, "./"), "console/"))
		}
	}
	visit("/")
	names, err := site.ReadDir("site")
	if err != nil || len(names) != len(seen) {
		t.Errorf("got %d files, %v; referred to %v", len(names), err, seen)
	}
	if w := get("/console/index.html"); w.Code != http.StatusNotFound {
		t.Errorf("another way to the page: got %d", w.Code)
	}
}

// Scripts create no markup or code from text, and nothing is inline.
func TestPageIsInert(t *testing.T) {
	names, err := site.ReadDir("site")
	if err != nil {
		t.Fatal(err)
	}
	bad := regexp.MustCompile(`innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function|\sstyle="|\son[a-z]+="|localStorage`)
	for _, n := range names {
		text, err := site.ReadFile("site/" + n.Name())
		if err != nil {
			t.Fatal(err)
		}
		if found := bad.Find(text); found != nil {
			t.Errorf("%s has %q", n.Name(), found)
		}
	}
	if p := get("/").Header().Get("Content-Security-Policy"); strings.Contains(p, "unsafe") || !strings.Contains(p, "connect-src 'self'") {
		t.Errorf("the policy is %s", p)
	}
}
