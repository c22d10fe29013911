package prom

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/holdfast-live/holdfast/qos/snapshot"
)

var update = flag.Bool("update", false, "rewrite the table of metrics in qos/README.md")

const (
	readme     = "../README.md"
	tableBegin = "<!-- metrics: generated, go test ./qos/prom -run Readme -update -->\n"
	tableEnd   = "<!-- /metrics -->\n"
)

// busy returns a relay of which every metric has a series.
func busy() snapshot.Relay {
	r := idle()
	r.Streams = []snapshot.Stream{{Name: "live/cam", State: 1, Viewers: map[string]int{"rtmp": 1}}}
	r.Routes = []snapshot.Route{{Stream: "live/cam", Group: "cdn", Route: "a"}}
	r.Totals = []snapshot.RouteTotals{{Group: "cdn", Route: "a"}}
	r.Memory = map[string]int64{"packets": 1}
	return r
}

// registerAll registers every collector of the package, with series for each metric, and
// returns the names that they describe.
func registerAll(t *testing.T) (reg *prometheus.Registry, described []string) {
	t.Helper()
	reg = prometheus.NewPedanticRegistry()
	var collectors []prometheus.Collector
	record := recorder{reg, &collectors}
	m, err := New(record, labels)
	if err != nil {
		t.Fatal(err)
	}
	m.Group("cdn", []string{"a"})
	if _, err := NewHooks(record, []string{"on_play"}, []string{"delivered"}); err != nil {
		t.Fatal(err)
	}
	record.MustRegister(NewCollector(busy, func() int { return 1 }), BuildInfo("v1.2.3", "0123456"))
	descs := make(chan *prometheus.Desc)
	go func() {
		defer close(descs)
		for _, c := range collectors {
			c.Describe(descs)
		}
	}()
	name := regexp.MustCompile(`fqName: "([^"]+)"`)
	for d := range descs {
		described = append(described, name.FindStringSubmatch(d.String())[1])
	}
	slices.Sort(described)
	return reg, described
}

// recorder is a registry that remembers what was registered.
type recorder struct {
	prometheus.Registerer
	collectors *[]prometheus.Collector
}

func (r recorder) Register(c prometheus.Collector) error {
	*r.collectors = append(*r.collectors, c)
	return r.Registerer.Register(c)
}

func (r recorder) MustRegister(cs ...prometheus.Collector) {
	*r.collectors = append(*r.collectors, cs...)
	r.Registerer.MustRegister(cs...)
}

// table renders every metric as a row: name, type, labels, help.
func table(t *testing.T) string {
	t.Helper()
	reg, described := registerAll(t)
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	var gathered []string
	var out strings.Builder
	out.WriteString("| metric | type | labels | meaning |\n| --- | --- | --- | --- |\n")
	for _, f := range families {
		gathered = append(gathered, f.GetName())
		var names []string
		for _, l := range f.GetMetric()[0].GetLabel() {
			names = append(names, "`"+l.GetName()+"`")
		}
		kind := strings.ToLower(f.GetType().String())
		fmt.Fprintf(&out, "| `%s` | %s | %s | %s |\n", f.GetName(), kind, strings.Join(names, ", "), f.GetHelp())
	}
	if !slices.Equal(gathered, described) {
		t.Errorf("got series of %q\nwant %q", gathered, described)
	}
	return out.String()
}

// TestReadme compares the table of metrics in qos/README.md with the metrics that are
// registered. With -update it rewrites the table.
func TestReadme(t *testing.T) {
	text, err := os.ReadFile(readme)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, hasBegin := bytes.Cut(text, []byte(tableBegin))
	got, after, hasEnd := bytes.Cut(rest, []byte(tableEnd))
	if !hasBegin || !hasEnd {
		t.Fatalf("%s lacks the markers %q and %q", readme, tableBegin, tableEnd)
	}
	want := table(t)
	if string(got) == want {
		return
	}
	if !*update {
		t.Fatalf("the table in %s is out of date; run: go test ./qos/prom -run Readme -update\ngot:\n%s\nwant:\n%s", readme, got, want)
	}
	whole := slices.Concat(before, []byte(tableBegin), []byte(want), []byte(tableEnd), after)
	if err := os.WriteFile(readme, whole, 0o600); err != nil {
		t.Fatal(err)
	}
}
