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

// Keys stand in the names and queries of the URLs of routes: one that carries, some that are
// turned away, one that leads nowhere. Nothing that the relay shows has one of them. A far side
// that will not have us is told apart from one that says nothing as it hangs up, which is all
// that nginx-rtmp does, and both from one that is not there.
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
	far := nginxAt(t, freeAddr(t), hook.URL+"/")
	strict := start(t, "--config", config(t, "defaults: {publish_keys: [another]}\n"))
	dead := newDeadHost(t)
	tail := "/" + name + "-{name}?auth=" + query
	var text strings.Builder
	for _, g := range []group{
		{list: "push", name: "good", urls: []string{"rtmp://" + far.addr + "/live" + tail}},
		{name: "denying", urls: []string{"rtmp://" + strict.addrs["rtmp"] + "/live" + tail}},
		{name: "shut", urls: []string{"rtmp://" + far.addr + "/shut" + tail}},
		{name: "asking", urls: []string{"rtmp://" + far.addr + "/asking" + tail}},
		{name: "dead", urls: []string{"rtmp://" + dead.addr + "/live" + tail}},
		{list: "pull", name: "pulled", match: "live/far", urls: []string{"http://" + dead.addr + "/live/{name}.flv?auth=" + query}},
	} {
		text.WriteString(strings.TrimPrefix(g.yaml(), ":\n")) // of a group after the first of its list
	}
	r := start(t, "--log.level", "debug", "--config", config(t, text.String()))
	events := r.events()
	p := publish(t, r, stream, gen.Options{Source: 1})
	r.carries(stream, "a")
	for group, outcome := range map[string]string{"denying": "denied", "asking": "rejected", "dead": "failed", "pulled": "failed"} {
		until(t, group+" is "+outcome, func() bool {
			return r.metric(`holdfast_route_dials_total{group="`+group+`",outcome="`+outcome+`",route="a"}`) > 0
		})
	}
	r.expect(0, "shut rejects", func(l logLine) bool {
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
			t.Logf("%s: %s, %q", g.Name, route.State, route.LastFailure)
			if route.Denied != (g.Name == "denying") || (g.Name != "good" && route.LastFailure == "") {
				t.Errorf("%s: %+v", g.Name, route)
			}
		}
	}
	if got := asked.all(); len(got) == 0 || got[0] != name+"-cam?"+query {
		t.Errorf("the far side was asked for %v", got)
	}
	p.leave()
	r.broke(0)
	var told strings.Builder
	for _, e := range events.all() {
		told.WriteString(e.text + "\n")
	}
	all := map[string]string{
		"routes": routes, "streams": fetch(t, r.url("admin", "/api/v1/streams")), "metrics": fetch(t, r.url("admin", "/metrics")),
		"events": told.String(), "log": r.output(),
	}
	for where, said := range all {
		for _, key := range []string{name, query} {
			if strings.Contains(said, key) {
				t.Errorf("the %s show a key: …%s", where, said[max(0, strings.Index(said, key)-200):][:220])
			}
		}
	}
	if !strings.Contains(all["events"], "route_dialed") || !strings.Contains(all["log"], "route dialed") {
		t.Error("events or log tell nothing of routes")
	}
}
