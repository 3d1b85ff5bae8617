package isolation

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"

	"shakedown/internal/units"
)

// The workloads of the service.
const (
	listAppend = "list-append"
	bank       = "bank"
	writeSkew  = "write-skew"
	longFork   = "long-fork"
	lostUpdate = "lost-update"
	lookBeside = "look-beside"
)

var workloads = []string{listAppend, bank, writeSkew, longFork, lostUpdate, lookBeside}

// The guards: what keeps two transactions of lost-update or write-skew from using what both have read.
const (
	noGuard     = ""           // nothing but the isolation level
	atomicGuard = "atomic"     // the statement that writes reads: update … set v = v + 1
	lockGuard   = "for-update" // reads lock what they read: select … for update
)

var guards = []string{noGuard, atomicGuard, lockGuard}

// Config is how one variant's service runs its transactions.
type Config struct {
	Engine   string `json:"engine"`   // "postgres" or "mariadb"
	Level    string `json:"level"`    // as SQL spells it
	Workload string `json:"workload"` // which transactions it runs
	Guard    string `json:"guard,omitempty"`
	// Retries is how often a transaction that the engine has ended is run again; -1 is without bound, as long as the user waits.
	Retries int `json:"retries,omitempty"`
	// Backoff is the mean of the wait before the first retry, which is drawn (full jitter) and doubles; 0 is none.
	Backoff units.Duration `json:"backoff,omitempty"`
	// Pause is the application's work between two statements of a transaction.
	Pause units.Duration `json:"pause,omitempty"`
	// Report is the transaction of a report beside it, on PostgreSQL: "repeatable-read", "serializable" or "deferrable".
	Report string `json:"report,omitempty"`
	Keys   int    `json:"keys"` // how many lists, accounts, pairs or counters are used at a time
	Pool   int    `json:"pool"` // database connections
}

// Validate says what is wrong with the configuration.
func (c Config) Validate() error {
	if err := (MatrixConfig{Engine: c.Engine, Level: c.Level}).Validate(); err != nil {
		return err
	}
	switch {
	case !slices.Contains(workloads, c.Workload):
		return fmt.Errorf("workload: %q is none of %s", c.Workload, strings.Join(workloads, ", "))
	case !slices.Contains(guards, c.Guard):
		return fmt.Errorf("guard: %q is none of %s", c.Guard, strings.Join(guards[1:], ", "))
	case c.Guard == atomicGuard && c.Workload != lostUpdate, c.Guard == lockGuard && c.Workload != lostUpdate && c.Workload != writeSkew:
		return fmt.Errorf("guard: %s does not go with %s", c.Guard, c.Workload)
	case c.Retries < -1 || c.Retries > 1000:
		return fmt.Errorf("retries: must be -1 to 1000, got %d", c.Retries)
	case c.Backoff < 0 || c.Pause < 0:
		return errors.New("backoff and pause: must be ≥ 0")
	case c.Report != noReport && (reports[c.Report] == pgx.TxOptions{} || c.Engine != onPostgres):
		return fmt.Errorf("report: %q is none of those that %s has", c.Report, c.Engine)
	case c.Keys < 1 || c.Keys > maxKeys:
		return fmt.Errorf("keys: must be 1 to %d, got %d", maxKeys, c.Keys)
	case c.Pool < 1:
		return fmt.Errorf("pool: must be ≥ 1, got %d", c.Pool)
	}
	return nil
}

// maxKeys is how many there are of anything.
const maxKeys = 4096
