package api

import (
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
)

func TestCeiling(t *testing.T) {
	f := &fake{pushing: true}
	h := handler(f, "")
	send := func(method, stream, body string) *httptest.ResponseRecorder {
		r := httptest.NewRequest(method, "http://127.0.0.1:8081/api/v1/streams/"+stream+"/ceiling", strings.NewReader(body))
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		return w
	}
	for _, c := range []struct {
		method, stream, body string
		code                 int
		says                 string
	}{
		{"PUT", "live/cam", `{"bitrate": 300000}`, http.StatusOK, `"asked":true`},
		{"DELETE", "live/cam", "", http.StatusOK, `"bitrate":0`},
		{"PUT", "live/none", `{"bitrate": 300000}`, http.StatusNotFound, "no stream live/none"},
		{"DELETE", "live/none", "", http.StatusNotFound, "no stream live/none"},
		{"PUT", "live/cam", `{"bitrate": 10}`, http.StatusBadRequest, "from 64000"},
		{"PUT", "live/cam", `{"bitrate": -1}`, http.StatusBadRequest, "does not name a bitrate"},
		{"PUT", "live/cam", `{}`, http.StatusBadRequest, "does not name a bitrate"},
		{"PUT", "live/cam", `nonsense`, http.StatusBadRequest, "does not name a bitrate"},
		{"POST", "live/cam", `{}`, http.StatusMethodNotAllowed, "use"},
	} {
		if w := send(c.method, c.stream, c.body); w.Code != c.code || !strings.Contains(w.Body.String(), c.says) {
			t.Errorf("%s %s %s: got %d %s", c.method, c.stream, c.body, w.Code, w.Body)
		}
	}
	if want := []float64{300000, 0}; !slices.Equal(f.capped, want) {
		t.Errorf("got %v", f.capped)
	}
}
