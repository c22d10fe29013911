package prom

import (
	"runtime"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/holdfast-live/holdfast/qos/snapshot"
)

// Collector exports snapshots of the relay as metrics. The series of a stream exist for as long as the
// stream does.
type Collector struct {
	take    func() snapshot.Relay
	streams func() int
	chosen  chosen
	descs   map[string]*prometheus.Desc
}

var routeLabels = []string{"stream", "group", "route"}

// NewCollector returns a collector that calls take for a snapshot at each scrape. The function streams
// returns the maximum number of streams with series of their own; the values of the others are summed.
func NewCollector(take func() snapshot.Relay, streams func() int) *Collector {
	c := &Collector{take: take, streams: streams, descs: map[string]*prometheus.Desc{}}
	for _, d := range []struct {
		name, help string
		labels     []string
	}{
		{"stream_state", "State of the stream: 0 idle, 1 live, 2 suspect, 3 held.", []string{"stream"}},
		{"stream_state_seconds", "Time since the stream entered its state.", []string{"stream"}},
		{"stream_backup", "Backup publisher of the stream: 0 none, 1 on standby, 2 active.", []string{"stream"}},
		{"stream_spare_ready", "1 if the standby publisher could take over now; 0 if it could not, or if there is none.", []string{"stream"}},
		{"stream_epoch", "Publisher sessions joined to the stream so far, the first one included.", []string{"stream"}},
		{"stream_hold_remaining_seconds", "Time until a held stream ends unless a publisher returns; 0 unless held.", []string{"stream"}},
		{"ingest_bitrate", "Bits per second received from the publisher.", []string{"stream"}},
		{"ingest_fps", "Video frames per second received from the publisher.", []string{"stream"}},
		{"ingest_rtt_seconds", "Round-trip time to the publisher; 0 while unknown.", []string{"stream"}},
		{"ingest_gap_seconds", "Longest recent gap between two packets from the publisher.", []string{"stream"}},
		{"ingest_jitter_seconds", "Mean difference between the spacing of packets on arrival and in their timestamps.", []string{"stream"}},
		{"ingest_keyframe_interval_seconds", "Media time between the publisher's two newest keyframes; 0 while unknown.", []string{"stream"}},
		{"heartbeat_interval_seconds", "Time between two pings to the publisher.", []string{"stream"}},
		{"buffer_bytes", "Bytes of media in the stream's buffer.", []string{"stream"}},
		{"buffer_limit_bytes", "Bytes of media that the stream's buffer may hold.", []string{"stream"}},
		{"buffer_seconds", "Media time in the stream's buffer.", []string{"stream"}},
		{"viewers", "Viewers connected to the stream.", []string{"stream", "protocol"}},
		{"route_state", "State of the route: 0 idle, 1 dialing, 2 up, 3 backing off, 4 standby, 5 broken.", routeLabels},
		{"route_backoff_seconds", "Time until the route is dialed again.", routeLabels},
		{"route_score", "Health of the route, computed from its history: 0 is the worst, 1 the best.", routeLabels},
		{"route_level", "Rung of the ladder on which the route sends; 0 is the full stream.", routeLabels},
		{"route_lag_seconds", "Time by which the destination is behind the live edge.", routeLabels},
		{"route_rtt_seconds", "Round-trip time to the other server; 0 while unknown.", routeLabels},
		{"route_bitrate", "Bits per second delivered to the destination.", routeLabels},
		{"routes", "Streams for which a configured route is in the given state.", []string{"group", "route", "state"}},
		{"route_segments_total", "TCP segments sent over the route.", []string{"group", "route"}},
		{"route_resent_segments_total", "TCP segments retransmitted over the route.", []string{"group", "route"}},
		{"streams", "Streams in the given state.", []string{"state"}},
		{"streams_limit", "Maximum number of streams.", nil},
		{"connections", "Connections of publishers and viewers.", nil},
		{"memory_bytes", "Bytes of media held by all streams.", []string{"kind"}},
		{"memory_limit_bytes", "Bytes of media that all streams together may hold.", nil},
		{"connections_limit", "Maximum number of connections of publishers and viewers.", nil},
		{"track_silences_total", "Times that one track stopped while the other continued.", []string{"track"}},
		{"media_repairs_total", "Repairs of publishers' media, and media dropped because it could not be repaired.", []string{"track", "reason"}},
		{"publish_late_packets_total", "Packets dropped because the stream's clock, or silence inserted into a gap, had already passed them.", nil},
		{"filler_frames_total", "Frames generated while a stream was held, and silent audio frames inserted into gaps.", []string{"kind"}},
		{"bridges", "ffmpeg child processes that convert a stream's audio to another codec.", nil},
		{"bridge_restarts_total", "Restarts of audio conversion processes.", nil},
		{"bridge_failures_total", "Audio conversions that failed or could not be started.", nil},
		{"whip_nacks_total", "RTP packets whose retransmission was requested from WHIP publishers.", nil},
		{"whip_lost_packets_total", "RTP packets of WHIP publishers that never arrived.", nil},
		{"whep_retransmits_total", "RTP packets retransmitted to WHEP viewers.", nil},
		{"webrtc_refused_packets_total", "WebRTC packets that the operating system did not accept for sending.", nil},
		{"ingest_bytes_total", "Bytes of media received from publishers.", []string{"protocol"}},
		{"ingest_frames_total", "Video and audio frames received from publishers.", []string{"track"}},
		{"viewer_skips_total", "Times that a viewer fell too far behind and skipped to the newest keyframe.", []string{"protocol"}},
		{"egress_bytes_total", "Bytes sent to viewers.", []string{"protocol"}},
	} {
		c.descs[d.name] = prometheus.NewDesc(prometheus.BuildFQName(namespace, "", d.name), d.help, d.labels, nil)
	}
	return c
}

// BuildInfo returns a collector for the metric build_info. Its labels identify the running version; its
// value is always 1.
func BuildInfo(version, commit string) prometheus.Collector {
	return prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Namespace: namespace, Name: "build_info", Help: "Version of the running relay; the value is always 1.",
		ConstLabels: prometheus.Labels{"version": version, "commit": commit, "go_version": runtime.Version()},
	}, func() float64 { return 1 })
}

// Describe implements prometheus.Collector.
func (c *Collector) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range c.descs {
		ch <- d
	}
}

// Collect implements prometheus.Collector.
func (c *Collector) Collect(ch chan<- prometheus.Metric) {
	r := c.take()
	gauge := func(name string, v float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(c.descs[name], prometheus.GaugeValue, v, labels...)
	}
	count := func(name string, v uint64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(c.descs[name], prometheus.CounterValue, float64(v), labels...)
	}
	own, others := c.chosen.choose(&r, c.streams()), rest{}
	for i := range r.Streams {
		if s := &r.Streams[i]; own[s.Name] {
			collectStream(s, gauge)
		} else {
			others.add(s)
		}
	}
	others.collect(gauge)
	for i := range r.Routes {
		if own[r.Routes[i].Stream] {
			collectRoute(&r.Routes[i], gauge)
		}
	}
	collectTotals(&r, gauge, count)
	collectRelay(&r, gauge, count)
}

// collectRelay exports the metrics that belong neither to a stream nor to a route.
func collectRelay(r *snapshot.Relay, gauge func(string, float64, ...string), count func(string, uint64, ...string)) {
	for name, byLabel := range map[string]map[string]uint64{
		"track_silences_total": r.TrackSilences, "filler_frames_total": r.FillerFrames,
		"ingest_bytes_total": r.IngestBytes, "ingest_frames_total": r.IngestFrames,
		"viewer_skips_total": r.ViewerSkips, "egress_bytes_total": r.EgressBytes,
	} {
		for label, v := range byLabel {
			count(name, v, label)
		}
	}
	for _, one := range r.Repairs {
		count("media_repairs_total", one.Count, one.Track, one.Reason)
	}
	count("publish_late_packets_total", r.LatePackets)
	gauge("bridges", float64(r.Bridges.Running))
	count("bridge_restarts_total", r.Bridges.Restarts)
	count("bridge_failures_total", r.Bridges.Failures)
	count("whip_nacks_total", r.WebRTC.Asked)
	count("whip_lost_packets_total", r.WebRTC.Lost)
	count("whep_retransmits_total", r.WebRTC.Repeated)
	count("webrtc_refused_packets_total", r.WebRTC.Refused)
	in := make([]int, len(streamStates))
	for i := range r.Streams {
		if s := r.Streams[i].State; s < len(in) { // a stream that has ended is not counted
			in[s]++
		}
	}
	for state, n := range in {
		gauge("streams", float64(n), streamStates[state])
	}
	gauge("streams_limit", float64(r.MaxStreams))
	gauge("connections", float64(r.Connections.Used))
	for kind, n := range r.Memory {
		gauge("memory_bytes", float64(n), kind)
	}
	gauge("memory_limit_bytes", float64(r.MaxMemory))
	gauge("connections_limit", float64(r.Connections.Limit))
}

// The names of the states, used as label values, indexed by their number.
var (
	streamStates = []string{"idle", "live", "suspect", "held"}
	routeStates  = []string{"idle", "dialing", "up", "backing_off", "standby", "broken"}
)

// collectTotals exports the metrics of the configured routes, summed over all streams.
func collectTotals(r *snapshot.Relay, gauge func(string, float64, ...string), count func(string, uint64, ...string)) {
	type way struct {
		group, route string
		state        int
	}
	in := map[way]int{}
	for i := range r.Routes {
		in[way{r.Routes[i].Group, r.Routes[i].Route, r.Routes[i].State}]++
	}
	for _, w := range r.Totals {
		count("route_segments_total", w.Segments, w.Group, w.Route)
		count("route_resent_segments_total", w.Resent, w.Group, w.Route)
		for state, name := range routeStates {
			gauge("routes", float64(in[way{w.Group, w.Route, state}]), w.Group, w.Route, name)
		}
	}
}

func collectStream(s *snapshot.Stream, gauge func(string, float64, ...string)) {
	gauge("stream_state", float64(s.State), s.Name)
	gauge("stream_state_seconds", s.InState.Seconds(), s.Name)
	gauge("stream_backup", float64(s.Backup), s.Name)
	ready := 0.
	if s.SpareReady {
		ready = 1
	}
	gauge("stream_spare_ready", ready, s.Name)
	gauge("stream_epoch", float64(s.Epoch), s.Name)
	gauge("stream_hold_remaining_seconds", s.HoldLeft.Seconds(), s.Name)
	gauge("ingest_bitrate", s.Bitrate, s.Name)
	gauge("ingest_fps", s.FrameRate, s.Name)
	gauge("ingest_rtt_seconds", s.RTT.Seconds(), s.Name)
	gauge("ingest_gap_seconds", s.Gap.Seconds(), s.Name)
	gauge("ingest_jitter_seconds", s.Jitter.Seconds(), s.Name)
	gauge("ingest_keyframe_interval_seconds", s.Keyframes.Seconds(), s.Name)
	gauge("heartbeat_interval_seconds", s.Heartbeat.Seconds(), s.Name)
	gauge("buffer_bytes", float64(s.BufferBytes), s.Name)
	gauge("buffer_limit_bytes", float64(s.BufferLimit), s.Name)
	gauge("buffer_seconds", s.Buffered.Seconds(), s.Name)
	for protocol, n := range s.Viewers {
		gauge("viewers", float64(n), s.Name, protocol)
	}
}

func collectRoute(r *snapshot.Route, gauge func(string, float64, ...string)) {
	gauge("route_state", float64(r.State), r.Stream, r.Group, r.Route)
	gauge("route_backoff_seconds", r.Backoff.Seconds(), r.Stream, r.Group, r.Route)
	gauge("route_score", r.Score, r.Stream, r.Group, r.Route)
	gauge("route_level", float64(r.Level), r.Stream, r.Group, r.Route)
	gauge("route_lag_seconds", r.Lag.Seconds(), r.Stream, r.Group, r.Route)
	gauge("route_rtt_seconds", r.RTT.Seconds(), r.Stream, r.Group, r.Route)
	gauge("route_bitrate", r.Rate, r.Stream, r.Group, r.Route)
}
