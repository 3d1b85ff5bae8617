package clock

import (
	"testing"
	"time"
)

func TestNowIsTheMachinesMonotonicClock(t *testing.T) {
	for range 1000 {
		before, now, after := monotonic(), Now(), monotonic()
		const slack = 5 * time.Microsecond // to which the two were aligned at the start of the process
		if now < before-slack || now > after+slack {
			t.Fatalf("Now is %v; the machine's clock said %v before and %v after", now, before, after)
		}
	}
}

func BenchmarkNow(b *testing.B) {
	for b.Loop() {
		_ = Now()
	}
}

func BenchmarkSystemCall(b *testing.B) {
	for b.Loop() {
		_ = monotonic()
	}
}
