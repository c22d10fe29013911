//go:build unix

package e2e

import (
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/holdfast-live/holdfast/testmedia/gen"
)

// apiDocument is the OpenAPI document of a relay.
type apiDocument map[string]any

// lookup follows names and returns nil if one does not exist.
func (d apiDocument) lookup(names ...string) any {
	var v any = map[string]any(d)
	for _, name := range names {
		m, _ := v.(map[string]any)
		v = m[name]
	}
	return d.resolved(v)
}

func (d apiDocument) resolved(v any) any {
	if m, ok := v.(map[string]any); ok {
		if ref, ok := m["$ref"].(string); ok {
			return d.lookup(strings.Split(strings.TrimPrefix(ref, "#/"), "/")...)
		}
	}
	return v
}

// schema returns the schema of a JSON response, or nil if the document has none.
func (d apiDocument) schema(method, path string, status int) map[string]any {
	answer, _ := d.lookup("paths", path, strings.ToLower(method), "responses", fmt.Sprint(status)).(map[string]any)
	content, _ := answer["content"].(map[string]any)
	body, _ := content["application/json"].(map[string]any)
	schema, _ := body["schema"].(map[string]any)
	return schema
}

// typeName returns the type of a value as schemas name it.
func typeName(v any) string {
	switch v := v.(type) {
	case nil:
		return "null"
	case bool:
		return "boolean"
	case string:
		return "string"
	case []any:
		return "array"
	case map[string]any:
		return "object"
	case float64:
		if v == math.Trunc(v) {
			return "integer"
		}
	}
	return "number"
}

// check returns the places where a value does not match its schema. Properties that a schema does not name
// are allowed only where it says so.
func (d apiDocument) check(schema any, v any, at string) (wrong []string) {
	s, _ := d.resolved(schema).(map[string]any)
	if any, ok := s["anyOf"].([]any); ok {
		for _, one := range any {
			if wrong = d.check(one, v, at); len(wrong) == 0 {
				return nil
			}
		}
		return wrong
	}
	s = d.merged(s)
	is := typeName(v)
	if want, ok := s["type"].(string); ok && want != is && (want != "number" || is != "integer") {
		return []string{fmt.Sprintf("%s is %s and not %s", at, is, want)}
	}
	if of, ok := s["enum"].([]any); ok && !slices.Contains(of, v) {
		wrong = append(wrong, fmt.Sprintf("%s is %v", at, v))
	}
	if s["format"] == "date-time" {
		if text, _ := v.(string); text != "" {
			if _, err := time.Parse(time.RFC3339, text); err != nil {
				wrong = append(wrong, at+" is no time")
			}
		}
	}
	switch v := v.(type) {
	case []any:
		for i, item := range v {
			wrong = append(wrong, d.check(s["items"], item, fmt.Sprintf("%s[%d]", at, i))...)
		}
	case map[string]any:
		if s["type"] == "object" {
			wrong = append(wrong, d.checkObject(s, v, at)...)
		}
	}
	return wrong
}

// merged returns a schema with the schemas of its allOf merged in.
func (d apiDocument) merged(s map[string]any) map[string]any {
	parts, _ := s["allOf"].([]any)
	if len(parts) == 0 {
		return s
	}
	out, properties := maps.Clone(s), map[string]any{}
	required, _ := s["required"].([]any)
	for _, part := range parts {
		p, _ := d.resolved(part).(map[string]any)
		p = d.merged(p)
		more, _ := p["required"].([]any)
		required = append(slices.Clone(required), more...)
		named, _ := p["properties"].(map[string]any)
		maps.Copy(properties, named)
	}
	named, _ := s["properties"].(map[string]any)
	maps.Copy(properties, named)
	out["required"], out["properties"] = required, properties
	return out
}

func (d apiDocument) checkObject(s, v map[string]any, at string) (wrong []string) {
	required, _ := s["required"].([]any)
	for _, name := range required {
		if _, ok := v[name.(string)]; !ok { //nolint:forcetypeassert // a panic fails the test
			wrong = append(wrong, fmt.Sprintf("%s has no %s", at, name))
		}
	}
	properties, _ := s["properties"].(map[string]any)
	for name, field := range v {
		at := at + "." + name
		switch schema, ok := properties[name]; {
		case ok:
			wrong = append(wrong, d.check(schema, field, at)...)
		case s["additionalProperties"] == nil:
			wrong = append(wrong, at+" is not in the document")
		case s["additionalProperties"] != true:
			wrong = append(wrong, d.check(s["additionalProperties"], field, at)...)
		}
	}
	return wrong
}

// TestOpenAPI checks that the relay's responses match its document.
func TestOpenAPI(t *testing.T) {
	t.Parallel()
	server := startNginxRTMP(t)
	r := startRelay(t, "--config", config(t, fmt.Sprintf(`push:
  - match: "live/*"
    name: cdn
    routes: [{name: a, url: "rtmp://%s/live/{name}"}, {name: b, url: "rtmp://%s/live/{name}"}]
`, server.addr, freeAddr(t))))
	var doc apiDocument
	if err := json.Unmarshal([]byte(fetch(t, r.url("admin", "/api/v1/openapi.json"))), &doc); err != nil {
		t.Fatal(err)
	}
	p := publish(t, r, "live/cam", gen.Options{})
	p.waitSent(60)
	watchFLV(t, r, "live/cam").waitFrames(5)
	publish(t, r, "live/cam2", gen.Options{Source: 2}).waitSent(60)
	r.waitCarries("live/cam", "a")
	p.disconnect()
	r.waitBreak(0) // held: with a cause and a deadline, and without a publisher
	for _, tt := range []struct {
		method, path, query, as string
		status                  int
	}{
		{"GET", "/healthz", "", "/healthz", 200},
		{"GET", "/readyz", "", "/readyz", 200},
		{"GET", "/api/v1/streams", "", "/api/v1/streams", 200},
		{"GET", "/api/v1/streams", "?limit=1", "/api/v1/streams", 200},
		{"GET", "/api/v1/streams", "?limit=x", "/api/v1/streams", 400},
		{"GET", "/api/v1/streams", "?order=trouble&limit=1&skip=1&search=cam", "/api/v1/streams", 200},
		{"GET", "/api/v1/streams/live/cam/history", "", "/api/v1/streams/{app}/{name}/history", 200},
		{"GET", "/api/v1/streams/live/cam", "", "/api/v1/streams/{app}/{name}", 200},
		{"GET", "/api/v1/streams/live/cam2", "", "/api/v1/streams/{app}/{name}", 200},
		{"GET", "/api/v1/streams/live/none", "", "/api/v1/streams/{app}/{name}", 404},
		{"GET", "/api/v1/streams/live/cam/log", "", "/api/v1/streams/{app}/{name}/log", 200},
		{"GET", "/api/v1/streams/live/cam/log", "?since=x", "/api/v1/streams/{app}/{name}/log", 400},
		{"GET", "/api/v1/streams/live/none/log", "", "/api/v1/streams/{app}/{name}/log", 404},
		{"DELETE", "/api/v1/streams/live/none/publisher", "", "/api/v1/streams/{app}/{name}/publisher", 404},
		{"PUT", "/api/v1/streams/live/cam/ceiling", "", "/api/v1/streams/{app}/{name}/ceiling", 400},
		{"DELETE", "/api/v1/streams/live/cam/ceiling", "", "/api/v1/streams/{app}/{name}/ceiling", 200},
		{"GET", "/api/v1/routes", "", "/api/v1/routes", 200},
		{"GET", "/api/v1/routes", "?stream=live/cam2", "/api/v1/routes", 200},
		{"PUT", "/api/v1/routes/cdn/live/cam/route", "", "/api/v1/routes/{group}/{app}/{name}/route", 400},
		{"DELETE", "/api/v1/routes/none/live/cam/rung", "", "/api/v1/routes/{group}/{app}/{name}/rung", 404},
		{"POST", "/api/v1/breakers/none.example:1/reset", "", "/api/v1/breakers/{host}/reset", 404},
	} {
		status, header, body := httpRequest(t, tt.method, r.url("admin", tt.path+tt.query))
		var v any
		if err := json.Unmarshal([]byte(body), &v); status != tt.status || err != nil || header.Get("Content-Type") != "application/json" {
			t.Errorf("%s %s%s: got %d, %v: %s", tt.method, tt.path, tt.query, status, err, body)
			continue
		}
		schema := doc.schema(tt.method, tt.as, status)
		if schema == nil {
			t.Errorf("the document has no response %d for %s %s", status, tt.method, tt.as)
			continue
		}
		if wrong := doc.check(schema, v, ""); len(wrong) > 0 {
			t.Errorf("%s %s%s:\n%s", tt.method, tt.path, tt.query, strings.Join(wrong, "\n"))
		}
	}
	// The checker must detect errors.
	for _, bad := range []string{`{"streams": 1}`, `{}`, `{"streams": [{"name": "live/cam"}]}`, `{"streams": [], "totals": {"streams": 0, "matching": 0, "states": {}, "viewers": 0}, "more": 1}`} {
		var v any
		_ = json.Unmarshal([]byte(bad), &v)
		if len(doc.check(doc.schema(http.MethodGet, "/api/v1/streams", 200), v, "")) == 0 {
			t.Errorf("got no error for %s", bad)
		}
	}
}
