package isolation

import (
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/go-sql-driver/mysql"
	"github.com/jackc/pgx/v5/pgconn"

	"shakedown/bench"
)

func TestListsAreReadAsTheyAreAppended(t *testing.T) {
	for text, want := range map[string][]int64{"": nil, "3,": {3}, "3,17,4,": {3, 17, 4}} {
		if got, err := parseList(text); err != nil || !slices.Equal(got, want) {
			t.Errorf("%q is %v, %v", text, got, err)
		}
	}
	if _, err := parseList("3,x,"); err == nil {
		t.Error("a list of something else was read")
	}
}

func TestArgumentsAreWrittenAsEachEngineDoes(t *testing.T) {
	if got := dollars("update x set v = ? where id = ?"); got != "update x set v = $1 where id = $2" {
		t.Error(got)
	}
}

func TestWhatTheEngineEndedIsTriedAgainAndWhatItDidNotAnswerIsUnsure(t *testing.T) {
	for _, tc := range []struct {
		err          error
		again, knows bool
	}{
		{&pgconn.PgError{Severity: "ERROR", Code: "40001"}, true, true},
		{&pgconn.PgError{Severity: "ERROR", Code: "40P01"}, true, true},
		{&pgconn.PgError{Severity: "ERROR", Code: "23505"}, false, true},
		{&pgconn.PgError{Severity: "FATAL", Code: "57P01"}, false, false},
		{&mysql.MySQLError{Number: 1213}, true, true},
		{&mysql.MySQLError{Number: 1062}, false, true},
		{io.ErrUnexpectedEOF, false, false},
	} {
		if ended(tc.err) != tc.again || said(tc.err) != tc.knows {
			t.Errorf("%v: tried again %t, known %t", tc.err, ended(tc.err), said(tc.err))
		}
	}
}

// TestTheAuditJudgesWhatServicesRecorded keeps a history with a dirty read, and one without.
func TestTheAuditJudgesWhatServicesRecorded(t *testing.T) {
	append1 := func(outcome string) txn { return txn{Name: "W", Ops: []access{{Key: 5, Value: 1}}, Outcome: outcome} }
	reader := txn{Name: "R", Ops: []access{{Key: 5, Read: true, List: []int64{1}}}, Outcome: "ok"}
	for _, tc := range []struct {
		history    []txn
		violations float64
	}{
		{[]txn{append1("ok"), reader}, 0},
		{[]txn{append1("unsure"), reader}, 0},
		{[]txn{append1("failed"), reader}, 1},
	} {
		env := bench.Env{Role: bench.ServiceRole, History: t.TempDir()}
		var lines []byte
		for _, x := range tc.history {
			raw, err := json.Marshal(x)
			if err != nil {
				t.Fatal(err)
			}
			lines = append(append(lines, raw...), '\n')
		}
		if err := os.WriteFile(filepath.Join(env.History, "service-0.ndjson"), lines, 0o600); err != nil {
			t.Fatal(err)
		}
		raw, err := json.Marshal(at("x", "", readCommitted).Config)
		if err != nil {
			t.Fatal(err)
		}
		found, err := audit(t.Context(), env, raw, nil)
		if err != nil || found.Numbers[bench.AuditViolations] != tc.violations || len(found.Examples) != int(tc.violations) {
			t.Errorf("%+v, %v; want %v", found, err, tc.violations)
		}
	}
}

func TestAConfigurationThatMakesNoSenseIsRefused(t *testing.T) {
	good := counting(readCommitted, atomicGuard, 3)
	if err := good.Validate(); err != nil {
		t.Fatal(err)
	}
	for what, spoil := range map[string]func(*Config){
		"engine": func(c *Config) { c.Engine = "oracle" }, "level": func(c *Config) { c.Level = "chaos" },
		"workload": func(c *Config) { c.Workload = "tpc-c" }, "guard": func(c *Config) { c.Guard = "hope" },
		"guard of another": func(c *Config) { c.Workload = bank }, "keys": func(c *Config) { c.Keys = 0 },
		"pool": func(c *Config) { c.Pool = 0 }, "retries": func(c *Config) { c.Retries = -2 }, "pause": func(c *Config) { c.Pause = -1 },
	} {
		c := good
		if spoil(&c); c.Validate() == nil {
			t.Errorf("%s: accepted", what)
		}
	}
}
