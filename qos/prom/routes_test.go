package prom

import (
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/holdfast-live/holdfast/qos/snapshot"
)

// A group's counters are there, at 0, from when the group is configured.
func TestGroups(t *testing.T) {
	r := idle()
	reg, m := register(t, &r)
	m.Group("cdn", []string{"a", "b"})
	m.Dialed("cdn", "a", "failed")
	m.Switched("cdn", "broken")
	m.Level("cdn", "lag")
	m.Group("cdn", []string{"a", "b"}) // a reload counts on
	const want = `
# HELP holdfast_route_dials_total Dials of the route.
# TYPE holdfast_route_dials_total counter
holdfast_route_dials_total{group="cdn",outcome="failed",route="a"} 1
holdfast_route_dials_total{group="cdn",outcome="failed",route="b"} 0
holdfast_route_dials_total{group="cdn",outcome="ok",route="a"} 0
holdfast_route_dials_total{group="cdn",outcome="ok",route="b"} 0
# HELP holdfast_route_level_changes_total Changes of rung on the ladder.
# TYPE holdfast_route_level_changes_total counter
holdfast_route_level_changes_total{cause="climb",group="cdn"} 0
holdfast_route_level_changes_total{cause="lag",group="cdn"} 1
# HELP holdfast_route_switches_total Switches of a group from one route to another.
# TYPE holdfast_route_switches_total counter
holdfast_route_switches_total{cause="broken",group="cdn"} 1
holdfast_route_switches_total{cause="score",group="cdn"} 0
`
	err := testutil.GatherAndCompare(reg, strings.NewReader(want),
		"holdfast_route_dials_total", "holdfast_route_switches_total", "holdfast_route_level_changes_total")
	if err != nil {
		t.Error(err)
	}
}

// A route's gauges are there as long as its stream is carried.
func TestRoutes(t *testing.T) {
	r := idle()
	reg, _ := register(t, &r)
	r.Routes = []snapshot.Route{{
		Stream: "live/cam", Group: "cdn", Route: "a", State: 2, Backoff: 1500 * time.Millisecond, Score: 0.75, Level: 3,
		Lag: 250 * time.Millisecond, RTT: 20 * time.Millisecond, Rate: 2e6,
	}}
	r.Totals = []snapshot.RouteTotals{{Group: "cdn", Route: "a", Segments: 100, Resent: 7}, {Group: "cdn", Route: "b"}}
	const want = `
# HELP holdfast_route_backoff_seconds Time until the route is dialed again.
# TYPE holdfast_route_backoff_seconds gauge
holdfast_route_backoff_seconds{group="cdn",route="a",stream="live/cam"} 1.5
# HELP holdfast_route_bitrate Bits per second delivered to the destination.
# TYPE holdfast_route_bitrate gauge
holdfast_route_bitrate{group="cdn",route="a",stream="live/cam"} 2e+06
# HELP holdfast_route_lag_seconds Time by which the destination is behind the live edge.
# TYPE holdfast_route_lag_seconds gauge
holdfast_route_lag_seconds{group="cdn",route="a",stream="live/cam"} 0.25
# HELP holdfast_route_level Rung of the ladder on which the route sends; 0 is the full stream.
# TYPE holdfast_route_level gauge
holdfast_route_level{group="cdn",route="a",stream="live/cam"} 3
# HELP holdfast_route_resent_segments_total TCP segments retransmitted over the route.
# TYPE holdfast_route_resent_segments_total counter
holdfast_route_resent_segments_total{group="cdn",route="a"} 7
holdfast_route_resent_segments_total{group="cdn",route="b"} 0
# HELP holdfast_route_rtt_seconds Round-trip time to the other server; 0 while unknown.
# TYPE holdfast_route_rtt_seconds gauge
holdfast_route_rtt_seconds{group="cdn",route="a",stream="live/cam"} 0.02
# HELP holdfast_route_score Health of the route, computed from its history: 0 is the worst, 1 the best.
# TYPE holdfast_route_score gauge
holdfast_route_score{group="cdn",route="a",stream="live/cam"} 0.75
# HELP holdfast_route_segments_total TCP segments sent over the route.
# TYPE holdfast_route_segments_total counter
holdfast_route_segments_total{group="cdn",route="a"} 100
holdfast_route_segments_total{group="cdn",route="b"} 0
# HELP holdfast_route_state State of the route: 0 idle, 1 dialing, 2 up, 3 backing off, 4 standby, 5 broken.
# TYPE holdfast_route_state gauge
holdfast_route_state{group="cdn",route="a",stream="live/cam"} 2
# HELP holdfast_routes Streams for which a configured route is in the given state.
# TYPE holdfast_routes gauge
holdfast_routes{group="cdn",route="a",state="backing_off"} 0
holdfast_routes{group="cdn",route="a",state="broken"} 0
holdfast_routes{group="cdn",route="a",state="dialing"} 0
holdfast_routes{group="cdn",route="a",state="idle"} 0
holdfast_routes{group="cdn",route="a",state="standby"} 0
holdfast_routes{group="cdn",route="a",state="up"} 1
holdfast_routes{group="cdn",route="b",state="backing_off"} 0
holdfast_routes{group="cdn",route="b",state="broken"} 0
holdfast_routes{group="cdn",route="b",state="dialing"} 0
holdfast_routes{group="cdn",route="b",state="idle"} 0
holdfast_routes{group="cdn",route="b",state="standby"} 0
holdfast_routes{group="cdn",route="b",state="up"} 0
`
	err := testutil.GatherAndCompare(reg, strings.NewReader(want), "holdfast_route_state", "holdfast_route_backoff_seconds",
		"holdfast_route_score", "holdfast_route_level", "holdfast_route_lag_seconds", "holdfast_route_rtt_seconds",
		"holdfast_route_bitrate", "holdfast_routes", "holdfast_route_segments_total", "holdfast_route_resent_segments_total")
	if err != nil {
		t.Error(err)
	}
	r.Routes = nil
	names, _ := series(t, reg)
	for _, n := range names {
		if strings.Contains(n, "stream=") {
			t.Errorf("%s is left", n)
		}
	}
}
