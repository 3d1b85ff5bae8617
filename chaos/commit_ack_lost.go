package chaos

import (
	"cmp"
	"context"
	"fmt"
)

// CommitAckLost lets PostgreSQL commit and keeps the acknowledgement from the client, who then cannot know: a client that
// tries again does it twice, unless it is idempotent.
type CommitAckLost struct {
	Link string `json:"link"`
	// Then is what becomes of the connection: "cut" (also when left out) with a RST, or "hold": the client hears nothing more,
	// and when the fault is healed the connection is cut.
	Then LostAck `json:"then,omitempty"`
	// Autocommit acts on writes outside a transaction block too.
	Autocommit bool `json:"autocommit,omitempty"`
	Pick
}

var _ Speaker = (*CommitAckLost)(nil)

// Kind is "commit_ack_lost".
func (*CommitAckLost) Kind() string { return "commit_ack_lost" }

func (f *CommitAckLost) String() string {
	return fmt.Sprintf("commit acknowledgement lost%s on %s", f.which(), arrow(f.Link))
}

// Speaks wants PostgreSQL.
func (f *CommitAckLost) Speaks() (link string, p Protocol) { return f.Link, PostgreSQL }

func (f *CommitAckLost) rule() Rule {
	return Rule{Pick: f.Pick, PostgreSQL: &PostgresRule{
		Commit: true, Autocommit: f.Autocommit, LoseAck: cmp.Or(f.Then, LostByCut),
	}}
}

// Validate wants the name of a link.
func (f *CommitAckLost) Validate() error { return cmp.Or(checkLinkName(f.Link), f.rule().Validate()) }

// Available wants links of that name that speak PostgreSQL.
func (f *CommitAckLost) Available(s Surface) error { return availableSpoken(s, f) }

// Inject proves itself by every live connection following the rule. A commit counts as met once the server has said that it
// is done.
func (f *CommitAckLost) Inject(ctx context.Context, s Surface) (Injection, error) {
	return injectRules(ctx, s, ruleFault{fault: f, rule: f.rule(), acts: "commits applied and not acknowledged"})
}
