//go:build unix

package e2e

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/holdfast-live/holdfast/testmedia/gen"
)

const hookSecret = "s1gns-it"

// hookCall is what a hook was called with.
type hookCall struct {
	ID, Event, Stream, Session, Protocol, Remote, Cause string
	Role, After                                         string
	Standby                                             bool
	header                                              string
	text                                                string
	answered                                            int
}

// receiver is another program that takes a relay's events.
type receiver struct {
	*httptest.Server
	calls *list[hookCall]

	mu     sync.Mutex // guards answer
	answer func(w http.ResponseWriter, c hookCall) int
}

// receives runs one. Every call must be signed.
func receives(t *testing.T) *receiver {
	t.Helper()
	r := &receiver{calls: newList[hookCall]()}
	r.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		body, _ := io.ReadAll(req.Body)
		signature := req.Header.Get("Holdfast-Signature")
		at, mac, ok := strings.Cut(strings.TrimPrefix(signature, "t="), ",v1=")
		sum := hmac.New(sha256.New, []byte(hookSecret))
		_, _ = sum.Write([]byte(at + "." + string(body)))
		if !ok || hex.EncodeToString(sum.Sum(nil)) != mac {
			t.Errorf("the signature %q is not that of %s", signature, body)
		}
		c := hookCall{text: string(body), header: req.Header.Get("Holdfast-Event"), answered: http.StatusNoContent}
		if err := json.Unmarshal(body, &c); err != nil || c.header != c.ID {
			t.Errorf("%v, %q: %s", err, c.header, body)
		}
		r.mu.Lock()
		answer := r.answer
		r.mu.Unlock()
		if answer != nil {
			c.answered = answer(w, c)
		}
		if c.answered > 0 {
			w.WriteHeader(c.answered)
		}
		r.calls.add(c)
	}))
	t.Cleanup(r.Close)
	return r
}

// answers sets the status with which the receiver answers; 0 where answer has done so.
func (r *receiver) answers(answer func(http.ResponseWriter, hookCall) int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.answer = answer
}

// hooking is a configuration whose hooks go to addresses; more is what each has beside.
func hooking(t *testing.T, hooks ...string) string {
	t.Helper()
	text := "hooks:\n"
	for _, h := range hooks {
		text += "  - {" + h + ", secret: " + hookSecret + "}\n"
	}
	return config(t, text)
}

// A receiver has the story of a stream: each event once but where it did not answer, in order,
// each session by its name, and nothing that is secret.
func TestHooks(t *testing.T) {
	t.Parallel()
	to := receives(t)
	fails := 2
	to.answers(func(_ http.ResponseWriter, c hookCall) int {
		if c.Event == "on_break" && fails > 0 {
			fails--
			return http.StatusServiceUnavailable
		}
		return http.StatusNoContent
	})
	const key = "s3same"
	file := hooking(t, fmt.Sprintf("url: %q", to.URL+"/path?token=pass"))
	r := start(t, "--config", file, "--defaults.publish_keys", key, "--log.level", "debug")
	at := 0
	expect := func(kind string) hookCall {
		t.Helper()
		i, c, err := to.calls.next(within(t), at, func(c hookCall) bool { return c.Event == kind })
		if err != nil {
			t.Fatalf("%s: %v\n%+v", kind, err, to.calls.all())
		}
		at = i + 1
		return c
	}
	one := publish(t, r, "live/cam?key="+key, gen.Options{Source: 1})
	first := expect("on_publish")
	if first.Stream != "live/cam" || first.Session == "" || first.Protocol != "rtmp" || first.Remote == "" {
		t.Errorf("%s", first.text)
	}
	one.atLeast(20)
	watchFLV(t, r, "live/cam")
	if c := expect("on_play"); c.Stream != "live/cam" || c.Protocol != "httpflv" {
		t.Errorf("%s", c.text)
	}
	one.leave()
	broke := expect("on_break")
	if broke.Session != first.Session || broke.Cause != "eof" || broke.answered != http.StatusServiceUnavailable {
		t.Errorf("%+v", broke)
	}
	for _, answered := range []int{http.StatusServiceUnavailable, http.StatusNoContent} {
		if c := expect("on_break"); c.ID != broke.ID || c.text != broke.text || c.answered != answered {
			t.Errorf("sent again: %+v, at first %+v", c, broke)
		}
	}
	two := publish(t, r, "live/cam?key="+key, gen.Options{Source: 2})
	second := expect("on_publish")
	if second.Session == first.Session || second.ID == first.ID {
		t.Errorf("%+v", second)
	}
	if c := expect("on_resume"); c.Session != second.Session {
		t.Errorf("%s", c.text)
	}
	two.atLeast(20)
	two.unpublish()
	if c := expect("on_unpublish"); c.Session != second.Session || c.Cause != "unpublish" {
		t.Errorf("%s", c.text)
	}
	for _, c := range to.calls.all() {
		if strings.Contains(c.text, key) || strings.Contains(c.text, "pass") {
			t.Errorf("a secret: %s", c.text)
		}
	}
	if out := r.output(); strings.Contains(out, key) || strings.Contains(out, "token=") || strings.Contains(out, hookSecret) {
		t.Error("a secret in the log")
	}
	shown := fetch(t, r.url("admin", "/metrics"))
	for _, want := range []string{
		`holdfast_hook_events_total{event="on_break",outcome="delivered"} 1`,
		`holdfast_hook_events_total{event="on_publish",outcome="delivered"} 2`,
		`holdfast_hook_events_total{event="on_route_switch",outcome="dropped"} 0`,
	} {
		if !strings.Contains(shown, want) {
			t.Errorf("the metrics have no %s", want)
		}
	}
}

// A receiver is told of each switch to the backup and back, who feeds the stream now and who did,
// and knows the break of one that only stood by.
func TestHooksTellOfBackups(t *testing.T) {
	t.Parallel()
	to := receives(t)
	r := start(t, "--config", hooking(t, fmt.Sprintf("url: %q", to.URL)), "--defaults.backup_return", "1s")
	at := 0
	expect := func(kind string) hookCall {
		t.Helper()
		i, c, err := to.calls.next(within(t), at, func(c hookCall) bool { return c.Event == kind })
		if err != nil {
			t.Fatalf("%s: %v\n%+v", kind, err, to.calls.all())
		}
		at = i + 1
		return c
	}
	o := gen.Options{Source: 1, GOP: 15}
	one := publish(t, r, "live/cam", o)
	first := expect("on_publish")
	one.atLeast(20)
	two := publish(t, r, "live/cam?backup=1", gen.Options{Source: 2, GOP: 15})
	second := expect("on_publish")
	if first.Role != "primary" || second.Role != "backup" {
		t.Errorf("asked about %s and %s", first.text, second.text)
	}
	two.atLeast(60)
	one.leave()
	if c := expect("on_break"); c.Session != first.Session || c.Role != "primary" || c.Standby {
		t.Errorf("%s", c.text)
	}
	if c := expect("on_backup"); c.Session != second.Session || c.After != first.Session || c.Role != "backup" || c.Cause != "eof" {
		t.Errorf("%s", c.text)
	}
	publish(t, r, "live/cam", o)
	third := expect("on_publish")
	if c := expect("on_backup"); c.Session != third.Session || c.After != second.Session || c.Role != "primary" || c.Cause != "" {
		t.Errorf("%s", c.text)
	}
	two.leave()
	if c := expect("on_break"); c.Session != second.Session || c.Role != "backup" || !c.Standby {
		t.Errorf("%s", c.text)
	}
}

// Whom a hook refuses is told so in its words, and whoever is there already stays.
func TestHookRefuses(t *testing.T) {
	t.Parallel()
	to := receives(t)
	r := start(t, "--config", hooking(t, fmt.Sprintf("url: %q, events: [on_publish, on_play]", to.URL)))
	p := publish(t, r, "live/cam", gen.Options{})
	p.atLeast(20)
	to.answers(func(w http.ResponseWriter, _ hookCall) int {
		w.WriteHeader(http.StatusForbidden)
		_, _ = io.WriteString(w, `{"error": "the account is empty", "hint": "pay first"}`)
		return 0
	})
	if got := refusal(t, r.addrs["rtmp"], "publish", "live/two"); got.code != "NetStream.Publish.Denied" || !strings.Contains(got.description, "the account is empty; pay first") {
		t.Errorf("%v", got)
	}
	if got := refusal(t, r.addrs["rtmp"], "play", "live/cam"); !strings.Contains(got.description, "the account is empty; pay first") {
		t.Errorf("%v", got)
	}
	for _, path := range []string{"/live/cam.flv", "/live/cam/index.m3u8"} {
		if status, _, body := ask(t, http.MethodGet, r.url("http", path)); status != http.StatusUnauthorized || !strings.Contains(body, `"error":"the account is empty"`) {
			t.Errorf("%s: %d %s", path, status, body)
		}
	}
	p.atLeast(20)
	if metrics := fetch(t, r.url("admin", "/metrics")); !strings.Contains(metrics, `holdfast_hook_events_total{event="on_play",outcome="refused"} 3`) {
		t.Error("the refusals are not counted")
	}
}

// While no hook answers, what holds is what is configured, and the log says so once.
func TestHookDown(t *testing.T) {
	t.Parallel()
	nobody := "http://" + freeAddr(t)
	r := start(t, "--config", hooking(t,
		fmt.Sprintf("url: %q, match: \"live/*\", on_error: allow", nobody+"/a"),
		fmt.Sprintf("url: %q, match: \"paid/*\", on_error: deny", nobody+"/b"),
	))
	p := publish(t, r, "live/cam", gen.Options{})
	p.atLeast(20)
	if got := refusal(t, r.addrs["rtmp"], "publish", "paid/cam"); !strings.Contains(got.description, "could not ask") {
		t.Errorf("%v", got)
	}
	refusal(t, r.addrs["rtmp"], "publish", "paid/cam")
	said := map[string]int{}
	for _, l := range r.lines.all() {
		if l.is("hook does not answer") {
			said[l.str("on_error")]++
		}
	}
	if said["allow"] != 1 || said["deny"] != 1 {
		t.Errorf("the log says it %v times", said)
	}
	// And it is quick to end with events that nobody takes.
	p.leave()
	r.broke(0)
	began := time.Now()
	r.stop()
	if took := time.Since(began); took > slack(3*time.Second) {
		t.Errorf("it took %v to end", took)
	}
}

// A hook that does not answer costs who waits for it the timeout, and nobody else a frame.
func TestHookSlow(t *testing.T) {
	t.Parallel()
	to, hang := receives(t), make(chan struct{})
	r := start(t, "--config", hooking(t, fmt.Sprintf("url: %q, events: [on_publish, on_play, on_break], on_error: allow, timeout: 1s", to.URL)))
	p := publish(t, r, "live/cam", gen.Options{})
	p.atLeast(20)
	w := watchFLV(t, r, "live/cam")
	w.more(20)
	to.answers(func(http.ResponseWriter, hookCall) int { <-hang; return http.StatusNoContent })
	defer close(hang)
	began, seen := time.Now(), w.frames.len()
	late := watchFLV(t, r, "live/cam") // which waits for the answer to its request
	if took := time.Since(began); took < time.Second {
		t.Errorf("it was let in after %v", took)
	}
	if got := w.frames.len() - seen; got < 40 { // of some 75 in a second
		t.Errorf("who was there has got %d frames meanwhile", got)
	}
	late.more(20)
	w.more(20)
	watched{t: t, relay: r, pushes: []*publisher{p}, viewers: []*viewer{w}}.whole(map[uint32]bool{})
}

// storyTold is a stream's story.
type storyTold struct {
	Events []struct {
		Time                         time.Time
		Kind, Session, Cause, Detail string
		Fields                       map[string]any
	}
}

func (r *relay) story(stream, query string) (out storyTold) {
	r.t.Helper()
	if err := json.Unmarshal([]byte(fetch(r.t, r.url("admin", "/api/v1/streams/"+stream+"/log"+query))), &out); err != nil {
		r.t.Fatal(err)
	}
	return out
}

// What happened to a stream is told when it is over, too, and log, events, hooks and story name
// the same session for the same thing, over all its breaks.
func TestStory(t *testing.T) {
	t.Parallel()
	to := receives(t)
	far := nginxRTMP(t)
	file := config(t, fmt.Sprintf("hooks: [{url: %q, secret: %s}]\npush: [{match: 'live/*', name: cdn, routes: [{name: a, url: 'rtmp://%s/live/{name}'}]}]\n",
		to.URL, hookSecret, far.addr))
	r := start(t, "--config", file, "--defaults.silence", "1s", "--defaults.hold_unpublish", "200ms", "--defaults.publish_keys", "k3y", "--log.level", "debug")
	events := r.events()
	one := publish(t, r, "live/cam?key=k3y", gen.Options{Source: 1})
	one.atLeast(60)
	one.halt() // the socket stays open
	r.broke(0)
	one.skip()
	r.resumed(0)
	refusal(t, r.addrs["rtmp"], "publish", "live/cam?key=wrong")
	one.atLeast(120)
	one.unpublish()
	if _, _, err := events.next(within(t), 0, func(e event) bool { return e.Type == "end" }); err != nil {
		t.Fatal(err)
	}

	session := r.shownSession()
	story := r.story("live/cam", "")
	kinds := map[string]int{}
	for _, e := range story.Events {
		kinds[e.Kind]++
		if stranger := e.Kind == "refused"; e.Session == "" || (e.Session == session) == stranger {
			t.Errorf("%+v is not told of %s", e, session)
		}
	}
	for kind, n := range map[string]int{"publish": 1, "break": 2, "resume": 1, "refused": 1, "route_up": 1, "end": 1} {
		if kinds[kind] != n {
			t.Errorf("%d times %s in %+v", kinds[kind], kind, story.Events)
		}
	}
	for _, e := range events.all() {
		if e.Stream == "live/cam" && e.Session != session {
			t.Errorf("event: %s", e.text)
		}
	}
	for _, c := range to.calls.all() {
		if c.Session != session && c.Event != "on_publish" {
			t.Errorf("hook: %s", c.text)
		}
	}
	for _, l := range r.lines.all() {
		// A route's connection may outlive the sessions whose media it carries.
		connection := l.str("component") == "route" && l.str("level") == "DEBUG"
		if l.str("stream") == "live/cam" && l.str("session") == "" && !connection {
			t.Errorf("log: %s", l.text)
		}
	}
	broke := story.Events[0]
	for _, e := range story.Events {
		if e.Kind == "break" {
			broke = e
			break
		}
	}
	at := broke.Time.UTC().Format(time.RFC3339Nano)
	if part := r.story("live/cam", "?since="+at+"&until="+at); len(part.Events) == 0 || len(part.Events) >= len(story.Events) || part.Events[0].Cause != "silence" {
		t.Errorf("at the break: %+v", part.Events)
	}
}

// shownSession is the session of the first push that was accepted.
func (r *relay) shownSession() string { return r.nth("publish accepted", 0).str("session") }
