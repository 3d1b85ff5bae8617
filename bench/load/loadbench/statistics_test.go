package main

import (
	"math"
	"testing"
)

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
