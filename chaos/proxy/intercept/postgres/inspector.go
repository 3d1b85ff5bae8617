package postgres

import (
	"fmt"
	"regexp"
	"strings"
	"sync/atomic"

	"shakedown/chaos"
	"shakedown/chaos/proxy/intercept"
)

// An Inspector keeps the rules of one link to PostgreSQL.
type Inspector struct {
	*intercept.Table[match]
	tokens atomic.Uint64 // names of commands that were replaced
}

var _ intercept.Inspector = (*Inspector)(nil)

// New makes the inspector of a link.
func New(link string) *Inspector {
	return &Inspector{Table: intercept.NewTable(link, chaos.PostgreSQL, compile)}
}

// Open follows the nth connection of the link.
func (in *Inspector) Open(conn uint64) intercept.Filter { return newFilter(in, in.Seat(conn)) }

// token is a name that no client gives to anything: the server repeats it in its error.
func (in *Inspector) token() string {
	return fmt.Sprintf("shakedown_injected_%x_", in.tokens.Add(1))
}

// A match is what a rule looks for.
type match struct {
	*chaos.PostgresRule
	statement *regexp.Regexp // nil matches everything
}

func compile(r chaos.Rule) (match, error) {
	m := match{PostgresRule: r.PostgreSQL}
	if r.PostgreSQL.Statement == "" {
		return m, nil
	}
	var err error
	m.statement, err = regexp.Compile(r.PostgreSQL.Statement)
	return m, err
}

// onAnswers says whether the rule acts on what the server says, and not on commands.
func (m match) onAnswers() bool { return m.LoseAck != "" }

// command says whether a command is of the rule, which comes while the connection's transaction block is b.
func (m match) command(c command, b block) bool {
	switch {
	case m.CutAtCommit:
		return b.open && c.commits()
	case m.CutAfter > 0:
		return b.open && b.commands == m.CutAfter
	case m.Commit:
		return c.commits() || m.Autocommit && c.autocommits(b)
	case m.statement == nil:
		return true
	}
	return c.known && m.statement.Match(c.text)
}

// answer says whether the completion of a command is of the rule: that of a commit, with open saying whether a transaction
// block was open before it.
func (m match) answer(tag string, open bool) bool {
	switch {
	case isCommit(tag, open):
		return true
	case !m.Autocommit || open:
		return false
	}
	verb, _, _ := strings.Cut(tag, " ")
	return writes[verb]
}

// isCommit says whether a tag acknowledges the commit of a transaction.
func isCommit(tag string, open bool) bool {
	return tag == "COMMIT" && open || tag == "COMMIT PREPARED"
}
