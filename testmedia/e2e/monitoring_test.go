//go:build linux

package e2e

import (
	"encoding/json"
	"fmt"
	"math"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/holdfast-live/holdfast/testmedia/gen"
)

// monitoringTime returns the minimum duration of TestMonitoring.
func monitoringTime(t *testing.T) time.Duration {
	t.Helper()
	text := os.Getenv("HOLDFAST_MONITORED")
	if text == "" {
		return 20 * time.Second
	}
	d, err := time.ParseDuration(text)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// TestMonitoring breaks and hangs a stream, pushes it over another route and at a lower rung, and
// reconnects a viewer, while Prometheus scrapes with our configuration. Every query of every dashboard and
// rule must have a result, and no alert may fire.
func TestMonitoring(t *testing.T) {
	t.Parallel()
	requirePrograms(t, "prometheus", "promtool")
	const stream = "live/cam"
	a, b := startNginxRTMP(t), startNginxRTMP(t)
	r := startWithRoutes(t, group{list: "push", urls: pushURLs(a.addr, b.addr), more: "failover: {after: 500ms, rise: 60s, probe: 500ms}"})
	checkMetrics(t, fetch(t, r.url("admin", "/metrics")))
	began := time.Now()
	p := startPrometheus(t, r)

	one := publish(t, r, stream, gen.Options{Source: 1})
	one.waitSent(20)
	viewers := watchRTMPAndFLV(t, r, stream)
	r.waitCarries(stream, "a")
	one.waitSent(200)
	one.reset()
	r.waitBreak(0)
	two := publish(t, r, stream, gen.Options{Source: 2})
	r.waitResume(0)
	two.waitSent(200)
	two.pause()
	r.waitBreak(1)
	sleep(t, 3*time.Second) // held, as some scrapes see
	two.resumeLive()
	r.waitResume(1)
	reconnectViewer(t, r, stream)
	a.kill()
	r.waitCarries(stream, "b")
	const rung = "routes/cdn/" + stream + "/rung"
	r.routeAction(http.MethodPut, rung, `{"rung": "keyframes"}`)
	level := `holdfast_route_level{group="cdn",route="b",stream="` + stream + `"}`
	waitUntil(t, "a lower rung", func() bool { return r.metric(level) > 0 })
	sleep(t, 2*time.Second)
	r.routeAction(http.MethodDelete, rung, "")
	waitUntil(t, "the top again", func() bool { return r.metric(level) == 0 })
	sleep(t, max(3*time.Second, time.Until(began.Add(monitoringTime(t)))))
	for _, v := range viewers {
		v.checkOpen()
	}

	p.checkVisible(began)
	n := 0
	for _, expr := range append(dashboardQueries(t), p.rules()...) {
		if answer := p.query(began, expr); len(answer) == 0 {
			t.Errorf("no result of %s", expr)
		}
		n++
	}
	t.Logf("%d queries, after %v", n, time.Since(began))
	two.pause()
}

// checkMetrics checks a scrape with promtool. Metrics of Go's own collectors are left out.
func checkMetrics(t *testing.T, scrape string) {
	t.Helper()
	var ours strings.Builder
	for l := range strings.Lines(scrape) {
		if strings.Contains(l, "holdfast_") {
			ours.WriteString(l)
		}
	}
	cmd := exec.CommandContext(waitContext(t), "promtool", "check", "metrics")
	cmd.Stdin = strings.NewReader(ours.String())
	if out, err := cmd.CombinedOutput(); err != nil || len(out) > 0 {
		t.Errorf("promtool check metrics: %v\n%s", err, out)
	}
}

// reconnectViewer runs a viewer whose connection is cut once.
func reconnectViewer(t *testing.T, r *relay, stream string) {
	t.Helper()
	v := &resumingViewer{addr: r.addrs["http"], path: stream}
	for range 2 {
		c, resp, err := v.request()
		if err != nil || resp.StatusCode != http.StatusOK {
			t.Fatal(resp, err)
		}
		err = v.readTags(resp.Body, 10)
		_ = resp.Body.Close()
		_ = c.Close()
		if err != nil {
			t.Fatal(err)
		}
	}
	if n := r.metric(`holdfast_viewer_resumes_total{outcome="exact",protocol="httpflv"}`); n != 1 {
		t.Errorf("got %v viewers resumed at their position", n)
	}
}

// prometheus is a running Prometheus.
type prometheus struct {
	t    *testing.T
	addr string
}

const prometheusFiles = "../../configs/prometheus"

// startPrometheus runs Prometheus with our configuration, except for the relay's address and shorter
// intervals.
func startPrometheus(t *testing.T, r *relay) *prometheus {
	t.Helper()
	dir := t.TempDir()
	for file, change := range map[string]*strings.Replacer{
		"holdfast.rules.yaml": strings.NewReplacer(),
		"prometheus.yml": strings.NewReplacer("127.0.0.1:8081", r.addrs["admin"], "scrape_interval: 10s", "scrape_interval: 1s",
			"scrape_timeout: 5s", "scrape_timeout: 1s", "evaluation_interval: 10s", "evaluation_interval: 1s"),
	} {
		text, err := os.ReadFile(filepath.Join(prometheusFiles, file))
		if err == nil {
			err = os.WriteFile(filepath.Join(dir, file), []byte(change.Replace(string(text))), 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	p := &prometheus{t: t, addr: freeAddr(t)}
	runs := launch(t, "prometheus", "--config.file", filepath.Join(dir, "prometheus.yml"),
		"--storage.tsdb.path", filepath.Join(dir, "data"), "--web.listen-address", p.addr, "--log.level", "warn")
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("output of prometheus:\n%s", runs.output())
		}
	})
	waitUntil(t, "Prometheus has scraped the relay", func() bool {
		resp, err := http.Get("http://" + p.addr + "/api/v1/query?query=" + url.QueryEscape(`up{job="holdfast"} == 1`)) //nolint:noctx // it answers at once
		if err != nil {
			return false
		}
		defer resp.Body.Close()
		var answer queryAnswer
		return json.NewDecoder(resp.Body).Decode(&answer) == nil && len(answer.Data.Result) > 0
	})
	return p
}

// queryAnswer is the answer to a range query.
type queryAnswer struct {
	Error string
	Data  struct {
		Result []struct {
			Metric map[string]string
			Values [][2]any
		}
	}
}

// query runs a range query with a step of one second since a time, and returns the values.
func (p *prometheus) query(since time.Time, expr string) (out []float64) {
	p.t.Helper()
	seconds := func(at time.Time) string { return strconv.FormatFloat(float64(at.UnixMilli())/1000, 'f', 3, 64) }
	q := url.Values{"query": {expr}, "start": {seconds(since)}, "end": {seconds(time.Now())}, "step": {"1"}}
	var answer queryAnswer
	body := fetch(p.t, "http://"+p.addr+"/api/v1/query_range?"+q.Encode())
	if err := json.Unmarshal([]byte(body), &answer); err != nil || answer.Error != "" {
		p.t.Errorf("%s: %v, %s", expr, err, answer.Error)
	}
	for _, series := range answer.Data.Result {
		for _, v := range series.Values {
			f, err := strconv.ParseFloat(fmt.Sprint(v[1]), 64)
			if err == nil && !math.IsNaN(f) {
				out = append(out, f)
			}
		}
	}
	return out
}

// checkVisible checks that the events of the test are visible in the metrics.
func (p *prometheus) checkVisible(since time.Time) {
	p.t.Helper()
	for expr, want := range map[string]float64{
		`sum(holdfast_publish_breaks_total{cause="silence"})`:                 1,
		`sum(holdfast_publish_breaks_total{cause="reset"})`:                   1,
		`sum(holdfast_viewer_resumes_total{outcome="exact"})`:                 1,
		`sum(holdfast_route_switches_total{group="cdn",cause="broken"})`:      1,
		`max(holdfast_stream_state{stream="live/cam"})`:                       3,
		`max(holdfast_stream_epoch{stream="live/cam"})`:                       3,
		`max(holdfast_route_state{route="b"})`:                                4,
		`sum(holdfast_streams{state="held"})`:                                 1,
		`sum(holdfast_routes{group="cdn",route="b",state="up"})`:              1,
		`count(holdfast_build_info{version!="",commit!="",go_version!=""})`:   1,
		`max(holdfast_ingest_keyframe_interval_seconds{stream="live/cam"})`:   2,
		`sum(holdfast_route_level_changes_total{group="cdn",cause="forced"})`: 1,
		`ceil(max(holdfast_stream_hold_remaining_seconds{}) / 30)`:            1,
	} {
		maximum := math.Inf(-1)
		for _, f := range p.query(since, expr) {
			maximum = max(maximum, f)
		}
		if maximum != want {
			p.t.Errorf("%s: got at most %v, want %v", expr, maximum, want)
		}
	}
	if fired := p.query(since, `ALERTS{alertstate="firing"}`); len(fired) > 0 {
		p.t.Errorf("got alerts: %s", fetch(p.t, "http://"+p.addr+"/api/v1/alerts"))
	}
}

// compares matches a comparison in PromQL. With bool, it has a result whether it holds or not.
var compares = regexp.MustCompile(` (==|!=|>=|<=|>|<) ([^b=])`)

// rules returns the expressions of all rules, changed so that they have a result without an alert.
func (p *prometheus) rules() (out []string) {
	p.t.Helper()
	text, err := os.ReadFile(filepath.Join(prometheusFiles, "holdfast.rules.yaml"))
	if err != nil {
		p.t.Fatal(err)
	}
	var file struct {
		Groups []struct {
			Rules []struct{ Record, Alert, Expr string }
		}
	}
	if err := yaml.Unmarshal(text, &file); err != nil {
		p.t.Fatal(err)
	}
	for _, g := range file.Groups {
		for _, rule := range g.Rules {
			expr := strings.ReplaceAll(strings.Join(strings.Fields(rule.Expr), " "), "offset 10m", "offset 5s") // the test is short
			if rule.Alert != "" {
				expr = strings.ReplaceAll(compares.ReplaceAllString(expr, " $1 bool $2"), " unless ", " and ")
			} else {
				out = append(out, rule.Record) // its result
			}
			out = append(out, expr)
		}
	}
	var state struct {
		Data struct {
			Groups []struct {
				Rules []struct{ Name, Health, LastError string }
			}
		}
	}
	if err := json.Unmarshal([]byte(fetch(p.t, "http://"+p.addr+"/api/v1/rules")), &state); err != nil {
		p.t.Fatal(err)
	}
	for _, g := range state.Data.Groups {
		for _, rule := range g.Rules {
			if rule.Health != "ok" {
				p.t.Errorf("rule %s: got %s %s", rule.Name, rule.Health, rule.LastError)
			}
		}
	}
	return out
}

// dashboardQueries returns the queries of all dashboards, with all variables set to everything.
func dashboardQueries(t *testing.T) (out []string) {
	t.Helper()
	files, err := filepath.Glob("../../configs/grafana/*.json")
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	chosen := strings.NewReplacer("$__rate_interval", "10s", "$job", ".*", "$instance", ".*", "$group", ".*", "$stream", ".*")
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var board struct {
			Annotations struct{ List []struct{ Expr string } }
			Panels      []struct{ Targets []struct{ Expr string } }
		}
		if err := json.Unmarshal(text, &board); err != nil {
			t.Fatal(err)
		}
		for _, a := range board.Annotations.List {
			out = append(out, chosen.Replace(a.Expr))
		}
		for _, panel := range board.Panels {
			for _, target := range panel.Targets {
				out = append(out, chosen.Replace(target.Expr))
			}
		}
	}
	return out
}
