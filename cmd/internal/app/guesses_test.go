package app

import (
	"bytes"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/holdfast-live/holdfast/relay/api"
)

// Wrong admin tokens are answered with increasing delays, and logged occasionally without their
// values. The right token is answered at once, and a missing one is not a guess.
func TestAdminTokenGuesses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		h := api.New(api.Options{
			Events: api.NewEvents(), Metrics: http.NotFoundHandler(), Token: func() string { return "right" },
			Guessed: newGuesses(slog.New(slog.NewTextHandler(&out, nil))).wrong,
		})
		ask := func(token string) (status int, took time.Duration) {
			r := httptest.NewRequest(http.MethodGet, "/api/v1/openapi.json", nil)
			if token != "" {
				r.Header.Set("Authorization", "Bearer "+token)
			}
			begun, w := time.Now(), httptest.NewRecorder()
			h.ServeHTTP(w, r)
			return w.Code, time.Since(begun)
		}
		slowest := time.Duration(0)
		for range 12 {
			status, took := ask("guess-of-a-token")
			if slowest = max(slowest, took); status != http.StatusUnauthorized {
				t.Fatalf("status %d", status)
			}
			for token, want := range map[string]int{"right": http.StatusOK, "": http.StatusUnauthorized} {
				if status, took := ask(token); status != want || took != 0 {
					t.Errorf("token %q: status %d after %v, want %d at once", token, status, took, want)
				}
			}
		}
		if slowest < time.Second {
			t.Errorf("the slowest answer to a guess took %v", slowest)
		}
		lines := strings.Count(out.String(), "wrong admin token")
		if lines < 2 || lines > 4 || strings.Contains(out.String(), "guess-of") || !strings.Contains(out.String(), "192.0.2.1") {
			t.Errorf("got %d lines:\n%s", lines, out.String())
		}
	})
}
