package configs

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

// promtool runs Prometheus' checker, if it is installed. In CI it must be.
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
		t.Errorf("promtool: got %v\n%s", err, out)
	}
}

// read decodes a YAML file.
func read(t *testing.T, file string, into any) {
	t.Helper()
	b, err := os.ReadFile(file) //nolint:gosec // the tree's own
	if err == nil {
		err = yaml.Unmarshal(b, into)
	}
	if err != nil {
		t.Fatalf("%s: got %v", file, err)
	}
}

func TestPrometheus(t *testing.T) {
	promtool(t, "check", "config", "prometheus/prometheus.yml")
	promtool(t, "check", "rules", "prometheus/holdfast.rules.yaml")
	promtool(t, "test", "rules", "prometheus/holdfast.rules.test.yaml")
}

// In containers the configuration is the same, except for the relay's address and token.
func TestPrometheusInContainers(t *testing.T) {
	const secret = "/run/secrets/admin_token"
	dir := t.TempDir()
	b, err := os.ReadFile("prometheus/compose.yml")
	if err != nil || !strings.Contains(string(b), secret) {
		t.Fatalf("got %v\n%s", err, b)
	}
	rules, err := os.ReadFile("prometheus/holdfast.rules.yaml")
	if err != nil {
		t.Fatal(err)
	}
	token := filepath.Join(dir, "token")
	for file, content := range map[string]string{
		token: "secret", filepath.Join(dir, "holdfast.rules.yaml"): string(rules),
		filepath.Join(dir, "compose.yml"): strings.ReplaceAll(string(b), secret, token),
	} {
		if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	promtool(t, "check", "config", filepath.Join(dir, "compose.yml"))
}

// alert is an alerting rule, or with Record set a recording one.
type alert struct {
	Alert, Record, Expr string
	Labels, Annotations map[string]string
}

// Each alert says what is wrong, where to look and what to do, and has a test in which it fires.
func TestAlerts(t *testing.T) {
	var rules struct{ Groups []struct{ Rules []alert } }
	read(t, "prometheus/holdfast.rules.yaml", &rules)
	stories, err := os.ReadFile("prometheus/holdfast.rules.test.yaml")
	if err != nil {
		t.Fatal(err)
	}
	alerts := 0
	for _, g := range rules.Groups {
		for _, r := range g.Rules {
			if r.Alert == "" {
				continue
			}
			alerts++
			for _, key := range []string{"summary", "meaning", "look", "action"} {
				if r.Annotations[key] == "" {
					t.Errorf("%s has no %s", r.Alert, key)
				}
			}
			if s := r.Labels["severity"]; s != "warning" && s != "critical" {
				t.Errorf("%s has the severity %q", r.Alert, s)
			}
			if fires := `ALERTS{alertname="` + r.Alert + `", alertstate="firing"`; !strings.Contains(string(stories), fires) {
				t.Errorf("got %s fires in no story", r.Alert)
			}
		}
	}
	if alerts < 10 {
		t.Errorf("only %d alerts", alerts)
	}
}
