package dashtest

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"shakedown/dashboards"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// fake is a Prometheus that gives the same answer to everything.
func fake(t *testing.T, data string) asker {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = fmt.Fprintf(w, `{"status":"success","data":%s}`, data)
	}))
	a := newAsker(t, server.URL)
	t.Cleanup(func() {
		a.close()
		server.Close()
	})
	return a
}

func TestAQueryWithoutANumberIsNoData(t *testing.T) {
	for _, tt := range []struct {
		name, data, says string
	}{
		{"a number", `{"resultType":"vector","result":[{"metric":{},"value":[1,"0"]}]}`, ""},
		{"one of two", `{"resultType":"vector","result":[{"metric":{},"value":[1,"NaN"]},{"metric":{},"value":[1,"2"]}]}`, ""},
		{"no series", `{"resultType":"vector","result":[]}`, "gives 0 series"},
		{"not a number", `{"resultType":"vector","result":[{"metric":{},"value":[1,"NaN"]}]}`, "gives 1 series and no number"},
		{"a scalar", `{"resultType":"scalar","result":[1,"1"]}`, "not series"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			err := fake(t, tt.data).all(t.Context(), []question{{"the panel", `up{variant=~"$variant"}`}}, map[string]string{"variant": "lease"})
			if tt.says == "" {
				if err != nil {
					t.Error(err)
				}
				return
			}
			if err == nil || !strings.Contains(err.Error(), "the panel: ") || !strings.Contains(err.Error(), `"lease"`) || !strings.Contains(err.Error(), tt.says) {
				t.Errorf("it says %v, want the panel, the query and %q", err, tt.says)
			}
		})
	}
}

func TestEveryRuleMustBeKnownAndHealthy(t *testing.T) {
	names, err := dashboards.RuleNames()
	if err != nil || len(names) < 6 {
		t.Fatalf("the rules are %v, %v", names, err)
	}
	answer := func(health string, names []string) string {
		rules := make([]string, 0, len(names))
		for _, n := range names {
			rules = append(rules, fmt.Sprintf(`{"type":"recording","name":%q,"query":"1","health":%q,"lastError":"boom"}`, n, health))
		}
		return `{"groups":[{"name":"g","file":"f","interval":1,"rules":[` + strings.Join(rules, ",") + `]}]}`
	}
	if err := fake(t, answer("ok", names)).rules(t.Context()); err != nil {
		t.Errorf("all are well, and it says %v", err)
	}
	if err := fake(t, answer("ok", names[1:])).rules(t.Context()); err == nil || !strings.Contains(err.Error(), names[0]+": it is not known to Prometheus") {
		t.Errorf("one is missing, and it says %v", err)
	}
	if err := fake(t, answer("err", names)).rules(t.Context()); err == nil || strings.Count(err.Error(), "boom") != len(names) {
		t.Errorf("all are sick, and it says %v", err)
	}
}

func TestPanelsOfAbsentFeaturesAreLeftOut(t *testing.T) {
	all, some := questions(nil), questions([]dashboards.Feature{dashboards.Pools, dashboards.Faults})
	if len(some) >= len(all) {
		t.Errorf("%d questions of %d remain", len(some), len(all))
	}
	for _, q := range some {
		if strings.Contains(q.expr, "shakedown_pool") || strings.Contains(q.expr, dashboards.FaultActive) {
			t.Errorf("%s remains", q.at)
		}
	}
}

func TestAskingEndsWithItsContextAndKeepsTheReason(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	asked := 0
	err := asker{}.until(ctx, func(ctx context.Context) error {
		if asked++; asked == 2 {
			cancel()
			return ctx.Err()
		}
		return fmt.Errorf("no data yet")
	})
	if err == nil || !strings.Contains(err.Error(), "no data yet") {
		t.Errorf("it says %v", err)
	}
}
