package loadrun

import (
	"strings"
	"testing"
	"time"

	"shakedown/bench"
	"shakedown/bench/load"
)

func slo(t *testing.T, text string) SLO {
	t.Helper()
	s, err := ParseSLO(text)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestAnSLOIsReadAsItIsWritten(t *testing.T) {
	for text, want := range map[string]string{
		"p99<50ms,goodput>99%":                    "p99<50ms goodput>99%",
		"p99.9 <= 1.5s , errors < 0.1%":           "p99.9<=1.5s errors<0.1%",
		"p50<800us,max<2s,mean<1ms,goodput>=100%": "p50<800µs max<2s mean<1ms goodput>=100%",
		"p99<50ms":  "p99<50ms errors<1%", // or a server that turns everybody away would do
		"errors<0%": "errors<0%",
	} {
		var got []string
		for _, term := range slo(t, text) {
			got = append(got, term.String())
		}
		if strings.Join(got, " ") != want {
			t.Errorf("%q was read as %q, want %q", text, got, want)
		}
	}
}

func TestAnSLOThatMakesNoSenseIsRefused(t *testing.T) {
	for text, want := range map[string]string{
		"":                    "write a metric",
		"p99":                 "write a metric",
		"p98<50ms":            `no metric "p98"; there are p50`,
		"latency<50ms":        `no metric "latency"`,
		"p99<50":              "a positive time with a unit",
		"p99<-1ms":            "a positive time",
		"p99<0s":              "a positive time",
		"p99>50ms":            "p99 wants < or <=",
		"goodput<99%":         "goodput wants > or >=",
		"goodput>0.99":        "a percentage",
		"goodput>101%":        "a percentage",
		"goodput>NaN%":        "a percentage",
		"errors>1%":           "errors wants < or <=",
		"p99<50ms,,p50<1ms":   "write a metric",
		"p99<50ms,p99<60ms":   "p99 stands twice",
		"p99<50ms;goodput>1%": "a positive time",
	} {
		if _, err := ParseSLO(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", text, err, want)
		}
	}
}

// distributions have n answers after each of the given times, in milliseconds, and some users who gave up after timeoutMS.
func distributions(t *testing.T, n int64, ms []int64, gaveUp int64, timeoutMS int64) *load.Distributions {
	t.Helper()
	d := &load.Distributions{Response: load.NewHistogram(), Service: load.NewHistogram(), Lag: load.NewHistogram(), Wait: load.NewHistogram()}
	record := func(ms, n int64) {
		if err := d.Response.RecordValues(ms*1e6, n); err != nil {
			t.Fatal(err)
		}
		if err := d.Service.RecordValues(ms*1e6, n); err != nil {
			t.Fatal(err)
		}
	}
	for _, v := range ms {
		record(v, n)
	}
	ok := n * int64(len(ms))
	if gaveUp > 0 {
		record(timeoutMS, gaveUp)
	}
	d.Censored = gaveUp
	d.Ledger = bench.Ledger{Scheduled: ok + gaveUp, OK: ok, Unsure: gaveUp}
	return d
}

func TestAnSLOIsMetOrMissed(t *testing.T) {
	quick := distributions(t, 100, []int64{1, 2, 3, 4, 5}, 0, 0)
	for _, tc := range []struct {
		name, slo string
		d         *load.Distributions
		want      bool
	}{
		{"within", "p50<=3.01ms,p99<6ms,max<6ms,mean<3.1ms,goodput>=100%,errors<1%", quick, true},
		{"a percentile beyond", "p99<4ms", quick, false},
		{"the mean beyond", "mean<2.9ms", quick, false},
		{"users gave up, but below the percentile", "p99<6ms,goodput>99%", distributions(t, 1000, []int64{1, 2}, 10, 2000), true},
		{"users gave up within the percentile", "p99<6ms,goodput>1%", distributions(t, 1000, []int64{1, 2}, 100, 2000), false},
		{"a bound beyond the time-out, with users who gave up", "p99<5s,goodput>1%", distributions(t, 1000, []int64{1, 2}, 100, 2000), false},
		{"they might be at the top: they were cut off early", "p99<4ms,goodput>1%", distributions(t, 1000, []int64{1, 2, 5}, 100, 1), false},
		{"cut off early, and too few to matter", "p99<6ms,goodput>1%", distributions(t, 1000, []int64{1, 2, 5}, 3, 1), true},
		{"the largest is not known when somebody gave up", "max<5s,goodput>1%", distributions(t, 1000, []int64{1}, 1, 2000), false},
		{"no answer at all", "p99<1h,errors<100%", distributions(t, 0, nil, 0, 0), false},
	} {
		if got := slo(t, tc.slo).Judge(tc.d, 2*time.Second); Met(got) != tc.want {
			t.Errorf("%s: %+v, want met to be %v", tc.name, got, tc.want)
		}
	}
}

func TestAServerThatTurnsEverybodyAwayMeetsNoSLO(t *testing.T) {
	d := distributions(t, 100, []int64{1}, 0, 0)
	d.Ledger = bench.Ledger{Scheduled: 10_000, OK: 100, Refused: 9_900}
	if got := slo(t, "p99<50ms").Judge(d, time.Second); Met(got) {
		t.Errorf("met with 99 %% refused: %+v", got)
	}
}

func FuzzParseSLO(f *testing.F) {
	f.Add("p99<50ms,goodput>99%")
	f.Add("errors<=0.1%")
	f.Fuzz(func(t *testing.T, text string) {
		first, err := ParseSLO(text)
		if err != nil {
			return
		}
		var terms []string
		for _, term := range first {
			terms = append(terms, term.String())
		}
		again, err := ParseSLO(strings.Join(terms, ","))
		if err != nil || len(again) != len(first) {
			t.Errorf("%q reads as %q, which does not read: %v", text, terms, err)
		}
	})
}
