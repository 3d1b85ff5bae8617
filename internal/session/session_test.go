package session

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"shakedown/bench"
	"shakedown/bench/record"
	"shakedown/bench/run"
	"shakedown/bench/verdict"
	"shakedown/internal/exit"
	"shakedown/targets/catalog"
)

var noon = time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC)

// everyExperiment calls f with each experiment of the catalog.
func everyExperiment(t *testing.T, f func(t *testing.T, p bench.Pattern, e bench.Experiment)) {
	t.Helper()
	for _, p := range catalog.Patterns() {
		for _, e := range p.Experiments {
			t.Run(e.Name, func(t *testing.T) { f(t, p, e) })
		}
	}
}

func TestEveryExperimentOfTheCatalogIsSound(t *testing.T) {
	everyExperiment(t, func(t *testing.T, p bench.Pattern, e bench.Experiment) {
		if err := Check(p, e); err != nil {
			t.Error(err)
		}
	})
}

func TestEveryPartOfAnExperimentCanBeRun(t *testing.T) {
	everyExperiment(t, func(t *testing.T, _ bench.Pattern, e bench.Experiment) {
		for _, v := range e.Variants {
			for _, quick := range []bool{false, true} {
				if quick && v.Full {
					continue
				}
				jobs, err := Prepare(Request{Experiments: []string{e.Name}, Quick: quick, Variants: []string{v.Name}, Out: t.TempDir()}, noon)
				if err != nil {
					t.Errorf("--variant %s, quick %v: %v", v.Name, quick, err)
					continue
				}
				for _, l := range jobs[0].Experiment.LevelList() {
					if !slices.ContainsFunc(jobs[0].Experiment.Variants, func(v bench.Variant) bool { return l.Runs(v.Name) }) {
						t.Errorf("--variant %s, quick %v: nothing runs at level %s", v.Name, quick, l.Name)
					}
				}
				if got := jobs[0].Experiment.VariantNames(); len(got) > 2 || got[0] != e.Variants[0].Name || !slices.Contains(got, v.Name) {
					t.Errorf("--variant %s, quick %v: runs %v; want it and the control", v.Name, quick, got)
				}
			}
		}
	})
}

func TestAQueryOfSomethingThatIsNotThereIsFound(t *testing.T) {
	for _, tc := range []struct {
		name  string
		spoil func(*bench.Experiment)
		says  string
	}{
		{"variant of a check", func(e *bench.Experiment) { e.Checks[0].Of.Variant = "plane" }, `no variant "plane"`},
		{"level of a check", func(e *bench.Experiment) { e.Checks[0].Of.Level = "sea" }, `no level "sea"`},
		{"other side of a check", func(e *bench.Experiment) { e.Checks[0].Versus = &bench.Query{Metric: "luck"} }, `no metric "luck"`},
		{"column", func(e *bench.Experiment) { e.Columns[0].Of.Stat = "p1" }, `no stat "p1"`},
		{"sweep", func(e *bench.Experiment) { e.Sweeps = []bench.Sweep{{Of: bench.Query{Metric: "luck"}}} }, `no metric "luck"`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			p, e, err := catalog.Experiment("cache/aside/stampede")
			if err != nil {
				t.Fatal(err)
			}
			if e, err = e.Clone(); err != nil {
				t.Fatal(err)
			}
			tc.spoil(&e)
			if err := Check(p, e); err == nil || !strings.Contains(err.Error(), tc.says) || strings.Contains(err.Error(), "\n") {
				t.Errorf("want one line with %s, got %v", tc.says, err)
			}
		})
	}
}

func TestOnlyThisMachineAndHostsGivenByNameAreHit(t *testing.T) {
	for _, tc := range []struct {
		engine, url string
		refused     string // the host; empty: it is allowed
	}{
		{"postgres", "postgres://u@127.0.0.1/db", ""},
		{"postgres", "postgres://u@127.8.9.1:5432/db", ""},
		{"postgres", "postgres://u@localhost/db", ""},
		{"postgres", "postgres://u@[::1]/db", ""},
		{"postgres", "postgres:///db?host=/run/postgresql", ""},
		{"postgres", "postgres://u@friend/db", ""},
		{"postgres", "postgres://u@db.example.com/db", "db.example.com"},
		{"postgres", "postgres://u@127.example.com/db", "127.example.com"},
		{"postgres", "postgres://u@127.0.0.1/db?host=db.example.com", "db.example.com"},
		{"postgres", "postgres://u@127.0.0.1,db.example.com/db", "db.example.com"},
		{"postgres", "postgres://u@0.0.0.0/db", "0.0.0.0"},
		{"redis", "redis://127.0.0.1:6379/0", ""},
		{"redis", "unix:///run/redis.sock", ""},
		{"redis", "redis://friend", ""},
		{"redis", "redis://:pw@cache.example.com:6379", "cache.example.com"},
		{"redis", "rediss://127.example.com", "127.example.com"},
	} {
		err := allowed(tc.engine, tc.url, []string{"friend"})
		if tc.refused == "" && err != nil {
			t.Errorf("%s should be allowed: %v", tc.url, err)
		}
		if want := "add --allow-target " + tc.refused + " "; tc.refused != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%s should be refused for %s, got %v", tc.url, tc.refused, err)
		}
	}
	t.Setenv("PGHOST", "db.example.com") // libpq's, which pgx follows
	if err := allowed("postgres", "postgres:///db", nil); err == nil {
		t.Error("a host from the environment should be refused too")
	}
}

func TestAnAddressThatCannotBeReadIsNotRepeated(t *testing.T) {
	for engine, url := range map[string]string{"postgres": "postgres://u:secret@[::1/db", "redis": "redis://u:secret@[::1/0"} {
		if err := allowed(engine, url, nil); err == nil || strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: want an error without the password, got %v", engine, err)
		}
	}
}

func TestAServerThatNobodyUsesIsRefused(t *testing.T) {
	_, err := Prepare(Request{
		Experiments: []string{"resilience/retry/storm"}, Out: t.TempDir(), Attach: map[string]string{"redis": "redis://127.0.0.1", "postgres": ""},
	}, noon)
	if err == nil || !strings.Contains(err.Error(), "none of the experiments uses redis") {
		t.Errorf("got %v", err)
	}
}

func TestTheRunDirectoryIsNamedAfterTimeAndExperiment(t *testing.T) {
	for _, tc := range []struct {
		out  string
		jobs int
		want string
	}{
		{"", 1, "runs/20260102-120000-a-b-c"},
		{"", 2, "runs/20260102-120000-a-b-c"},
		{"x", 1, "x"},
		{"x", 2, "x/a-b-c"},
	} {
		if got := outDir(tc.out, "a/b/c", tc.jobs, noon); got != tc.want {
			t.Errorf("--out %q with %d experiments: %s, want %s", tc.out, tc.jobs, got, tc.want)
		}
	}
}

func TestTheSameExperimentTwiceIsRefused(t *testing.T) {
	const name = "resilience/retry/storm"
	if _, err := Prepare(Request{Experiments: []string{name, name}, Out: t.TempDir()}, noon); err == nil || !strings.Contains(err.Error(), "twice") {
		t.Errorf("both would be recorded in one directory; got %v", err)
	}
}

func TestTheRecordedCommandRunsTheSameAgain(t *testing.T) {
	o := Options{Seed: 7, Repeats: 3, Again: DefaultAgain, Quick: true, Params: []string{"ttl=5s", "a.b=1"}, Variants: []string{"x", "y"}}
	want := "shakedown run f.yaml --seed 7 --repeats 3 --quick -p ttl=5s -p a.b=1 --variant x,y"
	if got := strings.Join(o.command(Job{Name: "f.yaml"}), " "); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	o.Again = 0
	if got := strings.Join(o.command(Job{Name: "f.yaml"}), " "); !strings.Contains(got, "--again 0") {
		t.Errorf("want --again 0 in %s", got)
	}
}

func TestStatusOfAJudgedRun(t *testing.T) {
	for _, tc := range []struct {
		name string
		r    verdict.Result
		want error
	}{
		{"as expected", verdict.Result{Status: record.Complete, AsExpected: true}, nil},
		{"not as expected", verdict.Result{Status: record.Complete}, exit.Status(exit.Unexpected)},
		{"void, whatever the verdicts", verdict.Result{Status: record.Complete, Void: true, AsExpected: true}, exit.Status(exit.Void)},
		{"aborted, which a later report must not show as a pass", verdict.Result{Status: record.Aborted, Void: true}, exit.Status(exit.Void)},
		{"the zero value is no pass", verdict.Result{}, exit.Status(exit.Unexpected)},
	} {
		if got := Status(tc.r); !errors.Is(got, tc.want) {
			t.Errorf("%s: %v, want %v", tc.name, got, tc.want)
		}
	}
}

func TestTheWorstOfSeveralExperimentsDecides(t *testing.T) {
	lacking := &run.EnvironmentError{Err: errors.New("no redis")}
	for _, tc := range []struct {
		name string
		errs []error
		want int
	}{
		{"nothing wrong", []error{nil, nil}, exit.OK},
		{"void before unexpected", []error{exit.Status(exit.Unexpected), exit.Status(exit.Void), nil}, exit.Void},
		{"an error before verdicts", []error{exit.Status(exit.Void), lacking}, exit.Environment},
		{"an abort before all", []error{lacking, run.ErrAborted, exit.Status(exit.Unexpected)}, exit.Aborted},
	} {
		if got := exit.Code(worst(tc.errs)); got != tc.want {
			t.Errorf("%s: %d, want %d", tc.name, got, tc.want)
		}
	}
}

func TestTheStoredCommandHoldsNoPassword(t *testing.T) {
	o := Options{Seed: 7, Repeats: 2, Again: DefaultAgain, AllowTarget: []string{"db.example"}}
	got := strings.Join(o.command(Job{Name: "db/pooling/size", Attach: map[string]string{
		"postgres": "postgres://me:secret@db.example/x?password=secret&sslmode=disable", "redis": "redis://:secret@127.0.0.1",
	}}), " ")
	want := "shakedown run db/pooling/size --seed 7 --repeats 2 " +
		"--postgres-url postgres://me:xxxxx@db.example/x?password=xxxxx&sslmode=disable " +
		"--redis-url redis://:xxxxx@127.0.0.1 --allow-target db.example"
	if got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}
