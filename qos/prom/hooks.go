package prom

import "github.com/prometheus/client_golang/prometheus"

// NewHooks registers a counter of the events sent to hooks, by their outcome. It returns a function that
// counts one event.
func NewHooks(reg prometheus.Registerer, events, outcomes []string) (count func(event, outcome string), err error) {
	c := counter("hook_events_total", "Events for hooks, counted once for each configured hook.", "event", "outcome")
	if err := reg.Register(c); err != nil {
		return nil, err
	}
	for _, e := range events {
		for _, o := range outcomes {
			c.WithLabelValues(e, o)
		}
	}
	return func(event, outcome string) { c.WithLabelValues(event, outcome).Inc() }, nil
}
