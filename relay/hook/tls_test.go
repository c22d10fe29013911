package hook

import (
	"io"
	"log"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"
)

// An untrusted certificate is accepted only with insecure.
func TestInsecure(t *testing.T) {
	asked := make(chan string, 2)
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { asked <- r.Proto }))
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.EnableHTTP2 = true
	server.StartTLS()
	defer server.Close()
	for _, insecure := range []bool{false, true} {
		hooks := New(Options{Log: slog.New(slog.DiscardHandler)})
		hooks.Reload([]Hook{{URL: server.URL, Match: "*/*", Timeout: 10 * time.Second, Deny: true, Insecure: insecure}})
		if err := hooks.Ask(t.Context(), Event{Type: Publish, Stream: "live/cam"}, ""); (err == nil) != insecure {
			t.Errorf("insecure: got %v: %v", insecure, err)
		}
		hooks.Close(t.Context())
	}
	if n := len(asked); n != 1 {
		t.Errorf("got %d were heard", n)
	}
}
