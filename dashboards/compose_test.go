package dashboards_test

import (
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/compose-spec/compose-go/v2/cli"
	"github.com/compose-spec/compose-go/v2/types"
	"go.yaml.in/yaml/v3"

	"shakedown/dashboards"
	"shakedown/internal/session"
)

func loadCompose(t *testing.T) *types.Project {
	t.Helper()
	options, err := cli.NewProjectOptions([]string{"../docker-compose.yml"}) // no environment: the documented defaults
	if err != nil {
		t.Fatal(err)
	}
	project, err := options.LoadProject(t.Context())
	if err != nil {
		t.Fatalf("docker-compose.yml: %v", err)
	}
	return project
}

// yamlFile reads a file of this folder into T.
func yamlFile[T any](t *testing.T, name string) T {
	t.Helper()
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	var into T
	if err := yaml.Unmarshal(text, &into); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return into
}

func TestComposeServicesArePinnedHealthyAndOnLoopback(t *testing.T) {
	project := loadCompose(t)
	if got := project.ServiceNames(); !slices.Equal(got, []string{"etcd", "grafana", "mariadb", "nats", "postgres", "prometheus", "rabbitmq", "redis"}) {
		t.Errorf("the services are %v", got)
	}
	for name, s := range project.Services {
		if _, tag, ok := strings.Cut(s.Image, ":"); !ok || tag == "latest" {
			t.Errorf("%s: the image %s is not pinned", name, s.Image)
		}
		if s.HealthCheck == nil || len(s.HealthCheck.Test) == 0 {
			t.Errorf("%s has no health check", name)
		}
		for _, p := range s.Ports {
			if p.HostIP != "127.0.0.1" {
				t.Errorf("%s publishes %s on %q", name, p.Published, p.HostIP)
			}
		}
		if s.NetworkMode == "host" && !strings.Contains(strings.Join(s.Command, " ")+env(s, "GF_SERVER_HTTP_ADDR"), "127.0.0.1") {
			t.Errorf("%s shares the host's network and listens beyond loopback", name)
		}
	}
}

func env(s types.ServiceConfig, name string) string {
	if v := s.Environment[name]; v != nil {
		return *v
	}
	return ""
}

func TestWhatComposeMountsIsInTheRepository(t *testing.T) {
	mounts := 0
	for name, s := range loadCompose(t).Services {
		for _, v := range s.Volumes {
			if v.Type != types.VolumeTypeBind {
				continue
			}
			mounts++
			if info, err := os.Stat(v.Source); err != nil || !info.IsDir() {
				t.Errorf("%s mounts %s, which is no folder: %v", name, v.Source, err)
			}
			if !v.ReadOnly {
				t.Errorf("%s may write to %s", name, v.Source)
			}
		}
	}
	if mounts < 3 {
		t.Errorf("%d folders are mounted; Prometheus needs its configuration, and Grafana two", mounts)
	}
}

// mounted is where a path of this folder is inside the service's container.
func mounted(t *testing.T, s types.ServiceConfig, path string) string {
	t.Helper()
	path, err := filepath.Abs(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range s.Volumes {
		source, err := filepath.Abs(v.Source)
		if err != nil {
			t.Fatal(err)
		}
		if rel, err := filepath.Rel(source, path); v.Type == types.VolumeTypeBind && err == nil && !strings.HasPrefix(rel, "..") {
			return filepath.Join(v.Target, rel)
		}
	}
	t.Errorf("%s is not mounted into %s", path, s.Name)
	return ""
}

func TestPrometheusReadsItsConfigurationAndFindsTheHarness(t *testing.T) {
	s := loadCompose(t).Services["prometheus"]
	if want := "--config.file=" + mounted(t, s, "prometheus/prometheus.yml"); !slices.Contains(s.Command, want) {
		t.Errorf("its command is %v, without %s", s.Command, want)
	}
	if dashboards.HarnessAddr != session.DefaultTelemetry {
		t.Errorf("it looks at %s, and the harness serves at %s", dashboards.HarnessAddr, session.DefaultTelemetry)
	}
	config := yamlFile[struct {
		ScrapeConfigs []struct {
			StaticConfigs []struct{ Targets []string } `yaml:"static_configs"`
			HTTPSD        []struct{ URL string }       `yaml:"http_sd_configs"`
		} `yaml:"scrape_configs"`
	}](t, "prometheus/prometheus.yml")
	var found []string
	for _, c := range config.ScrapeConfigs {
		for _, s := range c.StaticConfigs {
			found = append(found, s.Targets...)
		}
		for _, sd := range c.HTTPSD {
			found = append(found, sd.URL)
		}
	}
	if want := []string{dashboards.HarnessAddr, "http://" + dashboards.HarnessAddr + "/sd"}; !slices.Equal(found, want) {
		t.Errorf("prometheus.yml looks at %v, want %v", found, want)
	}
	if s.NetworkMode != "host" {
		t.Error("loopback addresses in prometheus.yml mean the host's only when the container shares its network")
	}
}

func TestGrafanaFindsPrometheusAndTheDashboard(t *testing.T) {
	project := loadCompose(t)
	grafana, prometheus := project.Services["grafana"], project.Services["prometheus"]
	sources := yamlFile[struct {
		Datasources []struct{ UID, URL, Type string }
	}](t, "grafana/provisioning/datasources/prometheus.yml")
	if len(sources.Datasources) != 1 || sources.Datasources[0].UID != dashboards.DatasourceUID || sources.Datasources[0].Type != "prometheus" {
		t.Fatalf("the data sources are %+v", sources.Datasources)
	}
	at, err := url.Parse(sources.Datasources[0].URL)
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Contains(prometheus.Command, "--web.listen-address="+at.Host) || grafana.NetworkMode != "host" {
		t.Errorf("the data source is at %s, and Prometheus's command is %v", at.Host, prometheus.Command)
	}
	providers := yamlFile[struct {
		Providers []struct{ Options struct{ Path string } }
	}](t, "grafana/provisioning/dashboards/shakedown.yml")
	if len(providers.Providers) != 1 || providers.Providers[0].Options.Path != filepath.Dir(mounted(t, grafana, runJSON)) {
		t.Errorf("dashboards are looked for in %+v", providers.Providers)
	}
	if got := mounted(t, grafana, "grafana/provisioning"); got != "/etc/grafana/provisioning" {
		t.Errorf("provisioning is mounted at %s, where Grafana does not look", got)
	}
	if home := env(grafana, "GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"); home != mounted(t, grafana, runJSON) {
		t.Errorf("the home dashboard is %s", home)
	}
}

func TestPasswordsCanBeSet(t *testing.T) {
	text, err := os.ReadFile("../docker-compose.yml")
	if err != nil {
		t.Fatal(err)
	}
	for _, variable := range []string{"SHAKEDOWN_POSTGRES_PASSWORD", "SHAKEDOWN_RABBITMQ_PASSWORD", "SHAKEDOWN_GRAFANA_PASSWORD"} {
		if !strings.Contains(string(text), "${"+variable+":-") {
			t.Errorf("no password is taken from %s", variable)
		}
	}
}
