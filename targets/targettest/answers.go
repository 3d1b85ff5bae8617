package targettest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"shakedown/bench"
	"shakedown/targets/serve"
)

// answersEveryOp sends the first request of each operation, as a run would draw it.
func (k trial) answersEveryOp(ctx context.Context, service *process) error {
	var errs []error
	for _, op := range k.workload().Ops {
		w := k.workload()
		w.Ops = []bench.Op{op}
		stream, err := bench.NewStream(w, 1)
		if err != nil {
			return err
		}
		req := stream.Next(0)
		res, err := service.get(ctx, k.grace, req.Method, req.Path)
		if err == nil {
			err = answered(res)
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("operation %s, %s %s: %w", op.Name, req.Method, req.Path, err))
		}
	}
	return errors.Join(errs...)
}

// answered says whether a response is a 2xx whose headers mean something.
func answered(res response) error {
	if res.status < 200 || res.status > 299 {
		return fmt.Errorf("answered %d: %s", res.status, bytes.TrimSpace(res.body))
	}
	if o := res.header.Get(serve.HeaderOutcome); o != "" && o != bench.Degraded.String() {
		return fmt.Errorf("%d with %s: %s; an answer is ok (no header) or degraded", res.status, serve.HeaderOutcome, o)
	}
	if f := res.header.Get(serve.HeaderFlags); bench.ParseFlags(f).String() != f {
		return fmt.Errorf("%s: %s has flags that nobody knows", serve.HeaderFlags, f)
	}
	if v := res.header.Get(serve.HeaderValue); v != "" {
		if _, err := strconv.ParseInt(v, 10, 64); err != nil {
			return fmt.Errorf("%s: %w", serve.HeaderValue, err)
		}
	}
	return nil
}

// A label with more values than maxValues, after manyKeys different keys were asked for, grows with the data.
const (
	manyKeys  = 24
	maxValues = 16
)

// unboundedLabels are names that promise no bound, whatever values a short test sees.
var unboundedLabels = []string{"key", "id", "path", "url", "user", "query"}

// keysOf is how many keys an operation is asked for; one whose path has none is asked once more.
func keysOf(op bench.Op) int64 {
	if !strings.Contains(op.Path, "{key}") {
		return 1
	}
	return manyKeys
}

// metricsAreBounded asks for many keys and then looks at /metrics.
func (k trial) metricsAreBounded(ctx context.Context, service *process) error {
	for _, op := range k.workload().Ops {
		method := op.Method
		if method == "" {
			method = "GET"
		}
		for i := range keysOf(op) {
			key := strconv.FormatInt(op.Keys.From+i%max(op.Keys.N, 1), 10)
			if _, err := service.get(ctx, k.grace, method, strings.Replace(op.Path, "{key}", key, 1)); err != nil {
				return fmt.Errorf("operation %s, key %s: %w", op.Name, key, err)
			}
		}
	}
	res, err := service.get(ctx, k.grace, "GET", "/metrics")
	if err != nil {
		return fmt.Errorf("scraping: %w", err)
	}
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(bytes.NewReader(res.body))
	if err != nil {
		return fmt.Errorf("/metrics does not parse: %w", err)
	}
	errs := []error{k.hasRED(families)}
	for _, family := range families {
		if strings.HasPrefix(family.GetName(), "shakedown_") {
			errs = append(errs, bounded(family), wellNamed(family))
		}
	}
	return errors.Join(errs...)
}

func (k trial) hasRED(families map[string]*dto.MetricFamily) error {
	var errs []error
	for _, name := range []string{"shakedown_requests_total", "shakedown_request_seconds", "shakedown_in_flight_requests"} {
		if families[name] == nil {
			errs = append(errs, fmt.Errorf("/metrics has no %s", name))
		}
	}
	var counted float64 // a service may know several operations of the workload under one name, when they share a route
	for _, m := range families["shakedown_requests_total"].GetMetric() {
		counted += m.GetCounter().GetValue()
	}
	sent := 0.0
	for _, op := range k.workload().Ops {
		sent += float64(1 + keysOf(op)) // the first was to see whether it is answered
	}
	if counted < sent {
		errs = append(errs, fmt.Errorf("shakedown_requests_total counts %v of the %v requests that were sent", counted, sent))
	}
	return errors.Join(errs...)
}

func bounded(family *dto.MetricFamily) error {
	values := map[string]map[string]bool{}
	for _, m := range family.GetMetric() {
		for _, l := range m.GetLabel() {
			if values[l.GetName()] == nil {
				values[l.GetName()] = map[string]bool{}
			}
			values[l.GetName()][l.GetValue()] = true
		}
	}
	var errs []error
	for label, seen := range values {
		if len(seen) > maxValues || slices.Contains(unboundedLabels, label) {
			errs = append(errs, fmt.Errorf("the label %s of %s is not bounded: it has %d values after a few requests",
				label, family.GetName(), len(seen)))
		}
	}
	return errors.Join(errs...)
}

func wellNamed(family *dto.MetricFamily) error {
	problems, err := promlint.NewWithMetricFamilies([]*dto.MetricFamily{family}).Lint()
	errs := make([]error, 0, 1+len(problems))
	errs = append(errs, err)
	for _, p := range problems {
		errs = append(errs, fmt.Errorf("%s: %s", p.Metric, p.Text))
	}
	return errors.Join(errs...)
}
