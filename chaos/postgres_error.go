package chaos

import (
	"cmp"
	"context"
	"fmt"
)

// PostgresError lets commands fail on the way to PostgreSQL: the server never executes them, its transaction is aborted as
// by any error, and the client gets the SQLSTATE that was asked for.
type PostgresError struct {
	Link string `json:"link"`
	// Statement is a regular expression (RE2) on the text of commands, as "(?i)^insert into orders"; left out, all fail. Of a
	// simple query of several statements the whole text is one command, and fails as one.
	Statement string `json:"statement,omitempty"`
	// SQLState is the code: 40001 serialization failure, 40P01 deadlock, 53300 too many connections, 57014 timeout …
	SQLState string `json:"sqlstate"`
	Message  string `json:"message,omitempty"`
	// Fatal ends the connection too, as 57P01 (admin shutdown) does.
	Fatal bool `json:"fatal,omitempty"`
	Pick
}

var _ Speaker = (*PostgresError)(nil)

// Kind is "postgres_error".
func (*PostgresError) Kind() string { return "postgres_error" }

func (f *PostgresError) String() string {
	return fmt.Sprintf("postgres error %s%s%s on %s", f.SQLState, f.which(), about(f.Statement), arrow(f.Link))
}

// Speaks wants PostgreSQL.
func (f *PostgresError) Speaks() (link string, p Protocol) { return f.Link, PostgreSQL }

func (f *PostgresError) rule() Rule {
	return Rule{Pick: f.Pick, PostgreSQL: &PostgresRule{
		Statement: f.Statement, Error: &ErrorResponse{SQLState: f.SQLState, Message: f.Message, Fatal: f.Fatal},
	}}
}

// Validate wants a SQLSTATE.
func (f *PostgresError) Validate() error { return cmp.Or(checkLinkName(f.Link), f.rule().Validate()) }

// Available wants links of that name that speak PostgreSQL.
func (f *PostgresError) Available(s Surface) error { return availableSpoken(s, f) }

// Inject proves itself by every live connection following the rule.
func (f *PostgresError) Inject(ctx context.Context, s Surface) (Injection, error) {
	return injectRules(ctx, s, ruleFault{fault: f, rule: f.rule(), acts: "commands answered with " + f.SQLState})
}
