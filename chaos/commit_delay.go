package chaos

import (
	"cmp"
	"context"
	"fmt"

	"shakedown/internal/units"
)

// CommitDelay keeps only commits from PostgreSQL for a while, as a slow disk or a slow standby does: statements are fast, and
// locks are held longer.
type CommitDelay struct {
	Link  string         `json:"link"`
	Delay units.Duration `json:"delay"`
	// Autocommit delays writes outside a transaction block too. Without it only COMMIT and END count, however they are sent.
	Autocommit bool `json:"autocommit,omitempty"`
	Pick
}

var _ Speaker = (*CommitDelay)(nil)

// Kind is "commit_delay".
func (*CommitDelay) Kind() string { return "commit_delay" }

func (f *CommitDelay) String() string {
	return fmt.Sprintf("commit delay %s%s on %s", f.Delay, f.which(), arrow(f.Link))
}

// Speaks wants PostgreSQL.
func (f *CommitDelay) Speaks() (link string, p Protocol) { return f.Link, PostgreSQL }

func (f *CommitDelay) rule() Rule {
	return Rule{Pick: f.Pick, PostgreSQL: &PostgresRule{Commit: true, Autocommit: f.Autocommit, Delay: f.Delay}}
}

// Validate wants a delay.
func (f *CommitDelay) Validate() error {
	return cmp.Or(checkLinkName(f.Link), checkDelay(f.Delay), f.rule().Validate())
}

// Available wants links of that name that speak PostgreSQL.
func (f *CommitDelay) Available(s Surface) error { return availableSpoken(s, f) }

// Inject proves itself by every live connection following the rule.
func (f *CommitDelay) Inject(ctx context.Context, s Surface) (Injection, error) {
	return injectRules(ctx, s, ruleFault{fault: f, rule: f.rule(), acts: "commits delayed by " + f.Delay.String()})
}
