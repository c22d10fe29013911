package rtmpconn

import (
	"net/url"
	"strings"
)

// target is the stream that a peer requests, with the parameters of the URL's query.
type target struct {
	app, name string
	key       string // secret
	token     string // secret
	backup    bool
}

// parseTarget returns the target of a publish or play command after connect. Clients split their
// URLs differently. The query may be part of the app, of tcUrl or of the name. The whole path may
// be in the app, so that the name is empty, or in the name, so that the app is empty.
func parseTarget(app, tcURL, name string) target {
	if path, ok := pathOf(name); ok {
		app, name = "", path
	}
	app, appQuery, _ := strings.Cut(app, "?")
	name, nameQuery, _ := strings.Cut(name, "?")
	_, urlQuery, _ := strings.Cut(tcURL, "?")
	for _, prefix := range []string{"mp4:", "flv:"} { // Flash's way of naming containers
		name = strings.TrimPrefix(name, prefix)
	}
	if app = cleanPath(app); app == "" && !strings.Contains(name, "/") {
		path, _ := pathOf(tcURL)
		path, _, _ = strings.Cut(path, "?")
		app = cleanPath(path)
	}
	name = cleanPath(name)
	if app == "" || name == "" {
		if all := app + name; strings.Contains(all, "/") {
			i := strings.LastIndexByte(all, '/')
			app, name = all[:i], all[i+1:]
		}
	}
	t := target{app: unescape(app), name: unescape(name)}
	for _, q := range []string{appQuery, urlQuery, nameQuery} { // the one nearest to the name wins
		t.apply(q)
	}
	return t
}

// pathOf returns the path of rtmp://host/path.
func pathOf(u string) (path string, ok bool) {
	_, rest, ok := strings.Cut(u, "://")
	if !ok {
		return "", false
	}
	_, path, _ = strings.Cut(rest, "/")
	return path, true
}

// cleanPath removes empty segments and _definst_, the default instance that Flash servers add.
func cleanPath(p string) string {
	var kept []string
	for s := range strings.SplitSeq(p, "/") {
		if s != "" && s != "_definst_" {
			kept = append(kept, s)
		}
	}
	return strings.Join(kept, "/")
}

func unescape(s string) string {
	if u, err := url.PathUnescape(s); err == nil {
		return u
	}
	return s
}

func (t *target) apply(query string) {
	// A query may contain a second one: OBS appends the key to a server URL with a query.
	q, _ := url.ParseQuery(strings.ReplaceAll(query, "?", "&")) // errors leave what could be parsed
	if v := q.Get("key"); v != "" {
		t.key = v
	}
	if v := q.Get("token"); v != "" {
		t.token = v
	}
	if v := q.Get("backup"); v != "" {
		t.backup = v == "1" || v == "true"
	}
}
