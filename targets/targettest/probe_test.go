package targettest

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"shakedown/bench"
	"shakedown/targets/serve"
)

type probeRun = func(context.Context, bench.Env, json.RawMessage) (bench.Audit, error)

// toyProbe asks nothing, and answers.
func toyProbe(_ context.Context, _ bench.Env, raw json.RawMessage) (bench.Audit, error) {
	c, err := serve.Decode[toyConfig](raw)
	return bench.Audit{Of: 1, Numbers: map[string]float64{"size": float64(c.Size)}}, err
}

func probePattern(run probeRun) bench.Pattern {
	return bench.Pattern{
		Name: "toy/probe", Title: "A toy", Summary: "It is asked.",
		Claims: []bench.Claim{{ID: "toy/probe#1", Text: "It has a size.", Expect: bench.Confirmed}},
		Probes: map[string]bench.Probe{"size": {Run: run, Config: toyConfig{}}},
		Experiments: []bench.Experiment{{
			Name: "toy/probe/size", Question: "How large is it?", Probe: "size", Engines: []bench.EngineSpec{{Name: "engine"}},
			Variants: []bench.Variant{{Name: "small", Config: toyConfig{1}}, {Name: "large", Config: toyConfig{9}}},
			Checks: []bench.Check{{
				Claim: "toy/probe#1", Text: "large", Rel: bench.AtLeast, Bound: 1, Of: bench.Query{Variant: "large", Metric: "audit", Name: "size"},
			}},
		}},
	}
}

func TestAPatternWithAProbeNeedsNoService(t *testing.T) {
	Run(t, probePattern(toyProbe), fakeEngines{})
}

func TestBrokenProbesFailWhereTheyAreBroken(t *testing.T) {
	letGo := make(chan struct{})
	defer close(letGo)
	runs := 0
	for _, tt := range []struct {
		name, promise, says string
		run                 probeRun
	}{
		{"takes unknown configuration", "unknown configuration", "no_such_field", func(context.Context, bench.Env, json.RawMessage) (bench.Audit, error) {
			return bench.Audit{}, nil
		}},
		{"does not say what is asked", "the probe answers what", `asks for "size"`, func(ctx context.Context, env bench.Env, raw json.RawMessage) (bench.Audit, error) {
			a, err := toyProbe(ctx, env, raw)
			a.Numbers = nil
			return a, err
		}},
		{"answers nothing", "the probe answers what", "how many questions", func(ctx context.Context, env bench.Env, raw json.RawMessage) (bench.Audit, error) {
			a, err := toyProbe(ctx, env, raw)
			a.Of = 0
			return a, err
		}},
		{"leaks", "the probe answers what", "goroutines that it started have not", func(ctx context.Context, env bench.Env, raw json.RawMessage) (bench.Audit, error) {
			go func() { <-letGo }()
			return toyProbe(ctx, env, raw)
		}},
		{"answers once", "the probe answers again", "table exists", func(ctx context.Context, env bench.Env, raw json.RawMessage) (bench.Audit, error) {
			a, err := toyProbe(ctx, env, raw)
			if err == nil {
				if runs++; runs > 1 {
					err = errors.New("table exists")
				}
			}
			return a, err
		}},
		{"waits for the dead", "a dead engine", "waits for a dead engine", func(ctx context.Context, env bench.Env, raw json.RawMessage) (bench.Audit, error) {
			a, err := toyProbe(ctx, env, raw)
			if serve.AnswersReady(env.URLs["engine"])(ctx) != nil {
				<-ctx.Done()
			}
			return a, err
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			urls := map[string]string{"engine": fakeEngines{}.URL(t, "engine")}
			for _, promise := range subjects(probePattern(tt.run))[1].promises(urls, time.Second) {
				err := promise.keep(t.Context())
				if !strings.HasPrefix(promise.name, tt.promise) {
					continue
				}
				if err == nil || !strings.Contains(err.Error(), tt.says) {
					t.Errorf("%s: the kit says %v, want %q", promise.name, err, tt.says)
				}
				return
			}
			t.Errorf("there is no promise %q", tt.promise)
		})
	}
}

func TestAProbeThatThePatternDoesNotHaveIsFound(t *testing.T) {
	p := probePattern(toyProbe)
	p.Experiments[0].Probe = "weight"
	var errs []error
	for _, promise := range declared(p) {
		errs = append(errs, promise.keep(t.Context()))
	}
	if err := errors.Join(errs...); err == nil || !strings.Contains(err.Error(), `no probe "weight"`) {
		t.Errorf("the kit says %v", err)
	}
}
