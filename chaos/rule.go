package chaos

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strings"

	"shakedown/internal/units"
)

// A Protocol is what a link's bytes mean, for faults that act on messages.
type Protocol string

// The protocols that the proxy understands. The empty Protocol is none: bytes.
const (
	PostgreSQL Protocol = "postgres" // frontend/backend protocol 3
	Redis      Protocol = "redis"    // RESP2 and RESP3
	HTTP       Protocol = "http"     // HTTP/1.0 and 1.1
)

// Protocols are those that the proxy understands.
func Protocols() []Protocol { return []Protocol{PostgreSQL, Redis, HTTP} }

// A RuleLink is a link that may know the protocol of what it carries, and then acts on single messages.
type RuleLink interface {
	Link
	// Protocol is what the link speaks; empty when it only knows bytes.
	Protocol() Protocol
	// SetRule puts a rule in force under the given id, or replaces the one of that id. When it returns, every live
	// connection has acknowledged the rule: it acts on the next message of each.
	SetRule(ctx context.Context, id string, r Rule) error
	// ClearRule removes a rule, likewise; clearing an absent id is no error.
	ClearRule(ctx context.Context, id string) error
	// RuleCounters say what has become of a rule; an absent id is an error.
	RuleCounters(ctx context.Context, id string) (RuleCounters, error)
}

// RuleCounters say what a rule has seen and done since it was set.
type RuleCounters struct {
	Seen    int64 `json:"seen"`    // commands or requests that were held against it
	Matched int64 `json:"matched"` // of those, the ones that it describes
	Acted   int64 `json:"acted"`   // of those, the ones that it was carried out on
	// Live are the connections of the link that are open, and Acknowledged those of them that follow the rule or, like a
	// connection that carries replication, have nothing that it could act on.
	Live         int64 `json:"live"`
	Acknowledged int64 `json:"acknowledged"`
	// Opaque counts connections, open now or since the rule was set, that cannot be followed, and Why says why not those
	// that came last: "TLS", "HTTP/2".
	Opaque int64  `json:"opaque"`
	Why    string `json:"why,omitempty"`
}

// A Rule is what a link does to the messages of one protocol that match. Exactly one of PostgreSQL, Redis and HTTP is set.
type Rule struct {
	Pick
	PostgreSQL *PostgresRule `json:"postgres,omitempty"`
	Redis      *RedisRule    `json:"redis,omitempty"`
	HTTP       *HTTPRule     `json:"http,omitempty"`
}

// Pick says which of the matching messages are acted on; the zero Pick is all of them.
type Pick struct {
	// Nth is only the nth that matches on a link since the fault was injected, counted from 1.
	Nth int64 `json:"nth,omitempty"`
	// Every is every nth.
	Every int64 `json:"every,omitempty"`
	// Share is a part of them, drawn by Seed: a pure function of the seed, the link, the connection's number and the
	// message's on the connection.
	Share float64 `json:"share,omitempty"`
	Seed  uint64  `json:"seed,omitempty"`
}

// PostgresRule matches commands: simple queries, and the executions of prepared statements.
type PostgresRule struct {
	// Statement is a regular expression (RE2), tried on the text of a command as the client sent it: of a prepared
	// statement the text that was prepared. Empty matches every command.
	Statement string `json:"statement,omitempty"`
	// Commit matches what ends a transaction with success: COMMIT and END, alone or in a simple query of several
	// statements. With Autocommit it matches writes outside a transaction block too, which commit by themselves.
	Commit     bool `json:"commit,omitempty"`
	Autocommit bool `json:"autocommit,omitempty"`

	// Exactly one of the rest is set.

	// Error answers in the server's place. The server executes nothing, and a transaction is aborted as by any error.
	Error *ErrorResponse `json:"error,omitempty"`
	// Delay keeps a command, and what the connection sends after it, from the server for so long.
	Delay units.Duration `json:"delay,omitempty"`
	// LoseAck lets the server commit, and keeps its answer: needs Commit.
	LoseAck LostAck `json:"lose_ack,omitempty"`
	// CutAfter cuts a connection (RST) in place of the first command of a transaction block that follows so many others,
	// BEGIN not counted; CutAtCommit in place of COMMIT or END. Statement then matches the commands that are counted.
	CutAfter    int  `json:"cut_after,omitempty"`
	CutAtCommit bool `json:"cut_at_commit,omitempty"`
}

// ErrorResponse is the server's answer to a command that fails.
type ErrorResponse struct {
	SQLState string `json:"sqlstate"` // five characters: appendix A of the manual
	Message  string `json:"message,omitempty"`
	// Fatal ends the connection after the answer, as the server does with 57P01.
	Fatal bool `json:"fatal,omitempty"`
}

// LostAck is what becomes of a connection whose commit is not acknowledged.
type LostAck string

// The ways to lose an acknowledgement.
const (
	LostByCut  LostAck = "cut"  // the connection is cut with a RST once the server has committed
	LostByHold LostAck = "hold" // the client hears nothing more; when the rule goes, the connection is cut
)

// RedisRule matches commands. What is left out matches every one.
type RedisRule struct {
	// Command is a pattern of names, as "SET" or "H*", regardless of case, or a category, as in Redis' ACLs: "@write",
	// "@read" (commands that only read keys), "@denyoom" (that may take memory), "@keyed" (that name a key), "@data" (all
	// but those that manage the connection). A list is separated by commas.
	Command string `json:"command,omitempty"`
	// Key is a pattern of the first key, as in KEYS: * ? [a-z] and \ before what is meant as it stands.
	Key string `json:"key,omitempty"`

	// Exactly one of the rest is set.

	// Error is the error reply without its "-": "READONLY You can't write against a read only replica.".
	// "{slot}" stands for the slot of the first key.
	Error string `json:"error,omitempty"`
	// Delay keeps a command, and what the connection sends after it, from the server for so long.
	Delay units.Duration `json:"delay,omitempty"`
}

// HTTPRule matches requests. What is left out matches every one.
type HTTPRule struct {
	Method string `json:"method,omitempty"` // "GET"; a list is separated by commas
	// Path is a pattern of the path without its query: * is any run of characters, "/" too, and ? is one.
	Path string `json:"path,omitempty"`

	// Exactly one of Answer, Delay and Cut is set.

	Answer *HTTPAnswer    `json:"answer,omitempty"`
	Delay  units.Duration `json:"delay,omitempty"`
	Cut    *Truncation    `json:"cut,omitempty"`
	// When says on which side of the server Answer and Delay act; empty is before.
	When When `json:"when,omitempty"`
}

// When says on which side of the server a rule acts.
type When string

// The sides of the server.
const (
	Before When = "before" // the request does not reach it (Answer), or reaches it later (Delay)
	After  When = "after"  // it has answered, and its answer is replaced (Answer) or comes later (Delay)
)

// HTTPAnswer takes the place of a server's answer.
type HTTPAnswer struct {
	Status     int            `json:"status"`
	RetryAfter units.Duration `json:"retry_after,omitempty"` // in whole seconds (RFC 9110, 10.2.3)
	Body       string         `json:"body,omitempty"`
}

// Truncation ends the connection within an answer.
type Truncation struct {
	// AfterBytes of the answer's body, as it is framed, are passed on. Shorter answers are left whole.
	AfterBytes int64 `json:"after_bytes,omitempty"`
	// Reset cuts with a RST in place of a FIN.
	Reset bool `json:"reset,omitempty"`
}

// Protocol is the one that the rule is about; empty when it is about none or several.
func (r Rule) Protocol() Protocol {
	var about []Protocol
	if r.PostgreSQL != nil {
		about = append(about, PostgreSQL)
	}
	if r.Redis != nil {
		about = append(about, Redis)
	}
	if r.HTTP != nil {
		about = append(about, HTTP)
	}
	if len(about) != 1 {
		return ""
	}
	return about[0]
}

// Validate says what is wrong with the rule.
func (r Rule) Validate() error {
	if err := r.validate(); err != nil { // its Pick
		return err
	}
	switch r.Protocol() {
	case PostgreSQL:
		return r.PostgreSQL.validate()
	case Redis:
		return r.Redis.validate()
	case HTTP:
		return r.HTTP.validate()
	}
	return errors.New("a rule is about exactly one of postgres, redis and http")
}

func (p Pick) validate() error {
	set := 0
	for _, is := range []bool{p.Nth != 0, p.Every != 0, p.Share != 0} {
		if is {
			set++
		}
	}
	switch {
	case p.Nth < 0 || p.Every < 0:
		return errors.New("nth and every count from 1")
	case p.Share < 0 || p.Share > 1:
		return fmt.Errorf("share is %v; it is a part between 0 and 1", p.Share)
	case set > 1:
		return errors.New("nth, every and share exclude each other")
	}
	return nil
}

// which says the choice in words, for a fault's String; empty for all.
func (p Pick) which() string {
	switch {
	case p.Nth > 0:
		return fmt.Sprintf(" number %d", p.Nth)
	case p.Every > 1:
		return fmt.Sprintf(" one in %d", p.Every)
	case p.Share > 0:
		return fmt.Sprintf(" %.4g%%", 100*p.Share)
	}
	return ""
}

// one says whether exactly one of the conditions holds.
func one(conditions ...bool) bool {
	n := 0
	for _, c := range conditions {
		if c {
			n++
		}
	}
	return n == 1
}

func (r *PostgresRule) validate() error {
	if _, err := regexp.Compile(r.Statement); err != nil {
		return fmt.Errorf("statement is no regular expression: %w", err)
	}
	switch {
	case !one(r.Error != nil, r.Delay != 0, r.LoseAck != "", r.CutAfter != 0 || r.CutAtCommit):
		return errors.New("a rule of postgres does one thing: error, delay, lose_ack, or cut_after or cut_at_commit")
	case r.Delay < 0:
		return errors.New("delay must not be negative")
	case r.CutAfter < 0:
		return errors.New("cut_after must not be negative")
	case r.CutAfter > 0 && r.CutAtCommit:
		return errors.New("cut_after and cut_at_commit exclude each other")
	case r.LoseAck != "" && r.LoseAck != LostByCut && r.LoseAck != LostByHold:
		return fmt.Errorf("lose_ack %q is unknown; it is cut or hold", r.LoseAck)
	case r.LoseAck != "" && !r.Commit:
		return errors.New("lose_ack is about commits: set commit")
	case r.Autocommit && !r.Commit:
		return errors.New("autocommit adds to commit: set both")
	case r.Commit && r.Statement != "":
		return errors.New("commit and statement exclude each other")
	case r.Error != nil:
		return r.Error.validate()
	}
	return nil
}

func (e *ErrorResponse) validate() error {
	if len(e.SQLState) != 5 || strings.Trim(e.SQLState, "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ") != "" {
		return fmt.Errorf("sqlstate %q is not five digits and capital letters, as 40001 is", e.SQLState)
	}
	if strings.ContainsRune(e.Message, 0) {
		return errors.New("message must not have a zero byte")
	}
	return nil
}

func (r *RedisRule) validate() error {
	switch {
	case !one(r.Error != "", r.Delay != 0):
		return errors.New("a rule of redis does one thing: error or delay")
	case r.Delay < 0:
		return errors.New("delay must not be negative")
	case strings.ContainsAny(r.Error, "\r\n"):
		return errors.New("error is one line")
	}
	return nil
}

func (r *HTTPRule) validate() error {
	switch {
	case !one(r.Answer != nil, r.Delay != 0, r.Cut != nil):
		return errors.New("a rule of http does one thing: answer, delay or cut")
	case r.Delay < 0:
		return errors.New("delay must not be negative")
	case r.When != "" && r.When != Before && r.When != After:
		return fmt.Errorf("when %q is unknown; it is before or after", r.When)
	case r.Cut != nil && r.When != "":
		return errors.New("a cut is within an answer: leave when out")
	case r.Cut != nil && r.Cut.AfterBytes < 0:
		return errors.New("after_bytes must not be negative")
	case r.Answer != nil:
		return r.Answer.validate()
	}
	return nil
}

func (a *HTTPAnswer) validate() error {
	switch {
	case a.Status < 200 || a.Status > 599:
		return fmt.Errorf("status is %d; a final status is between 200 and 599", a.Status)
	case (a.Status == 204 || a.Status == 304) && a.Body != "":
		return fmt.Errorf("an answer of status %d has no body", a.Status)
	case a.RetryAfter < 0 || a.RetryAfter%units.Second != 0:
		return fmt.Errorf("retry_after is %s; it is in whole seconds", a.RetryAfter)
	}
	return nil
}
