package app

import (
	"bufio"
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/holdfast-live/holdfast/configs"
	"github.com/holdfast-live/holdfast/relay/egress/status"
	"github.com/holdfast-live/holdfast/testmedia/gen"
)

// A client that may play a stream can read its state, which reveals nothing about the publisher.
func TestStates(t *testing.T) {
	const secret = "s3cret-of-the-plays-0123456789ab"
	var log logs
	a := run(t, &log, func(c *configs.Config) { c.Defaults.PlaySecret = secret })
	ctx := t.Context()
	get := func(query, accept string) *http.Response {
		t.Helper()
		r, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+a.Addr("http").String()+"/live/cam/state"+query, nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Accept", accept)
		got, err := once(t).Do(r)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = got.Body.Close() })
		return got
	}
	good := "?token=" + jwtFor(t, secret, "live/cam", time.Now().Add(time.Hour))
	if got := get("", ""); got.StatusCode != http.StatusUnauthorized { //nolint:bodyclose // get closes it
		t.Errorf("without a token: got %s", got.Status)
	}
	if got := get(good, ""); got.StatusCode != http.StatusNotFound || got.Header.Get("Retry-After") == "" { //nolint:bodyclose // get closes it
		t.Errorf("what is not live: got %s", got.Status)
	}
	events := subscribe(t, "http://"+a.Addr("admin").String(), "")
	p, err := dialPush(t, a, "live/cam")
	if err != nil {
		t.Fatal(err)
	}
	for _, packet := range gen.New(gen.Options{}).Until(2 * time.Second) {
		if err := p.Write(packet); err != nil {
			t.Fatal(err)
		}
	}
	events.until(t, `"to":"live"`)
	lines := bufio.NewScanner(get(good, "text/event-stream").Body) //nolint:bodyclose // get closes it
	next := func() (s status.Report) {
		t.Helper()
		for lines.Scan() {
			if data, ok := strings.CutPrefix(lines.Text(), "data: "); ok {
				if err := json.Unmarshal([]byte(data), &s); err != nil {
					t.Fatal(err)
				}
				if strings.Contains(data, "127.0.0.1") {
					t.Errorf("the publisher's address is in %s", data)
				}
				return s
			}
		}
		t.Fatal("nothing more is told")
		return s
	}
	if s := next(); s.State != status.Live || time.Since(s.Since) > time.Minute {
		t.Errorf("got %+v", s)
	}
	if err := p.Close(); err != nil {
		t.Fatal(err)
	}
	if s := next(); s.State != status.Held || s.Cause == "" || len(s.Past) != 1 {
		t.Errorf("got %+v", s)
	}
}
