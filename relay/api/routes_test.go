package api

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
)

// fakeRoutes has one group, and records the calls.
type fakeRoutes struct {
	asked []string
	fails error
	lines []Line
}

func (f *fakeRoutes) Lines() []Line { return f.lines }

func (f *fakeRoutes) Routes(stream string) ([]RouteGroup, []Breaker) {
	return []RouteGroup{{Name: "cdn", Direction: "push", Streams: []RouteStream{{Stream: "live/cam", Active: "a"}}}},
		[]Breaker{{Host: "a.example:1935", State: "open"}}
}

func (f *fakeRoutes) Act(act RouteAct, group, stream, value string) error {
	f.asked = append(f.asked, strings.Join([]string{string(act), group, stream, value}, " "))
	if group == "none" {
		return &ActError{Reason: "no such group", Hint: "look"}
	}
	return f.fails
}

func TestRoutesAreListed(t *testing.T) {
	w := ask(handler(&fake{}, ""), http.MethodGet, "/api/v1/routes")
	var got struct {
		Groups   []RouteGroup
		Breakers []Breaker
	}
	if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil || w.Code != http.StatusOK {
		t.Fatal(w.Code, err)
	}
	if got.Groups[0].Streams[0].Active != "a" || got.Breakers[0].Host != "a.example:1935" {
		t.Errorf("got %+v", got)
	}
}

func TestRoutesAreActedOn(t *testing.T) {
	f := &fake{}
	h := handler(f, "")
	send := func(method, path, body string) *httptest.ResponseRecorder {
		r := httptest.NewRequest(method, "http://127.0.0.1:8081"+path, strings.NewReader(body))
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		return w
	}
	const at = "/api/v1/routes/cdn/live/cam"
	for _, tt := range []struct {
		method, path, body string
		status             int
	}{
		{http.MethodPut, at + "/route", `{"route": "b"}`, http.StatusNoContent},
		{http.MethodDelete, at + "/route", "", http.StatusNoContent},
		{http.MethodPut, at + "/rung", `{"rung": "audio"}`, http.StatusNoContent},
		{http.MethodDelete, at + "/rung", "", http.StatusNoContent},
		{http.MethodPost, at + "/reset", `{"route": "a"}`, http.StatusNoContent},
		{http.MethodPost, "/api/v1/breakers/a.example:1935/reset", "", http.StatusNoContent},
		{http.MethodPut, at + "/route", `{"rung": "b"}`, http.StatusBadRequest},
		{http.MethodPut, at + "/route", `{"route": ""}`, http.StatusBadRequest},
		{http.MethodPut, at + "/rung", `rung=audio`, http.StatusBadRequest},
		{http.MethodPut, at + "/rung", strings.Repeat(" ", 1<<20) + `{"rung": "audio"}`, http.StatusBadRequest},
		{http.MethodPut, "/api/v1/routes/none/live/cam/route", `{"route": "b"}`, http.StatusNotFound},
		{http.MethodPost, at + "/route", `{"route": "b"}`, http.StatusMethodNotAllowed},
	} {
		if w := send(tt.method, tt.path, tt.body); w.Code != tt.status || w.Code >= 400 && !strings.Contains(w.Body.String(), `"hint"`) {
			t.Errorf("%s %s %.40s: got %d %s", tt.method, tt.path, tt.body, w.Code, w.Body)
		}
	}
	want := []string{
		"force cdn live/cam b", "force cdn live/cam ", "rung cdn live/cam audio", "rung cdn live/cam ", "reset cdn live/cam a",
		"breaker   a.example:1935", "force none live/cam b",
	}
	if !slices.Equal(f.routes.asked, want) {
		t.Errorf("got %q", f.routes.asked)
	}
	f.routes.fails = errors.New("something secret")
	if w := send(http.MethodDelete, at+"/route", ""); w.Code != http.StatusInternalServerError || strings.Contains(w.Body.String(), "secret") {
		t.Errorf("got %d %s", w.Code, w.Body)
	}
}
