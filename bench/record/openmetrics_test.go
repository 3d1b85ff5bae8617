package record

import (
	"bytes"
	"compress/gzip"
	"flag"
	"io"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"testing"
	"testing/quick"
	"time"
)

var update = flag.Bool("update", false, "write golden files anew")

func text(t testing.TB, series []Series) []byte {
	t.Helper()
	var zipped bytes.Buffer
	must(t, writeSeries(&zipped, started, series))
	r, err := gzip.NewReader(&zipped)
	must(t, err)
	b, err := io.ReadAll(r)
	must(t, err)
	return b
}

// Checked by hand against `promtool tsdb create-blocks-from openmetrics`, which takes it.
func TestSeriesAreOpenMetricsText(t *testing.T) {
	series := []Series{
		{Name: "shakedown_pool_in_use", Type: "gauge", Labels: map[string]string{"pool": `a "b\c"` + "\n", "instance": "service-1"}, Points: []Point{{0, 1}}},
		{Name: "shakedown_hits_total", Type: "counter", Labels: map[string]string{"instance": "service-0"}, Points: []Point{{time.Second, 5}, {0, 0}}},
		{Name: "shakedown_wait_seconds_sum", Type: "histogram", Points: []Point{{0, 0.25}}},
		{Name: "shakedown_wait_seconds_bucket", Type: "histogram", Labels: map[string]string{"le": "+Inf"}, Points: []Point{{0, 3}}},
		{Name: "shakedown_wait_seconds_count", Type: "histogram", Points: []Point{{0, 3}}},
		{Name: "pg_xact_commit", Type: "counter", Points: []Point{{0, 12}}},
		{Name: "shakedown_pool_in_use", Type: "gauge", Labels: map[string]string{"instance": "service-0"}, Points: []Point{{0, math.Inf(1)}}},
		{Name: "up", Type: "untyped", Points: []Point{{-200 * time.Millisecond, 1}}},
		{Name: "shakedown_hits", Type: "gauge", Points: []Point{{0, 2}}}, // the family of the counter, another type
	}
	got := text(t, series)
	golden := filepath.Join("testdata", "series.om")
	if *update {
		must(t, os.WriteFile(golden, got, 0o600))
	}
	want, err := os.ReadFile(golden)
	must(t, err)
	if !bytes.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	var zipped bytes.Buffer
	must(t, writeSeries(&zipped, started, series))
	back, err := readSeries(&zipped, started)
	must(t, err)
	if len(back) != len(series) {
		t.Errorf("%d series back of %d", len(back), len(series))
	}
	for _, s := range back {
		if s.Name == "pg_xact_commit" && s.Type != "counter" || s.Name == "shakedown_hits" && s.Type != "gauge" {
			t.Errorf("%s came back as %q", s.Name, s.Type)
		}
	}
}

func TestAnySeriesComesBackExactly(t *testing.T) {
	property := func(kind uint8, label string, values []float64, offsets []int32) bool {
		kinds := []string{"counter", "gauge", "histogram", "untyped", "info"}
		s := Series{Name: "a:b_c", Type: kinds[int(kind)%len(kinds)], Labels: map[string]string{"l": label, "m": "x y} 1 2"}}
		if s.validate() != nil {
			return true
		}
		var at time.Duration
		for i, v := range values {
			if i < len(offsets) {
				at += time.Duration(uint32(offsets[i])) + 1
				s.Points = append(s.Points, Point{At: at, V: v})
			}
		}
		if len(s.Points) == 0 {
			return true
		}
		var b bytes.Buffer
		must(t, writeSeries(&b, started, []Series{s}))
		back, err := readSeries(&b, started)
		return err == nil && reflect.DeepEqual(back, []Series{s})
	}
	if err := quick.Check(property, &quick.Config{MaxCount: 500}); err != nil {
		t.Error(err)
	}
}

func TestSeriesThatPrometheusWouldRefuseAreRefused(t *testing.T) {
	for _, s := range []Series{
		{Name: ""},
		{Name: "1up"},
		{Name: "a b"},
		{Name: "a", Labels: map[string]string{"le-x": "1"}},
		{Name: "a", Labels: map[string]string{"a:b": "1"}},
		{Name: "a", Labels: map[string]string{"a": "\xff"}},
		{Name: "a", Type: "x\ny"},
	} {
		if s.validate() == nil {
			t.Errorf("%+v is taken", s)
		}
	}
}

func FuzzSeries(f *testing.F) {
	f.Add(text(f, exampleSeries))
	f.Add([]byte("# TYPE a gauge\na{b=\"c\\\"\"} 1 2.000000000\n# EOF\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		var zipped bytes.Buffer
		zw := gzip.NewWriter(&zipped)
		_, werr := zw.Write(b)
		must(t, werr)
		must(t, zw.Close())
		series, err := readSeries(&zipped, started)
		if err == nil && len(series) == 0 && len(b) > 1<<16 {
			t.Fatal("a long text without series is no error")
		}
	})
}
