package page

import (
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
)

func get(t *testing.T, path string) *httptest.ResponseRecorder {
	t.Helper()
	w := httptest.NewRecorder()
	r := httptest.NewRequest(http.MethodGet, path, nil)
	if !ServeFile(w, r) {
		ServeHTTP(w, r)
	}
	return w
}

// All files that the page refers to exist, under a URL that contains their hash and is cached
// forever, and no others.
func TestFiles(t *testing.T) {
	doc := get(t, "/live/cam/").Body.String()
	named := regexp.MustCompile(`"\.\./\.\.(/~page/[^"]+)"`).FindAllStringSubmatch(doc, -1)
	if len(named) < 10 || strings.Contains(doc, `"~page`) {
		t.Fatalf("page refers to %d files", len(named))
	}
	kinds := map[string]bool{"text/javascript; charset=utf-8": true, "text/css; charset=utf-8": true}
	for _, n := range named {
		w := get(t, n[1])
		h := w.Header()
		if w.Code != 200 || !kinds[h.Get("Content-Type")] || !strings.Contains(h.Get("Cache-Control"), "immutable") || h.Get("X-Content-Type-Options") != "nosniff" {
			t.Errorf("%s: got status %d %v", n[1], w.Code, h)
		}
		for _, i := range regexp.MustCompile(`(?:from|import\() ?"\./([^"]+)"`).FindAllStringSubmatch(w.Body.String(), -1) {
			if get(t, folder+version+"/"+i[1]).Header().Get("Content-Type") != "text/javascript; charset=utf-8" {
				t.Errorf("%s imports %s, which does not exist", n[1], i[1])
			}
		}
	}
	for _, path := range []string{"/~page/", "/~page/0/main.js", folder + version + "/page.html", folder + version + "/page.go", folder + version + "/../page.css", folder + version + "/"} {
		if ServeFile(httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, path, nil)) {
			t.Errorf("%s: got a file, want none", path)
		}
	}
}

// The page runs only its own scripts. Embedded, it may be framed by any site and has no camera;
// otherwise no other site may frame it.
func TestPolicy(t *testing.T) {
	for query, want := range map[string]string{"": "frame-ancestors 'self'", "?embed": "frame-ancestors *"} {
		w := get(t, "/live/cam/"+query)
		policy := w.Header().Get("Content-Security-Policy")
		if !strings.HasSuffix(policy, want) || !strings.HasPrefix(policy, "default-src 'none'") || strings.Contains(policy, "unsafe") {
			t.Errorf("%q: got policy %s", query, policy)
		}
		if camera := strings.Contains(w.Header().Get("Permissions-Policy"), "camera=(self)"); camera != (query == "") {
			t.Errorf("%q: got permissions %s", query, w.Header().Get("Permissions-Policy"))
		}
		if w.Header().Get("Referrer-Policy") != "no-referrer" || w.Header().Get("Cache-Control") != "no-cache" {
			t.Errorf("%q: got header %v", query, w.Header())
		}
		if regexp.MustCompile(`(?i)<script>|<style|\son[a-z]+=|style=`).MatchString(w.Body.String()) {
			t.Errorf("%q: policy forbids content of the page", query)
		}
	}
}

func TestSlash(t *testing.T) {
	w := get(t, "/live/cam?token=x")
	if w.Code != http.StatusTemporaryRedirect || w.Header().Get("Location") != "./cam/?token=x" {
		t.Errorf("got status %d %v", w.Code, w.Header())
	}
}

func TestMatch(t *testing.T) {
	for path, want := range map[string]bool{"/live/cam/": true, "/live/cam": true, "/live/": false, "/": false, "/a/b/c": false} {
		if _, _, ok := Match(path); ok != want {
			t.Errorf("Match(%s) = %v", path, ok)
		}
	}
}
