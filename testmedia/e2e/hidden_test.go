//go:build linux

package e2e

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/holdfast-live/holdfast/testmedia/gen"
)

// TestHiddenKeys pushes and pulls with URLs that have keys in their names and queries: one that works,
// some that are refused, one whose server is dead. No output of the relay may contain a key. A destination
// that rejects the push with a reason is denied; one that closes the connection without a reason, as
// nginx-rtmp does, is rejected; and one that is down has failed.
func TestHiddenKeys(t *testing.T) {
	t.Parallel()
	const stream, name, query = "live/cam", "n4me-secret", "qu3ry-secret"
	asked := newList[string]()
	hook := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		_ = req.ParseForm()
		asked.add(req.Form.Get("name") + "?" + req.Form.Get("auth"))
		w.WriteHeader(http.StatusForbidden)
	}))
	t.Cleanup(hook.Close)
	server := startNginx(t, freeAddr(t), hook.URL+"/")
	strict := startRelay(t, "--config", config(t, "defaults: {publish_keys: [another]}\n"))
	dead := newDeadHost(t)
	tail := "/" + name + "-{name}?auth=" + query
	var text strings.Builder
	for _, g := range []group{
		{list: "push", name: "good", urls: []string{"rtmp://" + server.addr + "/live" + tail}},
		{name: "denying", urls: []string{"rtmp://" + strict.addrs["rtmp"] + "/live" + tail}},
		{name: "shut", urls: []string{"rtmp://" + server.addr + "/shut" + tail}},
		{name: "asking", urls: []string{"rtmp://" + server.addr + "/asking" + tail}},
		{name: "dead", urls: []string{"rtmp://" + dead.addr + "/live" + tail}},
		{list: "pull", name: "pulled", match: "live/far", urls: []string{"http://" + dead.addr + "/live/{name}.flv?auth=" + query}},
	} {
		text.WriteString(strings.TrimPrefix(g.yaml(), ":\n")) // groups after the first of the list
	}
	r := startRelay(t, "--log.level", "debug", "--config", config(t, text.String()))
	events := r.followEvents()
	p := publish(t, r, stream, gen.Options{Source: 1})
	r.waitCarries(stream, "a")
	for group, outcome := range map[string]string{"denying": "denied", "asking": "rejected", "dead": "failed", "pulled": "failed"} {
		waitUntil(t, group+" is "+outcome, func() bool {
			return r.metric(`holdfast_route_dials_total{group="`+group+`",outcome="`+outcome+`",route="a"}`) > 0
		})
	}
	r.waitLog(0, "a rejection by shut", func(l logLine) bool {
		return l.is("route broke") && l.str("group") == "shut" && l.str("cause") == "rejected"
	})
	routes := fetch(t, r.url("admin", "/api/v1/routes"))
	var shown routesShown
	if err := json.Unmarshal([]byte(routes), &shown); err != nil {
		t.Fatal(err)
	}
	for _, g := range shown.Groups {
		for _, s := range g.Streams {
			route := s.Routes[0]
			t.Logf("%s: got state %s and failure %q", g.Name, route.State, route.LastFailure)
			if route.Denied != (g.Name == "denying") || (g.Name != "good" && route.LastFailure == "") {
				t.Errorf("%s: got %+v", g.Name, route)
			}
		}
	}
	if got := asked.all(); len(got) == 0 || got[0] != name+"-cam?"+query {
		t.Errorf("the destination was asked for %v", got)
	}
	p.disconnect()
	r.waitBreak(0)
	var messages strings.Builder
	for _, e := range events.all() {
		messages.WriteString(e.text + "\n")
	}
	all := map[string]string{
		"routes": routes, "streams": fetch(t, r.url("admin", "/api/v1/streams")), "metrics": fetch(t, r.url("admin", "/metrics")),
		"events": messages.String(), "log": r.output(),
	}
	for where, printed := range all {
		for _, key := range []string{name, query} {
			if strings.Contains(printed, key) {
				t.Errorf("got a key in the %s: …%s…", where, printed[max(0, strings.Index(printed, key)-200):][:220])
			}
		}
	}
	if !strings.Contains(all["events"], "route_dialed") || !strings.Contains(all["log"], "route dialed") {
		t.Error("got no routes in events or log")
	}
}
