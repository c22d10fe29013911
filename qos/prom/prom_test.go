package prom

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
	dto "github.com/prometheus/client_model/go"

	"github.com/holdfast-live/holdfast/qos/snapshot"
)

var labels = Labels{
	Publishers: []string{"rtmp", "rtmps"}, Viewers: []string{"rtmp", "httpflv"},
	Outcomes: []string{"accepted", "refused_key"}, Causes: []string{"eof", "silence"}, Joins: []string{"joined", "not_live"}, Resumes: []string{"exact", "keyframe", "expired"},
	Dials: []string{"ok", "failed"}, Switches: []string{"broken", "score"}, Levels: []string{"lag", "climb"},
}

func byLabel(names ...string) map[string]uint64 {
	m := map[string]uint64{}
	for _, n := range names {
		m[n] = 0
	}
	return m
}

// idle is a relay to which nothing has happened.
func idle() snapshot.Relay {
	return snapshot.Relay{
		IngestBytes: byLabel("rtmp", "rtmps"), EgressBytes: byLabel("rtmp", "httpflv"), ViewerSkips: byLabel("rtmp", "httpflv"),
		IngestFrames: byLabel("video", "audio"), TrackSilences: byLabel("video", "audio"), FillerFrames: byLabel("picture", "silence"),
		Repairs: []snapshot.Repair{{Track: "video", Reason: "split_frame"}, {Track: "audio", Reason: "adts"}},
	}
}

// register makes everything, over a snapshot that the test may change.
func register(t *testing.T, r *snapshot.Relay) (*prometheus.Registry, *Metrics) {
	t.Helper()
	reg := prometheus.NewPedanticRegistry()
	m, err := New(reg, labels)
	if err != nil {
		t.Fatal(err)
	}
	if err := reg.Register(NewCollector(func() snapshot.Relay { return *r }, func() int { return 1000 })); err != nil {
		t.Fatal(err)
	}
	return reg, m
}

// series lists everything that is exported, as name{label="value"} type, and the sum of it.
func series(t *testing.T, reg prometheus.Gatherer) (names []string, sum float64) {
	t.Helper()
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			var pairs []string
			for _, l := range m.GetLabel() {
				pairs = append(pairs, fmt.Sprintf("%s=%s", l.GetName(), l.GetValue()))
			}
			names = append(names, fmt.Sprintf("%s{%s} %s", f.GetName(), strings.Join(pairs, ","), strings.ToLower(f.GetType().String())))
			sum += value(m)
		}
	}
	return names, sum
}

func value(m *dto.Metric) float64 {
	return m.GetCounter().GetValue() + m.GetGauge().GetValue() + float64(m.GetHistogram().GetSampleCount())
}

// Counters and histograms are there from the start, at 0, for every label value; nothing of a
// stream is there before the stream is.
func TestFromTheStart(t *testing.T) {
	r := idle()
	reg, _ := register(t, &r)
	got, sum := series(t, reg)
	want := []string{
		"holdfast_publish_outage_seconds{} histogram", "holdfast_publish_late_packets_total{} counter",
		"holdfast_bridges{} gauge", "holdfast_bridge_restarts_total{} counter", "holdfast_bridge_failures_total{} counter",
		"holdfast_whip_nacks_total{} counter", "holdfast_whip_lost_packets_total{} counter", "holdfast_whep_retransmits_total{} counter",
		"holdfast_webrtc_refused_packets_total{} counter",
		"holdfast_viewer_admission_wait_seconds{} histogram", "holdfast_streams_limit{} gauge", "holdfast_connections{} gauge",
		"holdfast_connections_limit{} gauge", "holdfast_memory_limit_bytes{} gauge",
	}
	for _, p := range labels.Publishers {
		for _, o := range labels.Outcomes {
			want = append(want, fmt.Sprintf("holdfast_publish_sessions_total{outcome=%s,protocol=%s} counter", o, p))
		}
		for _, c := range labels.Causes {
			want = append(want, fmt.Sprintf("holdfast_publish_breaks_total{cause=%s,protocol=%s} counter", c, p))
		}
		want = append(want, fmt.Sprintf("holdfast_ingest_bytes_total{protocol=%s} counter", p))
	}
	for _, p := range labels.Viewers {
		for _, o := range labels.Joins {
			want = append(want, fmt.Sprintf("holdfast_viewer_joins_total{outcome=%s,protocol=%s} counter", o, p))
		}
		for _, o := range labels.Resumes {
			want = append(want, fmt.Sprintf("holdfast_viewer_resumes_total{outcome=%s,protocol=%s} counter", o, p))
		}
		want = append(want, fmt.Sprintf("holdfast_viewer_join_seconds{protocol=%s} histogram", p),
			fmt.Sprintf("holdfast_viewer_skips_total{protocol=%s} counter", p), fmt.Sprintf("holdfast_egress_bytes_total{protocol=%s} counter", p))
	}
	for _, c := range []string{"silence", "timeout", "ice"} {
		want = append(want, fmt.Sprintf("holdfast_publish_detect_seconds{cause=%s} histogram", c))
	}
	for _, o := range []string{"silent", "healthy", "refused"} {
		want = append(want, fmt.Sprintf("holdfast_publish_takeovers_total{outcome=%s} counter", o))
	}
	for _, to := range []string{"backup", "primary"} {
		want = append(want, fmt.Sprintf("holdfast_backup_switches_total{to=%s} counter", to))
	}
	for _, tr := range []string{"video", "audio"} {
		want = append(want, fmt.Sprintf("holdfast_track_silences_total{track=%s} counter", tr), fmt.Sprintf("holdfast_ingest_frames_total{track=%s} counter", tr))
	}
	want = append(want, "holdfast_media_repairs_total{reason=split_frame,track=video} counter", "holdfast_media_repairs_total{reason=adts,track=audio} counter")
	for _, s := range []string{"idle", "live", "suspect", "held"} {
		want = append(want, fmt.Sprintf("holdfast_streams{state=%s} gauge", s))
	}
	for _, k := range []string{"picture", "silence"} {
		want = append(want, fmt.Sprintf("holdfast_filler_frames_total{kind=%s} counter", k))
	}
	slices.Sort(want)
	slices.Sort(got)
	if !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	if sum != 0 {
		t.Errorf("something is not 0: %v", sum)
	}
}

// A stream's series are there as long as the stream is.
func TestStreams(t *testing.T) {
	r := idle()
	reg, _ := register(t, &r)
	r.Streams = []snapshot.Stream{{
		Name: "live/cam", State: 3, Bitrate: 2.5e6, FrameRate: 29.97, RTT: 20 * time.Millisecond, Gap: 40 * time.Millisecond,
		InState: 4 * time.Second, Backup: 2, SpareReady: true, Epoch: 7, HoldLeft: 26 * time.Second, Jitter: 3 * time.Millisecond, Keyframes: 2 * time.Second,
		Heartbeat: 5 * time.Second, BufferBytes: 6_000_000, BufferLimit: 64 << 20, Buffered: 20 * time.Second, Viewers: map[string]int{"rtmp": 2, "httpflv": 0},
	}, {Name: "live/other"}}
	const want = `
# HELP holdfast_buffer_bytes Bytes of media in the stream's buffer.
# TYPE holdfast_buffer_bytes gauge
holdfast_buffer_bytes{stream="live/cam"} 6e+06
holdfast_buffer_bytes{stream="live/other"} 0
# HELP holdfast_buffer_limit_bytes Bytes of media that the stream's buffer may hold.
# TYPE holdfast_buffer_limit_bytes gauge
holdfast_buffer_limit_bytes{stream="live/cam"} 6.7108864e+07
holdfast_buffer_limit_bytes{stream="live/other"} 0
# HELP holdfast_buffer_seconds Media time in the stream's buffer.
# TYPE holdfast_buffer_seconds gauge
holdfast_buffer_seconds{stream="live/cam"} 20
holdfast_buffer_seconds{stream="live/other"} 0
# HELP holdfast_heartbeat_interval_seconds Time between two pings to the publisher.
# TYPE holdfast_heartbeat_interval_seconds gauge
holdfast_heartbeat_interval_seconds{stream="live/cam"} 5
holdfast_heartbeat_interval_seconds{stream="live/other"} 0
# HELP holdfast_ingest_bitrate Bits per second received from the publisher.
# TYPE holdfast_ingest_bitrate gauge
holdfast_ingest_bitrate{stream="live/cam"} 2.5e+06
holdfast_ingest_bitrate{stream="live/other"} 0
# HELP holdfast_ingest_fps Video frames per second received from the publisher.
# TYPE holdfast_ingest_fps gauge
holdfast_ingest_fps{stream="live/cam"} 29.97
holdfast_ingest_fps{stream="live/other"} 0
# HELP holdfast_ingest_gap_seconds Longest recent gap between two packets from the publisher.
# TYPE holdfast_ingest_gap_seconds gauge
holdfast_ingest_gap_seconds{stream="live/cam"} 0.04
holdfast_ingest_gap_seconds{stream="live/other"} 0
# HELP holdfast_ingest_jitter_seconds Mean difference between the spacing of packets on arrival and in their timestamps.
# TYPE holdfast_ingest_jitter_seconds gauge
holdfast_ingest_jitter_seconds{stream="live/cam"} 0.003
holdfast_ingest_jitter_seconds{stream="live/other"} 0
# HELP holdfast_ingest_keyframe_interval_seconds Media time between the publisher's two newest keyframes; 0 while unknown.
# TYPE holdfast_ingest_keyframe_interval_seconds gauge
holdfast_ingest_keyframe_interval_seconds{stream="live/cam"} 2
holdfast_ingest_keyframe_interval_seconds{stream="live/other"} 0
# HELP holdfast_ingest_rtt_seconds Round-trip time to the publisher; 0 while unknown.
# TYPE holdfast_ingest_rtt_seconds gauge
holdfast_ingest_rtt_seconds{stream="live/cam"} 0.02
holdfast_ingest_rtt_seconds{stream="live/other"} 0
# HELP holdfast_stream_backup Backup publisher of the stream: 0 none, 1 on standby, 2 active.
# TYPE holdfast_stream_backup gauge
holdfast_stream_backup{stream="live/cam"} 2
holdfast_stream_backup{stream="live/other"} 0
# HELP holdfast_stream_epoch Publisher sessions joined to the stream so far, the first one included.
# TYPE holdfast_stream_epoch gauge
holdfast_stream_epoch{stream="live/cam"} 7
holdfast_stream_epoch{stream="live/other"} 0
# HELP holdfast_stream_hold_remaining_seconds Time until a held stream ends unless a publisher returns; 0 unless held.
# TYPE holdfast_stream_hold_remaining_seconds gauge
holdfast_stream_hold_remaining_seconds{stream="live/cam"} 26
holdfast_stream_hold_remaining_seconds{stream="live/other"} 0
# HELP holdfast_stream_spare_ready 1 if the standby publisher could take over now; 0 if it could not, or if there is none.
# TYPE holdfast_stream_spare_ready gauge
holdfast_stream_spare_ready{stream="live/cam"} 1
holdfast_stream_spare_ready{stream="live/other"} 0
# HELP holdfast_stream_state State of the stream: 0 idle, 1 live, 2 suspect, 3 held.
# TYPE holdfast_stream_state gauge
holdfast_stream_state{stream="live/cam"} 3
holdfast_stream_state{stream="live/other"} 0
# HELP holdfast_stream_state_seconds Time since the stream entered its state.
# TYPE holdfast_stream_state_seconds gauge
holdfast_stream_state_seconds{stream="live/cam"} 4
holdfast_stream_state_seconds{stream="live/other"} 0
# HELP holdfast_streams Streams in the given state.
# TYPE holdfast_streams gauge
holdfast_streams{state="held"} 1
holdfast_streams{state="idle"} 1
holdfast_streams{state="live"} 0
holdfast_streams{state="suspect"} 0
# HELP holdfast_viewers Viewers connected to the stream.
# TYPE holdfast_viewers gauge
holdfast_viewers{protocol="httpflv",stream="live/cam"} 0
holdfast_viewers{protocol="rtmp",stream="live/cam"} 2
`
	var gauges []string
	for line := range strings.Lines(want) {
		if name, ok := strings.CutPrefix(line, "# TYPE "); ok {
			gauges = append(gauges, strings.Fields(name)[0])
		}
	}
	if err := testutil.GatherAndCompare(reg, strings.NewReader(want), gauges...); err != nil {
		t.Error(err)
	}
	r.Streams = nil
	names, _ := series(t, reg)
	for _, n := range names {
		if strings.Contains(n, "stream=") {
			t.Errorf("%s is left", n)
		}
	}
}

func TestEvents(t *testing.T) {
	r := idle()
	reg, m := register(t, &r)
	m.Session("rtmp", "accepted")
	m.Broke("rtmp", "eof", 0)
	m.Broke("rtmps", "silence", 1200*time.Millisecond)
	m.Resumed(3 * time.Second)
	m.Takeover("silent")
	m.Joined("httpflv", "joined")
	m.Started("httpflv", 3*time.Millisecond)
	m.Admitted(100 * time.Millisecond)
	m.Broke("rtmp", "reset", time.Second) // whose detection takes no time worth counting
	const want = `
# HELP holdfast_publish_breaks_total Publisher sessions that broke or ended.
# TYPE holdfast_publish_breaks_total counter
holdfast_publish_breaks_total{cause="eof",protocol="rtmp"} 1
holdfast_publish_breaks_total{cause="eof",protocol="rtmps"} 0
holdfast_publish_breaks_total{cause="reset",protocol="rtmp"} 1
holdfast_publish_breaks_total{cause="silence",protocol="rtmp"} 0
holdfast_publish_breaks_total{cause="silence",protocol="rtmps"} 1
`
	if err := testutil.GatherAndCompare(reg, strings.NewReader(want), "holdfast_publish_breaks_total"); err != nil {
		t.Error(err)
	}
	// Nine told, and the one whose detection took time counts twice.
	if _, sum := series(t, reg); sum != 10 {
		t.Errorf("together %v", sum)
	}
	if n := testutil.CollectAndCount(m.detect, "holdfast_publish_detect_seconds"); n != 3 {
		t.Errorf("detection has %d series", n)
	}
}

// Everything is named and explained as Prometheus wants it.
func TestLint(t *testing.T) {
	r := idle()
	r.Streams = []snapshot.Stream{{Name: "live/cam", Viewers: map[string]int{"rtmp": 1}}}
	reg, _ := register(t, &r)
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	problems, err := promlint.NewWithMetricFamilies(families).Lint()
	if err != nil || len(problems) > 0 {
		t.Errorf("%v, %v", problems, err)
	}
}

func TestRegisterTwice(t *testing.T) {
	reg := prometheus.NewRegistry()
	if _, err := New(reg, labels); err != nil {
		t.Fatal(err)
	}
	if _, err := New(reg, labels); err == nil {
		t.Error("twice in one registry")
	}
}
