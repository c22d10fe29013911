package api

import (
	"encoding/json"
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"net/http"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// served returns the method and path of every endpoint in this package's sources, except pages
// and profiles.
func served(t *testing.T) (out []string) {
	t.Helper()
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		f, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(f, func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if !ok || len(call.Args) != 2 {
				return true
			}
			f, ok := call.Fun.(*ast.SelectorExpr)
			if !ok || f.Sel.Name != "Handle" && f.Sel.Name != "HandleFunc" {
				return true
			}
			text, ok := call.Args[0].(*ast.BasicLit)
			if !ok {
				t.Errorf("%s: what is served is not written out", file)
				return true
			}
			pattern, _ := strconv.Unquote(text.Value)
			_, path, _ := strings.Cut(pattern, " ")
			for _, of := range []string{"/api/", "/healthz", "/readyz", "/metrics"} {
				if strings.HasPrefix(path, of) {
					out = append(out, pattern)
				}
			}
			return true
		})
	}
	slices.Sort(out)
	return out
}

// TestDocument compares the document with the endpoints: it describes all of them and no others.
func TestDocument(t *testing.T) {
	f := &fake{pushing: true}
	w := ask(handler(f, ""), "GET", "/api/v1/openapi.json")
	var doc struct {
		OpenAPI string
		Paths   map[string]map[string]json.RawMessage
	}
	if err := json.Unmarshal(w.Body.Bytes(), &doc); err != nil || w.Code != 200 || doc.OpenAPI != "3.1.0" {
		t.Fatalf("%v: got %d", err, w.Code)
	}
	var named []string
	for path, methods := range doc.Paths {
		for method := range methods {
			if method != "parameters" {
				named = append(named, strings.ToUpper(method)+" "+path)
			}
		}
	}
	slices.Sort(named)
	if want := served(t); !slices.Equal(named, want) || len(want) < 15 {
		t.Errorf("the document has\n%s\nserved is\n%s", strings.Join(named, "\n"), strings.Join(want, "\n"))
	}
	if w := ask(handler(f, "s3cret"), "GET", "/api/v1/openapi.json"); w.Code != http.StatusUnauthorized {
		t.Errorf("without the token: got %d", w.Code)
	}
}

// Every reference has a target, and every definition is referenced.
func TestDocumentReferences(t *testing.T) {
	var doc map[string]any
	if err := json.Unmarshal(openapi, &doc); err != nil {
		t.Fatal(err)
	}
	used := map[string]bool{}
	var walk func(v any)
	walk = func(v any) {
		switch v := v.(type) {
		case map[string]any:
			if ref, ok := v["$ref"].(string); ok {
				used[ref] = true
			}
			for _, v := range v {
				walk(v)
			}
		case []any:
			for _, v := range v {
				walk(v)
			}
		}
	}
	walk(doc)
	there := map[string]bool{}
	components := doc["components"].(map[string]any) //nolint:forcetypeassert // a panic fails the test
	delete(components, "securitySchemes")
	for kind, all := range components {
		for name := range all.(map[string]any) { //nolint:forcetypeassert // a panic fails the test
			there["#/components/"+kind+"/"+name] = true
		}
	}
	if !maps.Equal(used, there) {
		t.Errorf("used %v\nthere %v", slices.Sorted(maps.Keys(used)), slices.Sorted(maps.Keys(there)))
	}
}
