package dashtest

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math"
	"net/http"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/prometheus/client_golang/api"
	prom "github.com/prometheus/client_golang/api/prometheus/v1"
	"github.com/prometheus/common/model"

	"shakedown/dashboards"
)

// AssertPanels asks Prometheus every query of every panel, and every annotation, until each has given data: at least one
// series with a number. vars are the values of the dashboard's variables, by name; those not given stand for all. Panels
// that need a feature which the run does not have are left out: say which. It fails the test with the queries without data.
//
// Load must be running while it asks, because a rate over a run that has ended has no data.
func AssertPanels(t testing.TB, prometheusURL string, vars map[string]string, absent ...dashboards.Feature) {
	t.Helper()
	q := newAsker(t, prometheusURL)
	defer q.close()
	questions := questions(absent)
	if len(questions) == 0 {
		t.Fatal("no panel is left to ask about")
	}
	if err := q.until(t.Context(), func(ctx context.Context) error { return q.all(ctx, questions, vars) }); err != nil {
		t.Errorf("panels without data:\n%v", err)
	}
}

// AssertRules waits until Prometheus has evaluated every rule of the repository, and fails the test when one is missing or
// has an error.
func AssertRules(t testing.TB, prometheusURL string) {
	t.Helper()
	q := newAsker(t, prometheusURL)
	defer q.close()
	if err := q.until(t.Context(), q.rules); err != nil {
		t.Errorf("rules that do not work: %v", err)
	}
}

// A question is one query, with where it comes from.
type question struct{ at, expr string }

func questions(absent []dashboards.Feature) []question {
	var list []question
	for _, s := range dashboards.Sections() {
		for _, p := range s.Panels {
			if slices.Contains(absent, p.Needs) {
				continue
			}
			for _, q := range p.Queries {
				list = append(list, question{fmt.Sprintf("%s / %s (%s)", s.Title, p.Title, q.Legend), q.Expr})
			}
		}
	}
	if a := dashboards.FaultAnnotation; !slices.Contains(absent, a.Needs) {
		list = append(list, question{"annotation " + a.Name, a.Expr})
	}
	return list
}

// asker puts questions to one Prometheus.
type asker struct {
	api       prom.API
	transport *http.Transport
}

func newAsker(t testing.TB, url string) asker {
	t.Helper()
	transport := new(http.Transport)
	client, err := api.NewClient(api.Config{Address: url, Client: &http.Client{Transport: transport}})
	if err != nil {
		t.Fatal(err)
	}
	return asker{prom.NewAPI(client), transport}
}

func (a asker) close() { a.transport.CloseIdleConnections() }

// until asks again until there is nothing wrong, and returns what was still wrong when patience ended.
func (a asker) until(ctx context.Context, ask func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	tick := time.NewTicker(4 * poll)
	defer tick.Stop()
	var last error
	for {
		err := ask(ctx)
		if err == nil {
			return nil
		}
		if ctx.Err() == nil {
			last = err // an error from the end of patience says nothing
		}
		select {
		case <-ctx.Done():
			return errors.Join(last, ctx.Err())
		case <-tick.C:
		}
	}
}

func (a asker) all(ctx context.Context, list []question, vars map[string]string) error {
	var errs []error
	for _, q := range list {
		if err := a.ask(ctx, Substitute(q.expr, vars)); err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", q.at, err))
		}
	}
	return errors.Join(errs...)
}

func (a asker) ask(ctx context.Context, expr string) error {
	value, _, _, err := a.api.Query(ctx, expr, time.Time{}) // no time: Prometheus's own now
	if err != nil {
		return fmt.Errorf("%s: %w", expr, err)
	}
	vector, ok := value.(model.Vector)
	if !ok {
		return fmt.Errorf("%s gives a %s, not series", expr, value.Type())
	}
	if !slices.ContainsFunc(vector, func(s *model.Sample) bool { return !math.IsNaN(float64(s.Value)) }) {
		return fmt.Errorf("%s gives %d series and no number", expr, len(vector))
	}
	return nil
}

// Substitute puts the values of variables where Grafana would; those not given stand for all, and ten seconds.
func Substitute(expr string, vars map[string]string) string {
	all := map[string]string{"variant": ".*", "level": ".*", "__rate_interval": "10s"}
	maps.Copy(all, vars)
	return os.Expand(expr, func(name string) string {
		if v, ok := all[name]; ok {
			return v
		}
		return "$" + name
	})
}

// rules says which rules of rules.yml are not evaluated, or with an error.
func (a asker) rules(ctx context.Context) error {
	want, err := dashboards.RuleNames()
	if err != nil {
		return err
	}
	result, err := a.api.Rules(ctx, nil)
	if err != nil {
		return fmt.Errorf("asking for the rules: %w", err)
	}
	health := map[string]error{}
	for _, group := range result.Groups {
		for _, rule := range group.Rules {
			switch r := rule.(type) {
			case prom.RecordingRule:
				health[r.Name] = healthy(r.Health, r.LastError)
			case prom.AlertingRule:
				health[r.Name] = healthy(r.Health, r.LastError)
			}
		}
	}
	var errs []error
	for _, name := range want {
		err, known := health[name]
		if !known {
			err = errors.New("it is not known to Prometheus")
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", name, err))
		}
	}
	return errors.Join(errs...)
}

func healthy(h prom.RuleHealth, lastError string) error {
	if h != prom.RuleHealthGood {
		return fmt.Errorf("health is %s %s", h, lastError)
	}
	return nil
}
