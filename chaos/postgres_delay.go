package chaos

import (
	"cmp"
	"context"
	"fmt"

	"shakedown/internal/units"
)

// PostgresDelay keeps commands from PostgreSQL for a while, and what their connection sends after them. Locks that the
// transaction holds are held meanwhile.
type PostgresDelay struct {
	Link string `json:"link"`
	// Statement is a regular expression (RE2) on the text of commands; left out, all are delayed.
	Statement string         `json:"statement,omitempty"`
	Delay     units.Duration `json:"delay"`
	Pick
}

var _ Speaker = (*PostgresDelay)(nil)

// Kind is "postgres_delay".
func (*PostgresDelay) Kind() string { return "postgres_delay" }

func (f *PostgresDelay) String() string {
	return fmt.Sprintf("postgres delay %s%s%s on %s", f.Delay, f.which(), about(f.Statement), arrow(f.Link))
}

// Speaks wants PostgreSQL.
func (f *PostgresDelay) Speaks() (link string, p Protocol) { return f.Link, PostgreSQL }

func (f *PostgresDelay) rule() Rule {
	return Rule{Pick: f.Pick, PostgreSQL: &PostgresRule{Statement: f.Statement, Delay: f.Delay}}
}

// Validate wants a delay.
func (f *PostgresDelay) Validate() error {
	return cmp.Or(checkLinkName(f.Link), checkDelay(f.Delay), f.rule().Validate())
}

// Available wants links of that name that speak PostgreSQL.
func (f *PostgresDelay) Available(s Surface) error { return availableSpoken(s, f) }

// Inject proves itself by every live connection following the rule.
func (f *PostgresDelay) Inject(ctx context.Context, s Surface) (Injection, error) {
	return injectRules(ctx, s, ruleFault{fault: f, rule: f.rule(), acts: "commands delayed by " + f.Delay.String()})
}

// checkDelay wants one.
func checkDelay(d units.Duration) error {
	if d <= 0 {
		return fmt.Errorf("delay is %s; it must be above 0, as 50ms is", d)
	}
	return nil
}
