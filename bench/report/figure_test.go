package report

import (
	"math"
	"slices"
	"strings"
	"testing"

	"shakedown/bench/verdict"
)

func TestNumbersHaveThreeSignificantFigures(t *testing.T) {
	for v, want := range map[float64]string{
		0: "0", 1: "1", 412: "412", 1234567: "1,234,567", 0.45: "0.450", 12.34: "12.3", 123.4: "123", 0.00012: "0.00012",
		-1234.5: "−1,234", 999.96: "1,000", math.Inf(1): "∞", math.Inf(-1): "−∞", math.NaN(): "–", 2e9: "2e+09",
	} {
		if got := number(v); got != want {
			t.Errorf("number(%v) = %q, want %q", v, got, want)
		}
	}
}

func TestFiguresShowTheirIntervalAndItsShape(t *testing.T) {
	est := func(v, lo, hi float64) verdict.Estimate { return verdict.Estimate{Value: v, Lo: &lo, Hi: &hi} }
	for want, e := range map[string]verdict.Estimate{
		"12.3 ±0.4":        est(12.3, 11.9, 12.7),
		"12.3 [11.9–13.8]": est(12.3, 11.9, 13.8),
		"412 ±18":          est(412, 394, 430),
		"3.00 ±0.002":      est(3.001, 2.999, 3.003),
		"0.00 [0.00–1.50]": est(0, 0, 1.5),
		"5 ±0":             est(5, 5, 5),
		"≥ 30":             {Value: 30, Censored: true},
		"≤ 30":             {Value: 30, Below: true},
		"≈ 30":             {Value: 30, Below: true, Censored: true},
		"~ 1.02":           {Value: 1.02, Tilde: true},
		"–":                {Missing: true},
	} {
		if got := (scale{1, ""}).figure(e); got != want {
			t.Errorf("figure(%+v) = %q, want %q", e, got, want)
		}
	}
}

func TestAColumnHasOneUnitInWhichItsValuesRead(t *testing.T) {
	for _, test := range []struct {
		unit   string
		values []float64
		want   string
	}{
		{"s", []float64{0.012, 1.2}, "ms"},
		{"s", []float64{2, 30}, "s"},
		{"s", []float64{0}, "s"},
		{"s", []float64{2e-6, 300}, "s"}, // in µs the largest would have nine digits
		{"ms", []float64{0.4, 0}, "µs"},
		{"ms", []float64{math.NaN(), math.Inf(1), 3}, "ms"},
		{"B", []float64{3 << 20}, "MiB"},
		{"share", []float64{0.5}, "%"},
		{"rows", []float64{1e6}, "rows"},
	} {
		if got := scaleFor(test.unit, test.values...).unit; got != test.want {
			t.Errorf("%v %s are shown in %s, want %s", test.values, test.unit, got, test.want)
		}
	}
}

func TestWrappedLinesFitAndLoseNoWord(t *testing.T) {
	text := "数据库 answers naïve requests — ＦＵＬＬ width, e\u0301 combined, and averyveryverylongword"
	for most := 8; most < 90; most += 7 {
		lines := wrap(text, most)
		for _, l := range lines {
			if columns(l) > most && strings.Contains(l, " ") {
				t.Errorf("%q takes %d columns of %d", l, columns(l), most)
			}
		}
		if got := strings.Fields(strings.Join(lines, " ")); !slices.Equal(got, strings.Fields(text)) {
			t.Errorf("at %d columns the words are %q", most, got)
		}
	}
	if n := columns("数e\u0301"); n != 3 {
		t.Errorf("a wide and a combined character take %d columns, want 3", n)
	}
}

func TestAxesKeepEveryValueInside(t *testing.T) {
	for _, values := range [][]float64{{1, 2}, {0.001, 1000}, {-5, 5}, {7}, {0}, {0, 1e6}} {
		a, ok := axisFor(values...)
		if !ok {
			t.Fatalf("no axis for %v", values)
		}
		for _, v := range values {
			if at := a.at(v); at <= 0 || at >= 100 {
				t.Errorf("%v of %v lies at %v %%", v, values, at)
			}
		}
	}
	if _, ok := axisFor(math.NaN(), math.Inf(1)); ok {
		t.Error("there is an axis for no numbers")
	}
}

func TestTheCommandSurvivesAShell(t *testing.T) {
	got := shell([]string{"shakedown", "run", "a b", "it's", "", "p=5ms", "$HOME"})
	if want := `shakedown run 'a b' 'it'\''s' '' p=5ms '$HOME'`; got != want {
		t.Errorf("shell = %s, want %s", got, want)
	}
}
