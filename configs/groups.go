package configs

import (
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"
)

func validateGroups(c *checker, list string, groups []Group, names map[string]bool) {
	for i := range groups {
		g := &groups[i]
		at := fmt.Sprintf("%s[%d].", list, i)
		c.pattern(at+"match", g.Match)
		switch {
		case !namePart.MatchString(g.Name):
			c.fault(at+"name", fmt.Sprintf("%q cannot name a group", g.Name), "write 1 to 64 of A-Z a-z 0-9 . _ -")
		case names[g.Name]:
			c.fault(at+"name", fmt.Sprintf("%q does not tell this group from the others", g.Name), "give every group, of push and pull, a name of its own")
		}
		names[g.Name] = true
		if list == "push" {
			g.validatePush(c, at)
		} else {
			g.validatePull(c, at)
		}
		g.validate(c, at)
	}
}

func (g *Group) validatePush(c *checker, at string) {
	if g.OnDemand {
		c.fault(at+"on_demand", "a push goes on while its stream is live", "remove it, or write it for a pull")
	}
	for i, r := range g.Routes {
		if scheme, _, _ := strings.Cut(r.URL, ":"); scheme == "http" || scheme == "https" {
			c.fault(fmt.Sprintf("%sroutes[%d].url", at, i), "nothing can be pushed over "+scheme, "write rtmp:// or rtmps://")
		}
	}
}

func (g *Group) validatePull(c *checker, at string) {
	if !g.OnDemand && strings.ContainsAny(g.Match, `*?[\`) {
		c.fault(at+"match", fmt.Sprintf("nothing tells which streams %q has", g.Match),
			"name one stream, app/name, or set on_demand: true and have viewers name it")
	}
}

var rungs = []string{"full", "rendition", "drop-disposable", "trim", "keyframes", "audio"}

func (g *Group) validate(c *checker, at string) {
	g.validateRoutes(c, at)
	c.within(at+"redial.base", g.Redial.Base, 10*time.Millisecond, time.Hour)
	c.within(at+"redial.max", g.Redial.Max, g.Redial.Base, 24*time.Hour)
	if g.Redial.Factor < 1 || g.Redial.Factor > 100 {
		c.fault(at+"redial.factor", fmt.Sprintf("%g is out of range", g.Redial.Factor), "write 1 to 100")
	}
	if g.Redial.Jitter < 0 || g.Redial.Jitter > 1 {
		c.fault(at+"redial.jitter", fmt.Sprintf("%g is out of range", g.Redial.Jitter), "write 0 to 1")
	}
	c.number(at+"redial.give_up", g.Redial.GiveUp, 0, 1_000_000)
	c.within(at+"failover.after", g.Failover.After, 0, maxDuration)
	c.within(at+"failover.rise", g.Failover.Rise, 0, maxDuration)
	c.within(at+"failover.probe", g.Failover.Probe, 100*time.Millisecond, maxDuration)
	c.oneOf(at+"redirects", g.Redirects, "host", "any")
	c.oneOf(at+"replay", g.Replay, "edge", "missed")
	for i, r := range g.Ladder {
		rung, rendition, named := strings.Cut(r, ":")
		if !slices.Contains(rungs, rung) || named && (rung != "rendition" || !namePart.MatchString(rendition)) {
			c.fault(fmt.Sprintf("%sladder[%d]", at, i), fmt.Sprintf("%q is no rung", r), "write one of "+strings.Join(rungs, ", ")+", or rendition:NAME")
		}
	}
}

func (g *Group) validateRoutes(c *checker, at string) {
	if len(g.Routes) == 0 {
		c.fault(at+"routes", "there is none", "add - {name: a, url: \"rtmp://a.example/live/{name}\"}")
	}
	names := map[string]bool{}
	for i, r := range g.Routes {
		at := fmt.Sprintf("%sroutes[%d].", at, i)
		filled := strings.NewReplacer("{app}", "app", "{name}", "name").Replace(r.URL)
		u, err := url.Parse(filled)
		switch {
		case strings.ContainsAny(filled, "{}"):
			c.fault(at+"url", "only {app} and {name} are filled in", "write rtmp://host/app/{name}")
		case err != nil || u.Host == "" || !slices.Contains([]string{"rtmp", "rtmps", "http", "https"}, u.Scheme):
			c.fault(at+"url", "it is not a URL of a stream", "write rtmp://host/app/{name}")
		case u.User != nil:
			c.fault(at+"url", "user and password are not supported", "put a key into the query")
		case strings.HasPrefix(u.Scheme, "rtmp") && !strings.Contains(strings.Trim(u.Path, "/"), "/"):
			c.fault(at+"url", "it names no stream of an application", "write rtmp://host/app/{name}")
		}
		switch {
		case !namePart.MatchString(r.Name):
			c.fault(at+"name", fmt.Sprintf("%q cannot name a route, for metrics, logs and API", r.Name), "write 1 to 64 of A-Z a-z 0-9 . _ -")
		case names[r.Name]:
			c.fault(at+"name", fmt.Sprintf("%q does not tell this route from the others", r.Name), "give every route a name of its own")
		}
		names[r.Name] = true
	}
}
