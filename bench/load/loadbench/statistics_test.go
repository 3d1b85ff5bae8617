package main

import (
	"math"
	"slices"
	"testing"
)

func TestTheMiddleOfSeveralValues(t *testing.T) {
	for _, tc := range []struct {
		values []float64
		want   string
	}{
		{[]float64{3, 1, 2}, "2.0 (1.0–3.0)"},
		{[]float64{4, 1, 2, 3}, "2.5 (1.0–4.0)"},
		{[]float64{7}, "7.0"},
		{nil, "–"},
	} {
		if got := middleOf(tc.values).in("%.1f"); got != tc.want {
			t.Errorf("of %v: %q, want %q", tc.values, got, tc.want)
		}
	}
}

func TestRatiosAreOfTheSameRound(t *testing.T) {
	if got := ratios([]float64{1, 4, 9}, []float64{2, 2}); !slices.Equal(got, []float64{0.5, 2}) {
		t.Errorf("%v", got)
	}
	if got := ratios([]float64{1}, []float64{0}); got != nil {
		t.Errorf("of nothing: %v", got)
	}
}

func TestMillisecondsHaveThreeDigits(t *testing.T) {
	for v, want := range map[float64]string{0.0123: "0.012", 1.234: "1.23", 12.34: "12.3", 123.4: "123"} {
		if got := ms(v); got != want {
			t.Errorf("ms(%v) = %q, want %q", v, got, want)
		}
	}
	if ms(math.NaN()) != "–" {
		t.Error("what is not known has a value")
	}
}
