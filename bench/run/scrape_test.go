package run

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	dto "github.com/prometheus/client_model/go"

	"shakedown/internal/clock"
	"shakedown/internal/stack"
)

const scraped = `# TYPE shakedown_requests_total counter
shakedown_requests_total{op="get"} 3
shakedown_requests_total{op="put"} 4
# TYPE shakedown_pool_in_use gauge
shakedown_pool_in_use 5
# TYPE shakedown_request_seconds histogram
shakedown_request_seconds_bucket{le="0.005"} 1
shakedown_request_seconds_bucket{le="+Inf"} 2
shakedown_request_seconds_sum 0.25
shakedown_request_seconds_count 2
shakedown_odd 6
# TYPE go_goroutines gauge
go_goroutines 7
# TYPE go_gc_cycles_total counter
go_gc_cycles_total 8
`

func text(body string) func(context.Context) ([]*dto.MetricFamily, error) {
	return func(context.Context) ([]*dto.MetricFamily, error) { return parseText([]byte(body)) }
}

// lines are all series and their values, one a line.
func lines(s *scraper) []string {
	var all []string
	for _, series := range s.all() {
		values := make([]float64, len(series.Points))
		for i, p := range series.Points {
			values[i] = p.V
		}
		all = append(all, fmt.Sprint(series.Type, " ", series.Name, " ", series.Labels, " ", values))
	}
	return all
}

func TestWhatIsScrapedBecomesSeriesByNameAndLabels(t *testing.T) {
	s := newScraper(clock.Now(), []source{{labels: map[string]string{"instance": "service-0"}, ask: text(scraped)}})
	s.once(t.Context())
	s.once(t.Context())
	wantActs(t, lines(s),
		"gauge go_goroutines map[instance:service-0] [7 7]",
		"untyped shakedown_odd map[instance:service-0] [6 6]",
		"gauge shakedown_pool_in_use map[instance:service-0] [5 5]",
		"histogram shakedown_request_seconds_bucket map[instance:service-0 le:+Inf] [2 2]",
		"histogram shakedown_request_seconds_bucket map[instance:service-0 le:0.005] [1 1]",
		"histogram shakedown_request_seconds_count map[instance:service-0] [2 2]",
		"histogram shakedown_request_seconds_sum map[instance:service-0] [0.25 0.25]",
		"counter shakedown_requests_total map[instance:service-0 op:get] [3 3]",
		"counter shakedown_requests_total map[instance:service-0 op:put] [4 4]",
	)
	for _, series := range s.all() {
		if a, b := series.Points[0].At, series.Points[1].At; a < 0 || b < a {
			t.Errorf("%s was scraped at %v and %v", series.Name, a, b)
		}
	}
}

func TestASourceThatFailsLeavesAGapAndNoSeriesOfItsOwn(t *testing.T) {
	n := 0
	flaky := func(ctx context.Context) ([]*dto.MetricFamily, error) {
		if n++; n == 2 {
			return nil, errors.New("killed")
		}
		return text(fmt.Sprintf("shakedown_up %d\n", n))(ctx)
	}
	s := newScraper(clock.Now(), []source{{ask: flaky}, {ask: text("shakedown_other 1\n")}})
	for range 3 {
		s.once(t.Context())
	}
	wantActs(t, lines(s), "untyped shakedown_other map[] [1 1 1]", "untyped shakedown_up map[] [1 3]")
}

func TestASourceThatHangsHoldsUpNoOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		asked := 0
		s := newScraper(clock.Now(), []source{
			{ask: func(ctx context.Context) ([]*dto.MetricFamily, error) { <-ctx.Done(); return nil, ctx.Err() }},
			{ask: func(context.Context) ([]*dto.MetricFamily, error) { asked++; return nil, nil }},
		})
		ctx, cancel := context.WithTimeout(t.Context(), 10*scrapeEvery+scrapeEvery/2) // of the bubble's time
		defer cancel()
		s.run(ctx)
		if asked != 11 {
			t.Errorf("the healthy source was asked %d times, want 11", asked)
		}
	})
}

func TestTheSameLabelsInAnotherPlaceAreAnotherSeries(t *testing.T) {
	a := seriesKey("m", map[string]string{"a": "b", "c": "d"})
	for _, other := range []map[string]string{{"a": "bc", "": "d"}, {"a": "b"}, {"c": "b", "a": "d"}, {"ab": "", "c": "d"}} {
		if seriesKey("m", other) == a {
			t.Errorf("%v has the key of another series", other)
		}
	}
	if seriesKey("m", map[string]string{"c": "d", "a": "b"}) != a {
		t.Error("the order of labels decides")
	}
}

func TestAnEnginesStatisticsAreScrapedLikeMetrics(t *testing.T) {
	failed := errors.New("half of it")
	found, err := families([]stack.Stat{
		{Name: "shakedown_x_total", Type: "counter", Value: 2, Labels: map[string]string{"db": "a"}},
		{Name: "shakedown_y", Type: "gauge", Value: math.Inf(1)},
	}, failed)
	if !errors.Is(err, failed) {
		t.Errorf("the error became %v", err)
	}
	s := newScraper(0, nil)
	s.keep(time.Second, map[string]string{"engine": "x"}, found)
	wantActs(t, lines(s), "counter shakedown_x_total map[db:a engine:x] [2]", "gauge shakedown_y map[engine:x] [+Inf]")
}

func TestAnAnswerThatIsNoScrapeIsAnError(t *testing.T) {
	answer := func(status int, body string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(status)
			_, _ = w.Write([]byte(body))
		}
	}
	for _, tt := range []struct {
		name    string
		handler http.HandlerFunc
		ok      bool
	}{
		{"metrics", answer(http.StatusOK, scraped), true},
		{"an error's page", answer(http.StatusInternalServerError, scraped), false},
		{"something else", answer(http.StatusOK, "<html>"), false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			server := httptest.NewServer(tt.handler)
			defer server.Close()
			if _, err := overHTTP(server.Client(), server.URL)(t.Context()); (err == nil) != tt.ok {
				t.Errorf("asking says %v", err)
			}
		})
	}
	if _, err := overHTTP(http.DefaultClient, "http://\x00")(t.Context()); err == nil || !strings.Contains(err.Error(), "invalid") {
		t.Errorf("an address that is none: %v", err)
	}
}
