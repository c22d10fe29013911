package configs

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// dashboard is the part of Grafana's format that the tests check.
type dashboard struct {
	file, UID   string
	Tags        []string
	Links       []struct{ Type string }
	Annotations struct{ List []struct{ Expr string } }
	Templating  struct{ List []struct{ Name, Type string } }
	Panels      []panel
}

type panel struct {
	ID                       int
	Type, Title, Description string
	GridPos                  struct{ H, W, X, Y int }
	Datasource               struct{ Type, UID string }
	FieldConfig              struct {
		Defaults struct {
			Unit     string
			Links    []struct{ URL string }
			Mappings []struct {
				Options map[string]struct{ Text string }
			}
		}
	}
	Targets []struct {
		RefID, Expr, LegendFormat string
		Datasource                struct{ UID string }
	}
}

func readDashboards(t *testing.T) (out []dashboard) {
	t.Helper()
	files, err := filepath.Glob("grafana/*.json")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		b, err := os.ReadFile(file) //nolint:gosec // the tree's own
		if err != nil {
			t.Fatal(err)
		}
		d := dashboard{file: file}
		if err := json.Unmarshal(b, &d); err != nil {
			t.Fatalf("%s: got %v", file, err)
		}
		out = append(out, d)
	}
	return out
}

// The dashboards and their variables.
var wanted = map[string][]string{
	"holdfast-fleet":  {"datasource", "job", "instance"},
	"holdfast-stream": {"datasource", "job", "instance", "stream"},
	"holdfast-routes": {"datasource", "job", "instance", "group", "stream"},
}

// TestDashboards checks what Grafana needs to show the dashboards anywhere: a selectable data
// source, a unit and a description for each panel, panels that do not overlap, and links between
// the dashboards.
func TestDashboards(t *testing.T) {
	seen := map[string]bool{}
	for _, d := range readDashboards(t) {
		seen[d.UID] = true
		var variables []string
		for _, v := range d.Templating.List {
			variables = append(variables, v.Name)
		}
		if !slices.Equal(variables, wanted[d.UID]) || len(d.Links) != 1 || !slices.Contains(d.Tags, "holdfast") {
			t.Errorf("%s: variables %v, links %v, tags %v", d.UID, variables, d.Links, d.Tags)
		}
		leads := false
		for i := range d.Panels {
			d.Panels[i].check(t, d.Panels[:i])
			leads = leads || len(d.Panels[i].FieldConfig.Defaults.Links) > 0
		}
		if !leads {
			t.Errorf("no panel of %s leads anywhere", d.UID)
		}
	}
	if len(seen) != len(wanted) {
		t.Errorf("dashboards %v", seen)
	}
}

func (p *panel) check(t *testing.T, before []panel) {
	t.Helper()
	if p.GridPos.W < 1 || p.GridPos.X+p.GridPos.W > 24 {
		t.Errorf("%s: got %+v", p.Title, p.GridPos)
	}
	for i := range before {
		a, b := p.GridPos, before[i].GridPos
		if p.ID == before[i].ID || a.X < b.X+b.W && b.X < a.X+a.W && a.Y < b.Y+b.H && b.Y < a.Y+a.H {
			t.Errorf("%s and %s are in each other's place", p.Title, before[i].Title)
		}
	}
	if p.Type == "row" {
		return
	}
	units := []string{"short", "s", "bps", "bytes", "percentunit"}
	if p.Datasource.UID != "${datasource}" || !slices.Contains(units, p.FieldConfig.Defaults.Unit) || len(p.Targets) == 0 || p.Description == "" {
		t.Errorf("%s: got %+v", p.Title, p)
	}
	for _, target := range p.Targets {
		if target.Datasource.UID != "${datasource}" || !strings.Contains(target.Expr, `instance=~"$instance"`) {
			t.Errorf("%s: got %+v", p.Title, target)
		}
		// Relays that pull from each other have streams of the same name.
		if strings.Contains(target.Expr, `stream=~"$stream"`) && !strings.Contains(target.Expr, " by (") && !strings.Contains(target.LegendFormat, "{{instance}}") {
			t.Errorf("%s does not say which relay: got %s", p.Title, target.LegendFormat)
		}
		for metric, states := range map[string]int{"holdfast_stream_state{": 4, "holdfast_route_state{": 6} {
			if !strings.HasPrefix(target.Expr, metric) {
				continue
			}
			if m := p.FieldConfig.Defaults.Mappings; len(m) != 1 || len(m[0].Options) != states {
				t.Errorf("%s does not name the %d states: %+v", p.Title, states, m)
			}
		}
	}
	for _, l := range p.FieldConfig.Defaults.Links {
		to := regexp.MustCompile(`^/d/([a-z-]+)\?`).FindStringSubmatch(l.URL)
		if to == nil || wanted[to[1]] == nil {
			t.Errorf("%s leads to %s", p.Title, l.URL)
			continue
		}
		for _, v := range regexp.MustCompile(`var-(\w+)=`).FindAllStringSubmatch(l.URL, -1) {
			if !slices.Contains(wanted[to[1]], v[1]) {
				t.Errorf("%s leads to %s, which has no %s", p.Title, to[1], v[1])
			}
		}
	}
}

// TestDashboardQueries lets Prometheus parse every query, as if each were a rule.
func TestDashboardQueries(t *testing.T) {
	rules := strings.Builder{}
	rules.WriteString("groups:\n- name: dashboard\n  rules:\n")
	n := 0
	add := func(expr string) {
		expr = strings.NewReplacer("$__rate_interval", "1m", "$instance", ".*", "$stream", ".*", "$job", ".*", "$group", ".*").Replace(expr)
		fmt.Fprintf(&rules, "  - record: dashboard:%d\n    expr: %q\n", n, expr)
		n++
	}
	for _, d := range readDashboards(t) {
		for _, a := range d.Annotations.List {
			add(a.Expr)
		}
		for i := range d.Panels {
			for _, target := range d.Panels[i].Targets {
				add(target.Expr)
			}
		}
	}
	file := filepath.Join(t.TempDir(), "rules.yml")
	if err := os.WriteFile(file, []byte(rules.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	promtool(t, "check", "rules", file)
}
