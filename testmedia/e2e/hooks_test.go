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

// hookCall is one call of a hook.
type hookCall struct {
	ID, Event, Stream, Session, Protocol, Remote, Cause string
	Role, After                                         string
	Standby                                             bool
	header                                              string
	text                                                string
	answered                                            int
}

// hookReceiver is a server that receives a relay's hooks.
type hookReceiver struct {
	*httptest.Server
	calls *list[hookCall]

	mu     sync.Mutex // guards answer
	answer func(w http.ResponseWriter, c hookCall) int
}

// startHookReceiver starts a hookReceiver. Every call must be signed.
func startHookReceiver(t *testing.T) *hookReceiver {
	t.Helper()
	r := &hookReceiver{calls: newList[hookCall]()}
	r.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		body, _ := io.ReadAll(req.Body)
		signature := req.Header.Get("Holdfast-Signature")
		at, mac, ok := strings.Cut(strings.TrimPrefix(signature, "t="), ",v1=")
		sum := hmac.New(sha256.New, []byte(hookSecret))
		_, _ = sum.Write([]byte(at + "." + string(body)))
		if !ok || hex.EncodeToString(sum.Sum(nil)) != mac {
			t.Errorf("got signature %q, which is not valid for %s", signature, body)
		}
		c := hookCall{text: string(body), header: req.Header.Get("Holdfast-Event"), answered: http.StatusNoContent}
		if err := json.Unmarshal(body, &c); err != nil || c.header != c.ID {
			t.Errorf("parse hook call: %v, %q: %s", err, c.header, body)
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

// setAnswer sets the function that returns the status of each answer; 0: the function has already
// answered.
func (r *hookReceiver) setAnswer(answer func(http.ResponseWriter, hookCall) int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.answer = answer
}

// hookConfig writes a configuration with hooks for some addresses. more is added to each hook.
func hookConfig(t *testing.T, hooks ...string) string {
	t.Helper()
	text := "hooks:\n"
	for _, h := range hooks {
		text += "  - {" + h + ", secret: " + hookSecret + "}\n"
	}
	return config(t, text)
}

// TestHooks checks that a receiver gets the events of a stream in order, each once unless it did not
// answer, with the right session and without secrets.
func TestHooks(t *testing.T) {
	t.Parallel()
	to := startHookReceiver(t)
	fails := 2
	to.setAnswer(func(_ http.ResponseWriter, c hookCall) int {
		if c.Event == "on_break" && fails > 0 {
			fails--
			return http.StatusServiceUnavailable
		}
		return http.StatusNoContent
	})
	const key = "s3same"
	file := hookConfig(t, fmt.Sprintf("url: %q", to.URL+"/path?token=pass"))
	r := startRelay(t, "--config", file, "--defaults.publish_keys", key, "--log.level", "debug")
	at := 0
	expect := func(kind string) hookCall {
		t.Helper()
		i, c, err := to.calls.waitFor(waitContext(t), at, func(c hookCall) bool { return c.Event == kind })
		if err != nil {
			t.Fatalf("wait for %s: %v\n%+v", kind, err, to.calls.all())
		}
		at = i + 1
		return c
	}
	one := publish(t, r, "live/cam?key="+key, gen.Options{Source: 1})
	first := expect("on_publish")
	if first.Stream != "live/cam" || first.Session == "" || first.Protocol != "rtmp" || first.Remote == "" {
		t.Errorf("got %s", first.text)
	}
	one.waitSent(20)
	watchFLV(t, r, "live/cam")
	if c := expect("on_play"); c.Stream != "live/cam" || c.Protocol != "httpflv" {
		t.Errorf("got %s", c.text)
	}
	one.disconnect()
	broke := expect("on_break")
	if broke.Session != first.Session || broke.Cause != "eof" || broke.answered != http.StatusServiceUnavailable {
		t.Errorf("got %+v", broke)
	}
	for _, answered := range []int{http.StatusServiceUnavailable, http.StatusNoContent} {
		if c := expect("on_break"); c.ID != broke.ID || c.text != broke.text || c.answered != answered {
			t.Errorf("retried: got %+v, at first %+v", c, broke)
		}
	}
	two := publish(t, r, "live/cam?key="+key, gen.Options{Source: 2})
	second := expect("on_publish")
	if second.Session == first.Session || second.ID == first.ID {
		t.Errorf("got %+v", second)
	}
	if c := expect("on_resume"); c.Session != second.Session {
		t.Errorf("got %s", c.text)
	}
	two.waitSent(20)
	two.unpublish()
	if c := expect("on_unpublish"); c.Session != second.Session || c.Cause != "unpublish" {
		t.Errorf("got %s", c.text)
	}
	for _, c := range to.calls.all() {
		if strings.Contains(c.text, key) || strings.Contains(c.text, "pass") {
			t.Errorf("got a secret in %s", c.text)
		}
	}
	if out := r.output(); strings.Contains(out, key) || strings.Contains(out, "token=") || strings.Contains(out, hookSecret) {
		t.Error("got a secret in the log")
	}
	shown := fetch(t, r.url("admin", "/metrics"))
	for _, want := range []string{
		`holdfast_hook_events_total{event="on_break",outcome="delivered"} 1`,
		`holdfast_hook_events_total{event="on_publish",outcome="delivered"} 2`,
		`holdfast_hook_events_total{event="on_route_switch",outcome="dropped"} 0`,
	} {
		if !strings.Contains(shown, want) {
			t.Errorf("got no %s in the metrics", want)
		}
	}
}

// TestHooksReportBackups checks that a receiver gets each switch to a backup and back with the old and new
// session, and the break of a session on standby.
func TestHooksReportBackups(t *testing.T) {
	t.Parallel()
	to := startHookReceiver(t)
	r := startRelay(t, "--config", hookConfig(t, fmt.Sprintf("url: %q", to.URL)), "--defaults.backup_return", "1s")
	at := 0
	expect := func(kind string) hookCall {
		t.Helper()
		i, c, err := to.calls.waitFor(waitContext(t), at, func(c hookCall) bool { return c.Event == kind })
		if err != nil {
			t.Fatalf("wait for %s: %v\n%+v", kind, err, to.calls.all())
		}
		at = i + 1
		return c
	}
	o := gen.Options{Source: 1, GOP: 15}
	one := publish(t, r, "live/cam", o)
	first := expect("on_publish")
	one.waitSent(20)
	two := publish(t, r, "live/cam?backup=1", gen.Options{Source: 2, GOP: 15})
	second := expect("on_publish")
	if first.Role != "primary" || second.Role != "backup" {
		t.Errorf("got requests about %s and %s", first.text, second.text)
	}
	two.waitSent(60)
	one.disconnect()
	if c := expect("on_break"); c.Session != first.Session || c.Role != "primary" || c.Standby {
		t.Errorf("got %s", c.text)
	}
	if c := expect("on_backup"); c.Session != second.Session || c.After != first.Session || c.Role != "backup" || c.Cause != "eof" {
		t.Errorf("got %s", c.text)
	}
	publish(t, r, "live/cam", o)
	third := expect("on_publish")
	if c := expect("on_backup"); c.Session != third.Session || c.After != second.Session || c.Role != "primary" || c.Cause != "" {
		t.Errorf("got %s", c.text)
	}
	two.disconnect()
	if c := expect("on_break"); c.Session != second.Session || c.Role != "backup" || !c.Standby {
		t.Errorf("got %s", c.text)
	}
}

// TestHookRefuses checks that a client that a hook refuses gets the hook's reason, and that other clients
// stay.
func TestHookRefuses(t *testing.T) {
	t.Parallel()
	to := startHookReceiver(t)
	r := startRelay(t, "--config", hookConfig(t, fmt.Sprintf("url: %q, events: [on_publish, on_play]", to.URL)))
	p := publish(t, r, "live/cam", gen.Options{})
	p.waitSent(20)
	to.setAnswer(func(w http.ResponseWriter, _ hookCall) int {
		w.WriteHeader(http.StatusForbidden)
		_, _ = io.WriteString(w, `{"error": "the account is empty", "hint": "pay first"}`)
		return 0
	})
	if got := expectRefusal(t, r.addrs["rtmp"], "publish", "live/two"); got.code != "NetStream.Publish.Denied" || !strings.Contains(got.description, "the account is empty; pay first") {
		t.Errorf("got %v", got)
	}
	if got := expectRefusal(t, r.addrs["rtmp"], "play", "live/cam"); !strings.Contains(got.description, "the account is empty; pay first") {
		t.Errorf("got %v", got)
	}
	for _, path := range []string{"/live/cam.flv", "/live/cam/index.m3u8"} {
		if status, _, body := httpRequest(t, http.MethodGet, r.url("http", path)); status != http.StatusUnauthorized || !strings.Contains(body, `"error":"the account is empty"`) {
			t.Errorf("%s: got %d %s", path, status, body)
		}
	}
	p.waitSent(20)
	if metrics := fetch(t, r.url("admin", "/metrics")); !strings.Contains(metrics, `holdfast_hook_events_total{event="on_play",outcome="refused"} 3`) {
		t.Error("got no refusals in the metrics")
	}
}

// TestHookDown checks that while no hook answers, the configured default applies and the log reports it
// once.
func TestHookDown(t *testing.T) {
	t.Parallel()
	nobody := "http://" + freeAddr(t)
	r := startRelay(t, "--config", hookConfig(t,
		fmt.Sprintf("url: %q, match: \"live/*\", on_error: allow", nobody+"/a"),
		fmt.Sprintf("url: %q, match: \"paid/*\", on_error: deny", nobody+"/b"),
	))
	p := publish(t, r, "live/cam", gen.Options{})
	p.waitSent(20)
	if got := expectRefusal(t, r.addrs["rtmp"], "publish", "paid/cam"); !strings.Contains(got.description, "could not ask") {
		t.Errorf("got %v", got)
	}
	expectRefusal(t, r.addrs["rtmp"], "publish", "paid/cam")
	output := map[string]int{}
	for _, l := range r.lines.all() {
		if l.is("hook does not answer") {
			output[l.str("on_error")]++
		}
	}
	if output["allow"] != 1 || output["deny"] != 1 {
		t.Errorf("got the log line %v times, want once", output)
	}
	// The relay must also exit quickly with undelivered events.
	p.disconnect()
	r.waitBreak(0)
	began := time.Now()
	r.stop()
	if took := time.Since(began); took > slack(3*time.Second) {
		t.Errorf("the relay took %v to exit", took)
	}
}

// TestHookSlow checks that a hook that does not answer delays only the client that waits for it, until the
// timeout.
func TestHookSlow(t *testing.T) {
	t.Parallel()
	to, hang := startHookReceiver(t), make(chan struct{})
	r := startRelay(t, "--config", hookConfig(t, fmt.Sprintf("url: %q, events: [on_publish, on_play, on_break], on_error: allow, timeout: 1s", to.URL)))
	p := publish(t, r, "live/cam", gen.Options{})
	p.waitSent(20)
	w := watchFLV(t, r, "live/cam")
	w.waitFrames(20)
	to.setAnswer(func(http.ResponseWriter, hookCall) int { <-hang; return http.StatusNoContent })
	defer close(hang)
	began, seen := time.Now(), w.frames.len()
	late := watchFLV(t, r, "live/cam") // waits for the hook's answer
	if took := time.Since(began); took < time.Second {
		t.Errorf("the viewer was accepted after %v", took)
	}
	if got := w.frames.len() - seen; got < 40 { // of about 75 a second
		t.Errorf("the other viewer got %d frames in the meantime", got)
	}
	late.waitFrames(20)
	w.waitFrames(20)
	streamCheck{t: t, relay: r, pushes: []*publisher{p}, viewers: []*viewer{w}}.checkComplete(map[uint32]bool{})
}

// streamStory is the story of a stream, from the API.
type streamStory struct {
	Events []struct {
		Time                         time.Time
		Kind, Session, Cause, Detail string
		Fields                       map[string]any
	}
}

func (r *relay) getStory(stream, query string) (out streamStory) {
	r.t.Helper()
	if err := json.Unmarshal([]byte(fetch(r.t, r.url("admin", "/api/v1/streams/"+stream+"/log"+query))), &out); err != nil {
		r.t.Fatal(err)
	}
	return out
}

// TestStory checks that the story of a stream remains available after its end, and that log, events, hooks
// and story use the same session ID for the same session over all breaks.
func TestStory(t *testing.T) {
	t.Parallel()
	to := startHookReceiver(t)
	server := startNginxRTMP(t)
	file := config(t, fmt.Sprintf("hooks: [{url: %q, secret: %s}]\npush: [{match: 'live/*', name: cdn, routes: [{name: a, url: 'rtmp://%s/live/{name}'}]}]\n",
		to.URL, hookSecret, server.addr))
	r := startRelay(t, "--config", file, "--defaults.silence", "1s", "--defaults.hold_unpublish", "200ms", "--defaults.publish_keys", "k3y", "--log.level", "debug")
	events := r.followEvents()
	one := publish(t, r, "live/cam?key=k3y", gen.Options{Source: 1})
	one.waitSent(60)
	one.pause() // the socket remains open
	r.waitBreak(0)
	one.resumeLive()
	r.waitResume(0)
	expectRefusal(t, r.addrs["rtmp"], "publish", "live/cam?key=wrong")
	one.waitSent(120)
	one.unpublish()
	if _, _, err := events.waitFor(waitContext(t), 0, func(e event) bool { return e.Type == "end" }); err != nil {
		t.Fatal(err)
	}

	session := r.firstSession()
	story := r.getStory("live/cam", "")
	kinds := map[string]int{}
	for _, e := range story.Events {
		kinds[e.Kind]++
		if stranger := e.Kind == "refused"; e.Session == "" || (e.Session == session) == stranger {
			t.Errorf("got %+v without session %s", e, session)
		}
	}
	for kind, n := range map[string]int{"publish": 1, "break": 2, "resume": 1, "refused": 1, "route_up": 1, "end": 1} {
		if kinds[kind] != n {
			t.Errorf("got %d events %s in %+v", kinds[kind], kind, story.Events)
		}
	}
	for _, e := range events.all() {
		if e.Stream == "live/cam" && e.Session != session {
			t.Errorf("got event %s", e.text)
		}
	}
	for _, c := range to.calls.all() {
		if c.Session != session && c.Event != "on_publish" {
			t.Errorf("got hook call %s", c.text)
		}
	}
	for _, l := range r.lines.all() {
		// The connection of a route may outlive the sessions whose media it carries.
		connection := l.str("component") == "route" && l.str("level") == "DEBUG"
		if l.str("stream") == "live/cam" && l.str("session") == "" && !connection {
			t.Errorf("got log line %s", l.text)
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
	if part := r.getStory("live/cam", "?since="+at+"&until="+at); len(part.Events) == 0 || len(part.Events) >= len(story.Events) || part.Events[0].Cause != "silence" {
		t.Errorf("at the break: got %+v", part.Events)
	}
}

// firstSession returns the session ID of the first push that was accepted.
func (r *relay) firstSession() string { return r.waitNthLog("publish accepted", 0).str("session") }
