package measure_test

import (
	"os"
	"strings"
	"testing"

	"shakedown/bench"
	"shakedown/bench/internal/synth"
	"shakedown/bench/measure"
)

func TestAQueryThatCannotBeAnsweredIsRefusedBeforeTheRun(t *testing.T) {
	e := synth.Outage()
	e.Levels = []bench.Level{{Name: "near", Variants: []string{"control"}}, {Name: "far"}}
	for want, q := range map[string]bench.Query{
		`there is no metric "latency"; there is goodput, useful`:      {Metric: "latency"},
		`metric response_ms has no stat ""; its stats are mean, p50`:  {Metric: "response_ms"},
		`metric response_ms has no stat "p98"`:                        {Metric: "response_ms", Stat: "p98"},
		`metric goodput is one number and takes no stat`:              {Metric: "goodput", Stat: "p99"},
		`metric goodput takes no name`:                                {Metric: "goodput", Name: "db"},
		`metric amplification needs the name of a dependency`:         {Metric: "amplification"},
		`metric in_flight is not kept by operation`:                   {Metric: "in_flight", Stat: "max", Op: "get"},
		`there is no variant "other"; there is control, pattern`:      {Metric: "ok", Variant: "other"},
		`there is no level "mid"; there is near, far`:                 {Metric: "ok", Level: "mid"},
		`variant "pattern" does not run at level "near"`:              {Metric: "ok", Level: "near", Variant: "pattern"},
		`there is no phase "later"; there is warmup, baseline, fault`: {Metric: "ok", Phase: "later"},
		`there is no operation "put"; there is get`:                   {Metric: "ok", Op: "put"},
		`there is no flag "hot"; there is hit, miss, stale`:           {Metric: "flag", Name: "hot"},
		`asks for one flag`: {Metric: "flag", Name: "hit,miss"},
		`there is no baseline phase "before"; there is warmup`:           {Metric: "recover_s", Phase: "fault", Name: "before"},
		`metric recover_s needs a phase and takes no tail`:               {Metric: "recover_s", Name: "baseline"},
		`metric detect_s needs a phase and takes no tail`:                {Metric: "detect_s", Phase: "fault", Tail: 0.5, Name: "baseline"},
		`tail must be between 0 and 1, got 2`:                            {Metric: "ok", Tail: 2},
		`selector "a b"`:                                                 {Metric: "series", Name: "a b", Stat: "max"},
		`metric span has no stat "p50"; its stats are count, rate, mean`: {Metric: "span", Name: "rebuild", Stat: "p50"},
	} {
		if err := measure.Validate(q, e); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: got %v, want %s", q, err, want)
		}
	}
	for _, q := range []bench.Query{
		{Metric: "goodput"},
		{Metric: "goodput", Variant: "pattern", Level: "far", Phase: "fault", Tail: 0.5, Op: "get"},
		{Metric: "series", Name: `up{job="x"}`, Stat: "last"},
		{Metric: "recover_s", Phase: "fault", Name: "baseline"},
	} {
		if err := measure.Validate(q, e); err != nil {
			t.Errorf("%+v: %v", q, err)
		}
	}
}

func TestEveryMetricIsDocumented(t *testing.T) {
	doc, err := os.ReadFile("doc.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range measure.Metrics() {
		inRange := m.Name == "degraded" || m.Name == "refused" || m.Name == "failed" || m.Name == "unsure" // "ok … unsent"
		if m.What == "" || m.Counts == "" {
			t.Errorf("%s: %+v", m.Name, m)
		}
		if !inRange && !strings.Contains(string(doc), m.Name) {
			t.Errorf("the table in doc.go does not list %s", m.Name)
		}
		got, ok := measure.Doc(m.Name)
		if !ok || got.What != m.What {
			t.Errorf("%s is documented as %+v", m.Name, got)
		}
	}
}

func TestQueriesReadAsWords(t *testing.T) {
	for want, q := range map[string]bench.Query{
		"goodput in the last half of recovery":       {Metric: "goodput", Phase: "recovery", Tail: 0.5},
		"p99 response time of get in fault":          {Metric: "response_ms", Stat: "p99", Phase: "fault", Op: "get"},
		"time to recover after fault":                {Metric: "recover_s", Phase: "fault", Name: "baseline"},
		"attempts at db per arrival":                 {Metric: "amplification", Name: "db"},
		"largest burst of rebuild in fault":          {Metric: "span", Name: "rebuild", Stat: "burst_max", Phase: "fault"},
		"max up in the last 20 % of fault":           {Metric: "series", Name: "up", Stat: "max", Phase: "fault", Tail: 0.2},
		"answers marked hit":                         {Metric: "flag", Name: "hit"},
		"p99.9 service time":                         {Metric: "service_ms", Stat: "p99_9"},
		"ok answers in the last quarter of recovery": {Metric: "ok", Phase: "recovery", Tail: 0.25},
	} {
		if got := measure.Describe(q); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

func TestUnits(t *testing.T) {
	for want, qs := range map[string][]bench.Query{
		measure.Share:     {{Metric: "goodput"}, {Metric: "flag"}},
		measure.Millis:    {{Metric: "response_ms"}, {Metric: "span", Stat: "p99_ms"}},
		measure.PerSecond: {{Metric: "throughput_per_s"}, {Metric: "span", Stat: "rate"}},
		measure.Spans:     {{Metric: "span", Stat: "count"}, {Metric: "span", Stat: "burst_max"}},
		"":                {{Metric: "series"}, {Metric: "span", Stat: "value_mean"}, {Metric: "unknown"}},
	} {
		for _, q := range qs {
			if got := measure.UnitOf(q); got != want {
				t.Errorf("%+v is in %q, want %q", q, got, want)
			}
		}
	}
}
