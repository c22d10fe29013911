package rtmpconn

import (
	"errors"
	"regexp"
	"strings"

	"github.com/holdfast-live/holdfast/ingest"
)

var (
	plainHost = regexp.MustCompile(`^[A-Za-z0-9.:\[\]-]{1,255}$`)
	plainPart = regexp.MustCompile(`^[A-Za-z0-9._-]{1,64}$`)
)

// advise returns a refusal that shows the right form of the URL, if err refuses a name whose parts
// are in the wrong places. Otherwise it returns err. host is the host as the peer wrote it. The
// refusal quotes only the host and the app, because the rest may be a key.
func advise(err error, t target, host string) error {
	var r *ingest.Refusal
	if !errors.As(err, &r) || r.Outcome != ingest.RefusedName {
		return err
	}
	server := "rtmp://" + host + "/"
	first, _, more := strings.Cut(t.app, "/")
	app := first
	if !plainPart.MatchString(app) {
		app = "live"
	}
	form := "write " + server + app + "/NAME; in OBS the server " + server + app + " and the stream key NAME, with a key NAME?key=KEY"
	advised := *r
	switch {
	case t.app == "" && t.name == "":
		advised.Reason = "the URL names no stream"
	case t.app == "":
		advised.Reason = "the URL has no app before the stream name"
	case t.name == "":
		advised.Reason = "the stream name (in OBS the stream key) is empty"
	case more:
		advised.Reason = "the server part of the URL has more than the app"
	case strings.Contains(t.name, "/"):
		advised.Reason = "the stream name (in OBS the stream key) has a slash"
	case strings.TrimSpace(t.app) != t.app, strings.TrimSpace(t.name) != t.name:
		advised.Reason = "there is a space before or behind the app or the stream name"
	default:
		return err
	}
	advised.Hint = form
	return &advised
}

// hostOf returns the host of a URL as the peer wrote it, or HOST if it has unexpected characters.
func hostOf(u string) string {
	_, rest, _ := strings.Cut(u, "://")
	host, _, _ := strings.Cut(rest, "/")
	if !plainHost.MatchString(host) {
		return "HOST"
	}
	return strings.Clone(host) // the rest of a player's URL is not kept in memory
}
