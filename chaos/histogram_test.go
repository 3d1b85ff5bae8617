package chaos

import (
	"encoding/json"
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"
	"time"
)

func TestABucketHoldsTimesNearItsMiddle(t *testing.T) {
	last := -1
	for us := time.Duration(0); us < 60_000_000_000; us = us*101/100 + 1 {
		d := us * time.Microsecond
		b := Bucket(d)
		if b < last || b >= Buckets {
			t.Fatalf("%v is in bucket %d, after %d", d, b, last)
		}
		last = b
		if off := (Middle(b) - d).Abs(); off > max(time.Microsecond, d/200) {
			t.Fatalf("the middle of %v's bucket is %v", d, Middle(b))
		}
	}
	if Bucket(-time.Second) != 0 || Bucket(1<<62) != Buckets-1 {
		t.Error("times out of range are in no bucket at the ends")
	}
}

func TestQuantilesAreThoseOfTheTimes(t *testing.T) {
	rng := rand.New(rand.NewPCG(4, 4))
	h, times := Histogram{}, []time.Duration{}
	for range 5000 {
		d := time.Duration(rng.ExpFloat64() * float64(20*time.Millisecond))
		h.Add(d)
		times = append(times, d)
	}
	slices.Sort(times)
	for _, q := range []float64{0, 0.5, 0.99, 1} {
		want := times[max(0, int(q*5000)-1)]
		if got := h.Quantile(q); (got - want).Abs() > max(time.Microsecond, want/100) {
			t.Errorf("quantile %v is %v, want %v", q, got, want)
		}
	}
	if (Histogram{}).Quantile(0.5) != 0 {
		t.Error("the median of nothing")
	}
}

func TestTheDifferenceOfHistogramsIsWhatCameBetween(t *testing.T) {
	before := Histogram{}
	before.Add(time.Millisecond)
	after := Histogram{}
	after.Merge(before, 1)
	after.Add(time.Second)
	after.Merge(before, -1)
	if want := (Histogram{Bucket(time.Second): 1}); !reflect.DeepEqual(after, want) {
		t.Errorf("got %v, want %v", after, want)
	}
	text, err := json.Marshal(after)
	var back Histogram
	if err != nil || json.Unmarshal(text, &back) != nil || !reflect.DeepEqual(back, after) {
		t.Errorf("%s came back as %v, %v", text, back, err)
	}
}
