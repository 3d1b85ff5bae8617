package benchmark

import "testing"

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
		if got := MiddleOf(tc.values).In("%.1f"); got != tc.want {
			t.Errorf("of %v: %q, want %q", tc.values, got, tc.want)
		}
	}
}

func TestRatiosAreOfTheSameRound(t *testing.T) {
	for want, rounds := range map[string][2][]float64{
		"2.5 (2.0–3.0)": {{2, 9, 5}, {1, 3, 0}},
		"0.5":           {{1, 4}, {2}},
		"–":             {{1}, {0}},
	} {
		if got := Ratio(rounds[0], rounds[1]).In("%.1f"); got != want {
			t.Errorf("%v: %q, want %q", rounds, got, want)
		}
	}
}
