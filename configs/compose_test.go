package configs

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// compose is the part of a Compose file that the tests check.
type compose struct {
	Services map[string]struct {
		Image, Build string
		Environment  map[string]string
		Ports        []string
		Volumes      []string
		Secrets      []string
		Command      []string
		Healthcheck  struct{ Test []string }
	}
	Secrets map[string]struct{ Environment string }
	Volumes map[string]any
}

func readCompose(t *testing.T) (c compose) {
	t.Helper()
	read(t, "compose.yaml", &c)
	return c
}

// Containers have fixed versions and health checks. Mounted files exist and give no access to
// the host. Only media ports are open to everyone.
func TestCompose(t *testing.T) {
	c := readCompose(t)
	for name, s := range c.Services {
		if tag := regexp.MustCompile(`:(v?\d+\.\d+\.\d+|local)$`); !tag.MatchString(s.Image) || strings.HasSuffix(s.Image, ":local") != (s.Build != "") {
			t.Errorf("%s: image %q, build %q", name, s.Image, s.Build)
		}
		if len(s.Healthcheck.Test) < 2 {
			t.Errorf("%s has no health check", name)
		}
		for _, v := range s.Volumes {
			from, _, _ := strings.Cut(v, ":")
			if !strings.HasPrefix(from, ".") {
				if _, ok := c.Volumes[from]; !ok {
					t.Errorf("%s mounts %s", name, v)
				}
				continue
			}
			if _, err := os.Stat(filepath.Clean(from)); err != nil || !strings.HasSuffix(v, ":ro") {
				t.Errorf("%s mounts %s: %v", name, v, err)
			}
		}
		for _, secret := range s.Secrets {
			if c.Secrets[secret].Environment == "" {
				t.Errorf("%s: there is no secret %s", name, secret)
			}
		}
		for _, p := range s.Ports {
			open := slices.Contains([]string{"1935:1935", "8080:8080", "8189:8189/udp"}, p)
			if open != (name == "holdfast" && !strings.HasPrefix(p, "127.0.0.1:")) {
				t.Errorf("%s opens %s", name, p)
			}
		}
	}
	if len(c.Services) != 3 {
		t.Errorf("got %d services", len(c.Services))
	}
}

// The relay's configuration is valid, and rejected without a token.
func TestComposeConfiguresTheRelay(t *testing.T) {
	variables := regexp.MustCompile(`\$\{(\w+)(:[?-])([^}]*)\}`)
	for _, token := range []string{"secret", ""} {
		for key, value := range readCompose(t).Services["holdfast"].Environment {
			value = variables.ReplaceAllStringFunc(value, func(v string) string {
				m := variables.FindStringSubmatch(v)
				if m[1] == "HOLDFAST_ADMIN_TOKEN" {
					if m[2] != ":?" {
						t.Error("the token may be left out")
					}
					return token
				}
				return m[3]
			})
			t.Setenv(key, value)
		}
		cfg, notices, err := Load("", nil)
		if token == "" {
			if err == nil {
				t.Error("it runs without a token")
			}
			continue
		}
		if err != nil || len(notices) > 0 {
			t.Fatalf("got %v, %v", err, notices)
		}
		if cfg.Admin.Token != token || cfg.Admin.Listen != ":8081" || cfg.State.File == "" {
			t.Errorf("got %+v", cfg)
		}
	}
}

// Prometheus scrapes the relay, and Grafana has Prometheus and its dashboards.
func TestComposeFits(t *testing.T) {
	c := readCompose(t)
	var scrape struct {
		Scrape []struct {
			Static []struct{ Targets []string } `yaml:"static_configs"`
			Auth   struct {
				File string `yaml:"credentials_file"`
			} `yaml:"authorization"`
		} `yaml:"scrape_configs"`
	}
	read(t, "prometheus/compose.yml", &scrape)
	job := scrape.Scrape[0]
	if job.Static[0].Targets[0] != "holdfast:8081" || job.Auth.File != "/run/secrets/"+c.Services["prometheus"].Secrets[0] {
		t.Errorf("got %+v", job)
	}
	if !slices.Contains(c.Services["prometheus"].Command, "--config.file=/etc/prometheus/compose.yml") {
		t.Errorf("got %v", c.Services["prometheus"].Command)
	}
	var sources struct{ Datasources []struct{ Type, URL string } }
	read(t, "grafana/provisioning/datasources/prometheus.yaml", &sources)
	if s := sources.Datasources[0]; s.Type != "prometheus" || s.URL != "http://prometheus:9090" {
		t.Errorf("got %+v", s)
	}
	var boards struct {
		Providers []struct{ Options struct{ Path string } }
	}
	read(t, "grafana/provisioning/dashboards/holdfast.yaml", &boards)
	path := boards.Providers[0].Options.Path
	grafana := c.Services["grafana"]
	if !slices.Contains(grafana.Volumes, "./grafana:"+path+":ro") || !slices.Contains(grafana.Volumes, "./grafana/provisioning:/etc/grafana/provisioning:ro") {
		t.Errorf("dashboards in %s, mounted %v", path, grafana.Volumes)
	}
	if home := grafana.Environment["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"]; home != path+"/fleet.json" {
		t.Errorf("the first dashboard is %s", home)
	}
}
