package configs

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestReload(t *testing.T) {
	was, _ := load(t, "rtmp: {listen: ':1'}\nstreams: [{match: 'a/*'}]\npush: []\n")
	now, _ := load(t, `
rtmp: {listen: ":2"}
http: {cert: holdfast.yaml, key: holdfast.yaml, trusted_proxies: [10.0.0.0/8]}
admin: {token: hush}
log: {level: debug, format: json}
limits: {connections: 7, streams: 7}
drain: {timeout: 3s}
defaults: {hold: 3s, publish_keys: [a], transcode: []}
streams: [{match: "b/*"}]
`)
	inForce, live, restart := Reload(was, now)
	if want := []string{
		"http.trusted_proxies", "admin.token", "log.level", "limits.streams", "drain.timeout", "defaults.hold", "defaults.publish_keys", "streams",
	}; !slices.Equal(live, want) {
		t.Errorf("live %q", live)
	}
	if want := []string{"rtmp.listen", "http.cert", "http.key", "log.format", "limits.connections"}; !slices.Equal(restart, want) {
		t.Errorf("restart %q", restart)
	}
	if inForce.RTMP != was.RTMP || inForce.HTTP.Cert != was.HTTP.Cert || inForce.Limits.Connections != was.Limits.Connections {
		t.Error("what needs a restart is in force without one")
	}
	if inForce.Admin.Token != "hush" || inForce.Defaults.Hold != 3*time.Second || inForce.Streams[0].Match != "b/*" {
		t.Error("what needs no restart is not in force")
	}
	if _, live, again := Reload(inForce, now); len(live) > 0 || !slices.Equal(again, restart) {
		t.Errorf("a second reload says %q and %q", live, again)
	}
	if _, live, restart := Reload(now, now); len(live)+len(restart) > 0 {
		t.Error(live, restart)
	}
}

// TestReloadKeepsTheDoorShut checks that the token of an address off loopback stays if the
// address does.
func TestReloadKeepsTheDoorShut(t *testing.T) {
	was, _ := load(t, "admin: {listen: '0.0.0.0:8081', token: hush}")
	now, _ := load(t, "")
	inForce, live, restart := Reload(was, now)
	if inForce.Admin != was.Admin || len(live) > 0 || !slices.Equal(restart, []string{"admin.listen", "admin.token"}) {
		t.Errorf("in force %+v, live %q, restart %q", inForce.Admin, live, restart)
	}
}

// changes returns how often a watcher of file called, until the test ends.
func changes(t *testing.T, file string) <-chan struct{} {
	t.Helper()
	_, calls := watching(t, file)
	return calls
}

// watching starts a watcher of file that runs until the test ends, and returns its calls.
func watching(t *testing.T, file string) (*Watcher, <-chan struct{}) {
	t.Helper()
	w, err := NewWatcher(file)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	calls, ended := make(chan struct{}, 16), make(chan struct{})
	go func() {
		defer close(ended)
		w.Run(ctx, func() { calls <- struct{}{} })
	}()
	t.Cleanup(func() {
		cancel()
		<-ended
	})
	return w, calls
}

func called(t *testing.T, calls <-chan struct{}, when string) {
	t.Helper()
	select {
	case <-calls:
	case <-time.After(20 * time.Second):
		t.Fatal("not called after", when)
	}
}

func put(t *testing.T, file, text string) {
	t.Helper()
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestWatch(t *testing.T) {
	file := write(t, "one")
	calls := changes(t, file)
	put(t, file, "two")
	called(t, calls, "a write")

	next := filepath.Join(filepath.Dir(file), "next") // an editor
	put(t, next, "three")
	if err := os.Rename(next, file); err != nil {
		t.Fatal(err)
	}
	called(t, calls, "a replacement")

	if err := os.Remove(file); err != nil { // another kind of editor
		t.Fatal(err)
	}
	put(t, file, "four")
	called(t, calls, "a removal and a new file")

	put(t, next, "beside")
	put(t, file, "five") // one call for both: other files do not count
	called(t, calls, "a write")
	if len(calls) > 0 {
		t.Error("called once too often")
	}
}

// TestWatchLinks swaps links as a mounted ConfigMap does: the file is reached through a link to
// a directory that is replaced.
func TestWatchLinks(t *testing.T) {
	dir := t.TempDir()
	for _, version := range []string{"v1", "v2"} {
		if err := os.Mkdir(filepath.Join(dir, version), 0o700); err != nil {
			t.Fatal(err)
		}
		put(t, filepath.Join(dir, version, "holdfast.yaml"), version)
	}
	link := func(to, from string) {
		if err := os.Symlink(to, filepath.Join(dir, from)); err != nil {
			t.Skip("this system makes no links:", err)
		}
	}
	link("v1", "..data")
	link(filepath.Join("..data", "holdfast.yaml"), "holdfast.yaml")
	calls := changes(t, filepath.Join(dir, "holdfast.yaml"))
	link("v2", "..next")
	if err := os.Rename(filepath.Join(dir, "..next"), filepath.Join(dir, "..data")); err != nil {
		t.Fatal(err)
	}
	called(t, calls, "a swap")
}

func TestWatchFails(t *testing.T) {
	if w, err := NewWatcher("/nowhere/holdfast.yaml"); err == nil {
		_ = w.Close()
		t.Error("a folder that is not there is watched")
	}
}
