package run

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"math"
	"net/http"
	"sort"
	"strings"
	"sync"
	"time"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"shakedown/bench/record"
	"shakedown/internal/clock"
)

// scrapeEvery is how often every source is asked. Services answer in about a millisecond.
const scrapeEvery = 250 * time.Millisecond

// A source is something with metrics: a service, the proxy, an engine.
type source struct {
	name   string
	labels map[string]string // added to every series
	ask    func(context.Context) ([]*dto.MetricFamily, error)
}

// scraper asks every source at about the same moments, and keeps what they say as series over the trial's time.
type scraper struct {
	zero    time.Duration
	sources []source

	mu     sync.Mutex
	series map[string]*record.Series
}

func newScraper(zero time.Duration, sources []source) *scraper {
	return &scraper{zero: zero, sources: sources, series: map[string]*record.Series{}}
}

// run scrapes until ctx is done. A source that does not answer has a gap: it may have been killed or frozen on purpose. The
// others do not wait for it.
func (s *scraper) run(ctx context.Context) {
	s.each(func(src source) { s.follow(ctx, src) })
}

func (s *scraper) follow(ctx context.Context, src source) {
	tick := time.NewTicker(scrapeEvery)
	defer tick.Stop()
	for {
		s.ask(ctx, src)
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// once asks every source once.
func (s *scraper) once(ctx context.Context) {
	s.each(func(src source) { s.ask(ctx, src) })
}

func (s *scraper) each(do func(source)) {
	var wg sync.WaitGroup
	for _, src := range s.sources {
		wg.Go(func() { do(src) })
	}
	wg.Wait()
}

func (s *scraper) ask(ctx context.Context, src source) {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	at := clock.Now() - s.zero
	if families, err := src.ask(ctx); err == nil {
		s.keep(at, src.labels, families)
	}
}

// keep adds one scrape. Only what is ours and a few of the runtime's own are kept.
func (s *scraper) keep(at time.Duration, labels map[string]string, families []*dto.MetricFamily) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, f := range families {
		if !wanted(f.GetName()) {
			continue
		}
		for _, m := range f.GetMetric() {
			s.metric(at, labels, f, m)
		}
	}
}

func wanted(name string) bool {
	switch name {
	case "go_goroutines", "process_cpu_seconds_total", "process_resident_memory_bytes", "process_open_fds":
		return true
	}
	return strings.HasPrefix(name, "shakedown_")
}

func (s *scraper) metric(at time.Duration, extra map[string]string, f *dto.MetricFamily, m *dto.Metric) {
	labels := make(map[string]string, len(extra)+len(m.GetLabel())+1)
	for k, v := range extra {
		labels[k] = v
	}
	for _, l := range m.GetLabel() {
		labels[l.GetName()] = l.GetValue()
	}
	name := f.GetName()
	switch f.GetType() {
	case dto.MetricType_COUNTER:
		s.point(at, name, "counter", labels, m.GetCounter().GetValue())
	case dto.MetricType_GAUGE:
		s.point(at, name, "gauge", labels, m.GetGauge().GetValue())
	case dto.MetricType_HISTOGRAM:
		h := m.GetHistogram()
		s.point(at, name+"_sum", "histogram", labels, h.GetSampleSum())
		s.point(at, name+"_count", "histogram", labels, float64(h.GetSampleCount()))
		for _, b := range h.GetBucket() {
			le := "+Inf"
			if !math.IsInf(b.GetUpperBound(), 1) {
				le = fmt.Sprint(b.GetUpperBound())
			}
			s.point(at, name+"_bucket", "histogram", withLabel(labels, "le", le), float64(b.GetCumulativeCount()))
		}
	case dto.MetricType_UNTYPED:
		s.point(at, name, "untyped", labels, m.GetUntyped().GetValue())
	}
}

func withLabel(labels map[string]string, k, v string) map[string]string {
	out := make(map[string]string, len(labels)+1)
	for a, b := range labels {
		out[a] = b
	}
	out[k] = v
	return out
}

func (s *scraper) point(at time.Duration, name, kind string, labels map[string]string, v float64) {
	key := seriesKey(name, labels)
	series, ok := s.series[key]
	if !ok {
		series = &record.Series{Name: name, Labels: labels, Type: kind}
		s.series[key] = series
	}
	series.Points = append(series.Points, record.Point{At: at, V: v})
}

func seriesKey(name string, labels map[string]string) string {
	keys := make([]string, 0, len(labels))
	for k := range labels {
		keys = append(keys, k)
	}
	sort.Strings(keys)
	var b strings.Builder
	b.WriteString(name)
	for _, k := range keys {
		b.WriteByte(0)
		b.WriteString(k)
		b.WriteByte(0)
		b.WriteString(labels[k])
	}
	return b.String()
}

// all is every series, in the order of their names and labels.
func (s *scraper) all() []record.Series {
	s.mu.Lock()
	defer s.mu.Unlock()
	keys := make([]string, 0, len(s.series))
	for k := range s.series {
		keys = append(keys, k)
	}
	sort.Strings(keys)
	out := make([]record.Series, 0, len(keys))
	for _, k := range keys {
		out = append(out, *s.series[k])
	}
	return out
}

// overHTTP asks a /metrics endpoint.
func overHTTP(client *http.Client, url string) func(context.Context) ([]*dto.MetricFamily, error) {
	return func(ctx context.Context) ([]*dto.MetricFamily, error) {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
		if err != nil {
			return nil, err
		}
		resp, err := client.Do(req)
		if err != nil {
			return nil, err
		}
		defer func() { _ = resp.Body.Close() }()
		body, err := io.ReadAll(io.LimitReader(resp.Body, 16<<20))
		if err != nil {
			return nil, err
		}
		if resp.StatusCode != http.StatusOK {
			return nil, fmt.Errorf("%s answered %s", url, resp.Status)
		}
		return parseText(body)
	}
}

func parseText(body []byte) ([]*dto.MetricFamily, error) {
	parser := expfmt.NewTextParser(model.UTF8Validation)
	byName, err := parser.TextToMetricFamilies(bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	families := make([]*dto.MetricFamily, 0, len(byName))
	for _, f := range byName {
		families = append(families, f)
	}
	return families, nil
}
