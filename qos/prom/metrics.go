// Package prom exports the relay's metrics to Prometheus. Counters and histograms are updated by events;
// all other metrics are collected from snapshots.
package prom

import (
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

const namespace = "holdfast"

// Labels holds the label values whose series are exported from the start, with value 0.
type Labels struct {
	Publishers []string // protocols
	Viewers    []string // protocols
	Outcomes   []string // outcomes of a request to publish
	Causes     []string // causes of the end of a publisher session
	Joins      []string // outcomes of a request to play
	Resumes    []string // outcomes of a viewer's request to resume its session
	Dials      []string // outcomes of a route's dial
	Switches   []string // causes of a switch from one route to another
	Levels     []string // causes of a change of rung
}

// Metrics holds the counters and histograms that are updated by events.
type Metrics struct {
	sessions  *prometheus.CounterVec
	breaks    *prometheus.CounterVec
	detect    *prometheus.HistogramVec
	outage    prometheus.Histogram
	takeovers *prometheus.CounterVec
	backups   *prometheus.CounterVec
	joins     *prometheus.CounterVec
	join      *prometheus.HistogramVec
	resumes   *prometheus.CounterVec
	admission prometheus.Histogram
	dials     *prometheus.CounterVec
	switches  *prometheus.CounterVec
	levels    *prometheus.CounterVec
	labels    Labels
}

func counter(name, help string, labels ...string) *prometheus.CounterVec {
	return prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: namespace, Name: name, Help: help}, labels)
}

func histogram(name, help string, buckets []float64, labels ...string) *prometheus.HistogramVec {
	return prometheus.NewHistogramVec(prometheus.HistogramOpts{Namespace: namespace, Name: name, Help: help, Buckets: buckets}, labels)
}

// detected lists the causes of a break whose detection takes time.
var detected = []string{"silence", "timeout", "ice"}

// New creates the metrics and registers them with reg.
func New(reg prometheus.Registerer, l Labels) (*Metrics, error) {
	m := &Metrics{
		sessions:  counter("publish_sessions_total", "Requests to publish.", "protocol", "outcome"),
		breaks:    counter("publish_breaks_total", "Publisher sessions that broke or ended.", "protocol", "cause"),
		takeovers: counter("publish_takeovers_total", "Requests to publish a stream that already had a publisher.", "outcome"),
		backups:   counter("backup_switches_total", "Switchovers between the primary and the backup publisher.", "to"),
		detect: histogram("publish_detect_seconds", "Time from the last packet to the decision that the publisher is gone.",
			[]float64{0.5, 1, 1.25, 1.5, 2, 3, 5, 10, 20, 60}, "cause"),
		outage: prometheus.NewHistogram(prometheus.HistogramOpts{
			Namespace: namespace, Name: "publish_outage_seconds", Help: "Time from a break to the first keyframe of the next media.",
			Buckets: []float64{0.1, 0.25, 0.5, 1, 2, 3, 5, 10, 15, 30, 60, 120, 300},
		}),
		dials:    counter("route_dials_total", "Dials of the route.", "group", "route", "outcome"),
		switches: counter("route_switches_total", "Switches of a group from one route to another.", "group", "cause"),
		levels:   counter("route_level_changes_total", "Changes of rung on the ladder.", "group", "cause"),
		labels:   l,
		joins:    counter("viewer_joins_total", "Requests to play.", "protocol", "outcome"),
		resumes:  counter("viewer_resumes_total", "Viewers that reconnected and asked to resume.", "protocol", "outcome"),
		join: histogram("viewer_join_seconds", "Time from the request to play to the first byte of media.",
			[]float64{0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10, 30}, "protocol"),
		admission: prometheus.NewHistogram(prometheus.HistogramOpts{
			Namespace: namespace, Name: "viewer_admission_wait_seconds", Help: "Time that viewers waited for admission because of limits.joins.",
			Buckets: []float64{0.001, 0.01, 0.05, 0.1, 0.25, 0.5, 1, 2},
		}),
	}
	for _, c := range []prometheus.Collector{m.sessions, m.breaks, m.detect, m.outage, m.takeovers, m.backups, m.joins, m.join, m.resumes, m.admission, m.dials, m.switches, m.levels} {
		if err := reg.Register(c); err != nil {
			return nil, err
		}
	}
	m.zero(l)
	return m, nil
}

func (m *Metrics) zero(l Labels) {
	for _, p := range l.Publishers {
		for _, o := range l.Outcomes {
			m.sessions.WithLabelValues(p, o)
		}
		for _, c := range l.Causes {
			m.breaks.WithLabelValues(p, c)
		}
	}
	for _, c := range detected {
		m.detect.WithLabelValues(c)
	}
	for _, o := range []string{"silent", "healthy", "refused"} {
		m.takeovers.WithLabelValues(o)
	}
	for _, to := range []string{"backup", "primary"} {
		m.backups.WithLabelValues(to)
	}
	for _, p := range l.Viewers {
		m.join.WithLabelValues(p)
		for _, o := range l.Joins {
			m.joins.WithLabelValues(p, o)
		}
		for _, o := range l.Resumes {
			m.resumes.WithLabelValues(p, o)
		}
	}
}

// Session counts a request to publish and its outcome.
func (m *Metrics) Session(protocol, outcome string) {
	m.sessions.WithLabelValues(protocol, outcome).Inc()
}

// Broke counts the end of a publisher session. detect is how long it took to detect, or 0 if unknown.
func (m *Metrics) Broke(protocol, cause string, detect time.Duration) {
	m.breaks.WithLabelValues(protocol, cause).Inc()
	if detect > 0 && slices.Contains(detected, cause) {
		m.detect.WithLabelValues(cause).Observe(detect.Seconds())
	}
}

// Resumed records the time from a break to the first keyframe of the next media.
func (m *Metrics) Resumed(outage time.Duration) { m.outage.Observe(outage.Seconds()) }

// Takeover counts a request to publish a stream that already had a publisher. The outcome is "silent",
// "healthy" or "refused".
func (m *Metrics) Takeover(outcome string) { m.takeovers.WithLabelValues(outcome).Inc() }

// BackupSwitch counts a switchover between the primary and the backup publisher. to is the one switched to,
// "backup" or "primary".
func (m *Metrics) BackupSwitch(to string) { m.backups.WithLabelValues(to).Inc() }

// Joined counts a request to play and its outcome.
func (m *Metrics) Joined(protocol, outcome string) {
	m.joins.WithLabelValues(protocol, outcome).Inc()
}

// ViewerResumed counts a viewer that reconnected and asked to resume, and the outcome.
func (m *Metrics) ViewerResumed(protocol, outcome string) {
	m.resumes.WithLabelValues(protocol, outcome).Inc()
}

// Admitted records how long a viewer has to wait for admission because of limits.joins.
func (m *Metrics) Admitted(wait time.Duration) { m.admission.Observe(wait.Seconds()) }

// Started records the time from a viewer's request to play to its first byte of media.
func (m *Metrics) Started(protocol string, took time.Duration) {
	m.join.WithLabelValues(protocol).Observe(took.Seconds())
}

// Group exports the series of a group's routes with value 0, before any event.
func (m *Metrics) Group(group string, routes []string) {
	for _, route := range routes {
		for _, o := range m.labels.Dials {
			m.dials.WithLabelValues(group, route, o)
		}
	}
	for _, c := range m.labels.Switches {
		m.switches.WithLabelValues(group, c)
	}
	for _, c := range m.labels.Levels {
		m.levels.WithLabelValues(group, c)
	}
}

// Dialed counts a dial of a route and its outcome.
func (m *Metrics) Dialed(group, route, outcome string) {
	m.dials.WithLabelValues(group, route, outcome).Inc()
}

// Switched counts a switch of a group from one route to another.
func (m *Metrics) Switched(group, cause string) { m.switches.WithLabelValues(group, cause).Inc() }

// Level counts a change of the rung on the ladder.
func (m *Metrics) Level(group, cause string) { m.levels.WithLabelValues(group, cause).Inc() }
