package loadrun

import (
	"bytes"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"shakedown/bench/load/result"
	"shakedown/bench/run"
	"shakedown/internal/exit"
	"shakedown/targets/targettest"
)

var engines targettest.Shared

func TestMain(m *testing.M) { os.Exit(engines.Main(m)) }

// ran runs a short load that prints JSON; the machine may be too busy for it to be valid.
func ran(t *testing.T, o Options, flags ...string) (result.Result, error) {
	t.Helper()
	var out, progress bytes.Buffer
	o.Duration, o.Warmup, o.Format = 500*time.Millisecond, 100*time.Millisecond, "json"
	err := Run(t.Context(), o.with(append(flags, "duration", "warmup")...), strings.NewReader(""), &out, &progress)
	var status exit.Status
	if err != nil && !errors.As(err, &status) {
		t.Fatal(err)
	}
	var r result.Result
	if err := json.Unmarshal(out.Bytes(), &r); err != nil {
		t.Fatalf("%v in %q", err, out.String())
	}
	return r, err
}

func TestDatabasesAreAskedOnTheSameSchedule(t *testing.T) {
	for name, o := range map[string]Options{
		"postgres": {SQL: "select $1::int + $2::int", Args: []string{"zipf:1:1000:0.99", "uniform:1:9"}},
		"redis":    {Command: "SET shakedown:{{zipf 1 100 0.99}} 'a value'"},
	} {
		t.Run(name, func(t *testing.T) {
			d := defaults(engines.URL(t, name))
			d.SQL, d.Args, d.Command, d.Rate, d.Connections, d.Seed = o.SQL, o.Args, o.Command, "300", 4, 3
			flag := map[string]string{"postgres": "sql", "redis": "command"}[name]
			r, _ := ran(t, d, "rate", "seed", "connections", flag)
			j := makeJob(t, d)
			j.shape.length, j.shape.warmup = 500*time.Millisecond, 100*time.Millisecond
			want, err := j.shape.scheduled(3)
			if err != nil || r.Ledger.Scheduled != want || r.Ledger.OK != want || r.ConnWaitMS == nil || r.Connections != 4 {
				t.Errorf("want %d ok, and the wait for one of 4 connections (%v), got %+v, %+v, causes %v", want, err, r.Ledger, r, r.Causes)
			}
		})
	}
}

func TestADatabaseThatTurnsTheLoadAwayIsBadInput(t *testing.T) {
	for _, tc := range []struct {
		engine, want string
		spoil        func(*Options, *url.URL)
	}{
		{"postgres", `"selekt": ERROR: syntax error`, func(o *Options, _ *url.URL) { o.SQL = "selekt" }},
		{"postgres", "has 1 parameters, and 0 arguments are given", func(o *Options, _ *url.URL) { o.SQL = "select $1::int" }},
		{"postgres", `database "nowhere" does not exist`, func(_ *Options, u *url.URL) { u.Path = "/nowhere" }},
	} {
		u, err := url.Parse(engines.URL(t, tc.engine))
		if err != nil {
			t.Fatal(err)
		}
		o := defaults()
		o.SQL = "select 1"
		tc.spoil(&o, u)
		o.URLs = []string{u.String()}
		err = Run(t.Context(), o.with("sql"), strings.NewReader(""), new(bytes.Buffer), new(bytes.Buffer))
		var input *run.InputError
		if !errors.As(err, &input) || !strings.Contains(err.Error(), tc.want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%v; want one line of bad input with %q", err, tc.want)
		}
	}
}

func TestASearchReportsItsTrials(t *testing.T) {
	var asked atomic.Int64
	o := defaults(serve(t, func(w http.ResponseWriter, _ *http.Request) {
		asked.Add(1)
		w.WriteHeader(http.StatusServiceUnavailable)
	}))
	o.Search, o.SLO, o.Rate = true, "p99<1h", "8"
	r, err := ran(t, o, "search", "slo", "rate")
	if r.Search == nil || r.Search.KneePerS != nil || len(r.Search.Trials) < 2 || asked.Load() == 0 {
		t.Fatalf("a server that turns everybody away meets no SLO at any rate: %+v", r.Search)
	}
	if want := exit.Status(exit.Unexpected); r.Search.Limit == "nothing" && !errors.Is(err, want) {
		t.Errorf("%v, want %v", err, want)
	}
	if r.Arrival == "" || !r.Ledger.Balances() || r.Ledger.OK != 0 {
		t.Errorf("the last trial should be reported in full: %+v", r)
	}
}
