package isolation

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"shakedown/bench"
	"shakedown/targets/targettest"
)

var shared targettest.Shared

func TestMain(m *testing.M) { os.Exit(shared.Main(m)) }

func TestPattern(t *testing.T) { targettest.Run(t, Pattern, &shared) }

// asking is a connection to one of the test's engines.
func asking(t *testing.T, engine string) server {
	t.Helper()
	s, err := connect(t.Context(), bench.Env{URLs: map[string]string{engine: shared.URL(t, engine)}}, engine)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.close(context.WithoutCancel(t.Context())); err != nil {
			t.Error(err)
		}
	})
	return s
}

// published are the cases that each level lets happen, as Hermitage has them for PostgreSQL, and for MySQL but for two: it has no read
// uncommitted of PostgreSQL, which is its read committed, and counts a deletion at read uncommitted as an anomaly that read what the
// other left.
var published = map[string]map[string]string{
	onPostgres: {
		readUncommitted: "PMP PMP-write P4 G-single G-single-dep G-single-write G2-item G2 G2-read-only",
		readCommitted:   "PMP PMP-write P4 G-single G-single-dep G-single-write G2-item G2 G2-read-only",
		repeatableRead:  "G2-item G2 G2-read-only",
		serializable:    "",
	},
	onMariaDB: {
		readUncommitted: "G1a G1b G1c OTV PMP P4 G-single G-single-dep G-single-write G2-item G2 G2-read-only",
		readCommitted:   "PMP PMP-write P4 G-single G-single-dep G-single-write G2-item G2 G2-read-only",
		repeatableRead:  "PMP-write P4 G-single-write G2-item G2 G2-read-only",
		serializable:    "",
	},
}

func TestTheMatrixIsThatOfHermitage(t *testing.T) {
	for engine, rows := range published {
		s := asking(t, engine)
		for level, want := range rows {
			found, text, err := matrix(t.Context(), s, level, cases)
			if err != nil {
				t.Fatal(err)
			}
			var seen []string
			for _, c := range cases {
				if found.Numbers[c.name] > 0 {
					seen = append(seen, c.name)
				}
			}
			if got := strings.Join(seen, " "); got != want {
				t.Errorf("%s, %s: %s, want %s\n%s", engine, level, got, want, text)
			}
			if len(found.Examples) != len(seen) || found.Of != len(cases) {
				t.Errorf("%s, %s: %d examples of %d anomalies in %d cases", engine, level, len(found.Examples), len(seen), found.Of)
			}
		}
	}
}

func TestInvariantsAreKeptByTheLevelsThatKeepThem(t *testing.T) {
	for engine, rows := range map[string]map[string]float64{
		onPostgres: {readCommitted: 8, repeatableRead: 3, serializable: 0},
		onMariaDB:  {readCommitted: 8, repeatableRead: 7, serializable: 0},
	} {
		s := asking(t, engine)
		for level, want := range rows {
			found, text, err := matrix(t.Context(), s, level, rulesOfApplications)
			if err != nil {
				t.Fatal(err)
			}
			if got := found.Numbers[numAnomalies]; got != want {
				t.Errorf("%s, %s: %v broken, want %v\n%s", engine, level, got, want, text)
			}
		}
	}
}

const waiting = `  T1  begin                                         ok
  T2  begin                                         ok
  T1  update shakedown_pairs set v = 11 where id = 1  1 changed
  T2  update shakedown_pairs set v = 12 where id = 1  waits
  T1  update shakedown_pairs set v = 21 where id = 2  1 changed
  T1  commit                                        ok
  T2  update shakedown_pairs set v = 12 where id = 1  goes on: 1 changed
  T2  update shakedown_pairs set v = 22 where id = 2  1 changed
  T2  commit                                        ok
  in the end: 1:12 2:22`

func TestAStatementThatWaitsIsShownAndCollected(t *testing.T) {
	for _, engine := range []string{onPostgres, onMariaDB} {
		s := asking(t, engine)
		var first string
		for range 3 { // each run is the same
			if err := fresh(t.Context(), s, ""); err != nil {
				t.Fatal(err)
			}
			r, err := interleave(t.Context(), s, readCommitted, cases[0].steps)
			if err != nil {
				t.Fatal(err)
			}
			if got := squeezed(r.transcript()); got != squeezed(waiting) || r.waited != 1 || r.aborted != 0 {
				t.Errorf("%s: %d waited, %d aborted\n%s", engine, r.waited, r.aborted, r.transcript())
			}
			if first == "" {
				first = r.transcript()
			}
			if r.transcript() != first {
				t.Errorf("%s: another time it is\n%s", engine, r.transcript())
			}
		}
	}
}

// squeezed is text with one space where there are several.
func squeezed(s string) string { return strings.Join(strings.Fields(s), " ") }

func TestSessionsThatWaitForEachOtherAreEndedByTheEngine(t *testing.T) {
	cross := begun(2).then(1, set("1", "11")).then(2, set("2", "22")).then(1, set("2", "21")).then(2, set("1", "12")).then(1, "commit").then(2, "commit")
	for _, engine := range []string{onPostgres, onMariaDB} {
		s := asking(t, engine)
		if err := fresh(t.Context(), s, ""); err != nil {
			t.Fatal(err)
		}
		r, err := interleave(t.Context(), s, readCommitted, cross)
		if err != nil {
			t.Fatal(err)
		}
		if r.aborted != 1 || r.committed(1) == r.committed(2) || !strings.Contains(strings.ToLower(r.refusals[0]), "deadlock") {
			t.Errorf("%s: %q\n%s", engine, r.refusals, r.transcript())
		}
		if !r.left(11, 21) && !r.left(12, 22) {
			t.Errorf("%s: what the one that was ended did is there\n%s", engine, r.transcript())
		}
	}
}

func TestAProbeLeavesAllItsTranscripts(t *testing.T) {
	env := bench.Env{URLs: map[string]string{onPostgres: shared.URL(t, onPostgres)}, History: t.TempDir()}
	_, err := Pattern.Probes["anomalies"].Run(t.Context(), env, []byte(`{"engine":"postgres","level":"serializable"}`))
	if err != nil {
		t.Fatal(err)
	}
	raw, err := os.ReadFile(filepath.Join(env.History, transcripts))
	if err != nil || strings.Count(string(raw), "not seen") != len(cases) {
		t.Errorf("%v\n%s", err, raw)
	}
}
