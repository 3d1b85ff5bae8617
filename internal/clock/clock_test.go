package clock

import (
	"context"
	"errors"
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

func TestASleepEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	if err := Sleep(ctx, time.Millisecond); err != nil {
		t.Error(err)
	}
	cancel()
	for _, d := range []time.Duration{-1, 0, time.Hour} {
		if err := Sleep(ctx, d); !errors.Is(err, context.Canceled) {
			t.Errorf("%v: %v", d, err)
		}
	}
}
