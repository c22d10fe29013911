package configs

import (
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"
)

// Hook configures a service that is notified of events over HTTP and asked for permission to publish and play.
type Hook struct {
	URL      string        `key:"url" secret:"true"`
	Secret   string        `key:"secret" secret:"true"`
	Events   []string      `key:"events"`
	Match    string        `key:"match"`
	Timeout  time.Duration `key:"timeout"`
	OnError  string        `key:"on_error"`
	Insecure bool          `key:"insecure"`
	Cache    time.Duration `key:"cache"`
}

// HookEvents returns all types of events.
func HookEvents() []string {
	return []string{"on_publish", "on_unpublish", "on_break", "on_resume", "on_backup", "on_play", "on_route_switch"}
}

// defaultHook returns the defaults of a hook.
func defaultHook() Hook {
	return Hook{Events: HookEvents(), Match: "*/*", Timeout: 2 * time.Second, OnError: "deny"}
}

func (h *Hook) validate(c *checker, at string) {
	u, err := url.Parse(h.URL)
	switch {
	case err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https": // the text omits the URL, which may contain a secret
		c.fault(at+"url", "it is not a URL of HTTP", "write https://host/path")
	case u.Fragment != "":
		c.fault(at+"url", "it has a fragment, which is never sent", "leave out what follows the #")
	}
	if len(h.Events) == 0 {
		c.fault(at+"events", "there is none", "write some of "+strings.Join(HookEvents(), ", ")+", or leave the key out for all")
	}
	for i, e := range h.Events {
		if !slices.Contains(HookEvents(), e) {
			c.fault(fmt.Sprintf("%sevents[%d]", at, i), fmt.Sprintf("%q is no event", e), "write one of "+strings.Join(HookEvents(), ", "))
		}
	}
	c.pattern(at+"match", h.Match)
	c.within(at+"timeout", h.Timeout, 100*time.Millisecond, 10*time.Second)
	c.oneOf(at+"on_error", h.OnError, "allow", "deny")
	c.within(at+"cache", h.Cache, 0, time.Hour)
}
