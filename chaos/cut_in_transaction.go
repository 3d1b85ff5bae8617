package chaos

import (
	"cmp"
	"context"
	"fmt"
)

// CutInTransaction cuts connections to PostgreSQL (RST) in the middle of a transaction block: the server rolls back, and a
// client that had answers to its statements has lost them.
type CutInTransaction struct {
	Link string `json:"link"`
	// After is how many commands of the block reach the server, BEGIN not counted; the connection is cut in place of the next,
	// whatever it is. Left out, it is cut in place of COMMIT.
	After int `json:"after,omitempty"`
	Pick
}

var _ Speaker = (*CutInTransaction)(nil)

// Kind is "cut_in_transaction".
func (*CutInTransaction) Kind() string { return "cut_in_transaction" }

func (f *CutInTransaction) String() string {
	when := "before COMMIT"
	if f.After > 0 {
		when = fmt.Sprintf("after %d commands", f.After)
	}
	return fmt.Sprintf("cut in transaction %s%s on %s", when, f.which(), arrow(f.Link))
}

// Speaks wants PostgreSQL.
func (f *CutInTransaction) Speaks() (link string, p Protocol) { return f.Link, PostgreSQL }

func (f *CutInTransaction) rule() Rule {
	return Rule{Pick: f.Pick, PostgreSQL: &PostgresRule{CutAfter: f.After, CutAtCommit: f.After == 0}}
}

// Validate wants the name of a link.
func (f *CutInTransaction) Validate() error {
	return cmp.Or(checkLinkName(f.Link), f.rule().Validate())
}

// Available wants links of that name that speak PostgreSQL.
func (f *CutInTransaction) Available(s Surface) error { return availableSpoken(s, f) }

// Inject proves itself by every live connection following the rule.
func (f *CutInTransaction) Inject(ctx context.Context, s Surface) (Injection, error) {
	return injectRules(ctx, s, ruleFault{fault: f, rule: f.rule(), acts: "connections cut in a transaction"})
}
