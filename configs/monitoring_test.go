package configs

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// promtool runs Prometheus' checker, if there is one. Under CI there has to be.
func promtool(t *testing.T, args ...string) {
	t.Helper()
	program, err := exec.LookPath("promtool")
	if err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal(err)
		}
		t.Skip("needs promtool: apt-get install prometheus")
	}
	out, err := exec.CommandContext(t.Context(), program, args...).CombinedOutput() //nolint:gosec // the test's own
	if err != nil || strings.Contains(string(out), "WARNING") {
		t.Errorf("promtool: %v\n%s", err, out)
	}
}

func TestPrometheus(t *testing.T) { promtool(t, "check", "config", "prometheus/prometheus.yml") }

// dashboard is what the tests look at of Grafana's format.
type dashboard struct {
	UID        string
	Templating struct{ List []struct{ Name, Type string } }
	Panels     []panel
}

type panel struct {
	ID          int
	Type, Title string
	GridPos     struct{ H, W, X, Y int }
	Datasource  struct{ Type, UID string }
	FieldConfig struct{ Defaults struct{ Unit string } }
	Targets     []struct {
		RefID, Expr string
		Datasource  struct{ UID string }
	}
}

func readDashboard(t *testing.T) dashboard {
	t.Helper()
	b, err := os.ReadFile("grafana/holdfast.json")
	if err != nil {
		t.Fatal(err)
	}
	var d dashboard
	if err := json.Unmarshal(b, &d); err != nil {
		t.Fatal(err)
	}
	return d
}

// TestDashboard holds what Grafana needs to show it anywhere: a data source to choose, a
// unit for each panel, and a place that no other panel has.
func TestDashboard(t *testing.T) {
	d := readDashboard(t)
	if d.UID != "holdfast" || len(d.Panels) == 0 {
		t.Fatalf("%+v", d)
	}
	variables := map[string]string{}
	for _, v := range d.Templating.List {
		variables[v.Name] = v.Type
	}
	if variables["datasource"] != "datasource" || variables["stream"] != "query" || variables["instance"] != "query" {
		t.Errorf("variables %v", variables)
	}
	for i, p := range d.Panels {
		if p.GridPos.W < 1 || p.GridPos.X+p.GridPos.W > 24 {
			t.Errorf("%s: %+v", p.Title, p.GridPos)
		}
		for _, other := range d.Panels[:i] {
			a, b := p.GridPos, other.GridPos
			if p.ID == other.ID || a.X < b.X+b.W && b.X < a.X+a.W && a.Y < b.Y+b.H && b.Y < a.Y+a.H {
				t.Errorf("%s and %s are in each other's place", p.Title, other.Title)
			}
		}
		if p.Type == "row" {
			continue
		}
		units := []string{"short", "s", "bps", "bytes", "percentunit"}
		if p.Datasource.UID != "${datasource}" || !slices.Contains(units, p.FieldConfig.Defaults.Unit) || len(p.Targets) == 0 {
			t.Errorf("%s: %+v", p.Title, p)
		}
		for _, target := range p.Targets {
			if target.Datasource.UID != "${datasource}" || !strings.Contains(target.Expr, `instance=~"$instance"`) {
				t.Errorf("%s: %+v", p.Title, target)
			}
		}
	}
}

// TestDashboardQueries has Prometheus read every query, as if each were a rule.
func TestDashboardQueries(t *testing.T) {
	rules := strings.Builder{}
	rules.WriteString("groups:\n- name: dashboard\n  rules:\n")
	n := 0
	for _, p := range readDashboard(t).Panels {
		for _, target := range p.Targets {
			expr := strings.NewReplacer("$__rate_interval", "1m", "$instance", ".*", "$stream", ".*", "$job", ".*").Replace(target.Expr)
			fmt.Fprintf(&rules, "  - record: dashboard:%d\n    expr: %q\n", n, expr)
			n++
		}
	}
	file := filepath.Join(t.TempDir(), "rules.yml")
	if err := os.WriteFile(file, []byte(rules.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	promtool(t, "check", "rules", file)
}
