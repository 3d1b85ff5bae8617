package dashboards_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"shakedown/dashboards"
	"shakedown/dashboards/dashtest"
)

var update = flag.Bool("update", false, "write grafana/dashboards/run.json anew")

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const runJSON = "grafana/dashboards/run.json"

func TestTheDashboardIsFresh(t *testing.T) {
	want, err := dashboards.Render()
	if err != nil {
		t.Fatal(err)
	}
	if *update {
		if err := os.WriteFile(runJSON, want, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(runJSON)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s is stale; run go generate ./dashboards", runJSON)
	}
}

func allPanels() []dashboards.Panel {
	var all []dashboards.Panel
	for _, s := range dashboards.Sections() {
		all = append(all, s.Panels...)
	}
	return all
}

func TestPanelsAreComplete(t *testing.T) {
	seen := map[string]bool{}
	for _, p := range allPanels() {
		switch {
		case p.Title == "" || p.About == "" || p.Kind == "" || p.Unit == "" || len(p.Queries) == 0:
			t.Errorf("panel %q lacks a title, an explanation, a kind, a unit or a query", p.Title)
		case seen[p.Title]:
			t.Errorf("two panels are called %q", p.Title)
		case p.Width < 4 || p.Width > 24:
			t.Errorf("panel %q is %d columns wide", p.Title, p.Width)
		}
		seen[p.Title] = true
	}
}

func TestPanelsAskOnlyForWhatIsExported(t *testing.T) {
	known := slices.Concat(dashboards.HarnessMetrics, dashboards.ServiceMetrics)
	name := regexp.MustCompile(`\bshakedown_\w+`)
	asked := map[string]bool{}
	for _, p := range allPanels() {
		for _, q := range p.Queries {
			for _, metric := range name.FindAllString(q.Expr, -1) {
				metric = strings.TrimSuffix(metric, "_bucket")
				asked[metric] = true
				if !slices.Contains(known, metric) {
					t.Errorf("panel %q asks for %s, which nobody exports", p.Title, metric)
				}
			}
		}
	}
	if len(asked) < 15 {
		t.Errorf("the panels show %d metrics only", len(asked))
	}
}

func TestEveryVariableOfAQueryIsOneOfTheDashboard(t *testing.T) {
	for _, p := range allPanels() {
		for _, q := range p.Queries {
			if got := dashtest.Substitute(q.Expr, nil); strings.Contains(got, "$") {
				t.Errorf("panel %q: a variable remains in %s", p.Title, got)
			}
		}
	}
	if got := dashtest.Substitute(`x{variant=~"$variant"}[$__rate_interval]`, map[string]string{"variant": "lease"}); got != `x{variant=~"lease"}[10s]` {
		t.Errorf("substitution gives %s", got)
	}
}

func TestPanelsDoNotOverlap(t *testing.T) {
	raw, err := dashboards.Render()
	if err != nil {
		t.Fatal(err)
	}
	var board struct {
		Panels []struct {
			Title   string
			ID      int
			GridPos struct{ X, Y, W, H int }
		}
	}
	if err := json.Unmarshal(raw, &board); err != nil {
		t.Fatal(err)
	}
	taken := map[[2]int]string{}
	ids := map[int]bool{}
	for _, p := range board.Panels {
		if ids[p.ID] {
			t.Errorf("two panels have the id %d", p.ID)
		}
		ids[p.ID] = true
		for x := p.GridPos.X; x < p.GridPos.X+p.GridPos.W; x++ {
			for y := p.GridPos.Y; y < p.GridPos.Y+p.GridPos.H; y++ {
				if other, ok := taken[[2]int{x, y}]; ok {
					t.Fatalf("%q lies over %q", p.Title, other)
				}
				if x >= 24 {
					t.Fatalf("%q reaches beyond the right edge", p.Title)
				}
				taken[[2]int{x, y}] = p.Title
			}
		}
	}
}

func TestTheRulesDoWhatTheirTestsSay(t *testing.T) {
	promtool, err := exec.LookPath("promtool")
	if err != nil {
		t.Fatal("promtool is not installed; on Debian and Ubuntu: apt-get install prometheus")
	}
	for _, args := range [][]string{{"check", "config", "prometheus.yml"}, {"test", "rules", "rules_test.yml"}} {
		cmd := exec.Command(promtool, args...)
		cmd.Dir = "prometheus"
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("promtool %s: %v\n%s", strings.Join(args, " "), err, out)
		}
	}
}
