package app

import (
	"path"
	"time"

	"github.com/holdfast-live/holdfast/ingest"
	"github.com/holdfast-live/holdfast/qos"
	"github.com/holdfast-live/holdfast/qos/policy"
)

// absent returns the reason why the stream name, if it is a pulled one, does not exist. It returns "" if
// the stream is not pulled. The text is for viewers and does not name a server.
func (a *App) absent(name string) string {
	name = ingest.ParentStream(name)
	pulled, onDemand := false, false
	for _, g := range a.routes.Groups() {
		if ok, err := path.Match(g.Match, name); g.Pull && ok && err == nil {
			pulled, onDemand = true, g.OnDemand
			break
		}
	}
	if !pulled {
		return ""
	}
	for _, s := range a.routes.StatusOf(time.Now(), name) {
		if s.Pull {
			return describePull(s.Routes)
		}
	}
	if onDemand {
		return "it is pulled from another server while it is watched, and that server did not send it; try again later"
	}
	return "it is pulled from another server, and the relay is not pulling it now; try again later"
}

// describePull returns the reason why the stream of a pull is not live, from the states of its routes.
func describePull(routes []policy.RouteStatus) string {
	failure := ""
	for _, r := range routes {
		switch {
		case r.State == policy.Up:
			return "it is pulled from another server, which is connected and has sent no keyframe yet; try again in a moment"
		case r.State == policy.Dialing && r.Fails == 0:
			return "it is pulled from another server, which is being dialed; try again in a moment"
		case failure == "" && r.LastFailure != "":
			failure = r.LastFailure
		}
	}
	why := map[string]string{
		string(qos.DialFailed): "cannot be reached", string(qos.DialTimeout): "does not answer in time",
		string(qos.DialRejected): "does not have the stream now", string(qos.DialDenied): "refuses the pull",
		"": "is not connected",
	}[failure]
	if why == "" {
		why = "has ended the connection (" + failure + ")"
	}
	for _, r := range routes {
		if !r.GaveUp && !r.Denied {
			return "it is pulled from another server, which " + why + "; the relay dials it again, so try again later"
		}
	}
	return "it is pulled from another server, which " + why + "; the relay has given up dialing it: ask its operator"
}
