package postgres

import "bytes"

// A statement is what the filter knows of one SQL statement: how it changes the transaction block.
type statement struct {
	effect effect
	chains bool // AND CHAIN: the next transaction block opens at once
	writes bool
}

type effect uint8

const (
	none effect = iota
	opens
	commits
	ends // without a commit: ROLLBACK, ABORT, PREPARE TRANSACTION
)

// writes are the first words of statements that change something, and of their command tags.
var writes = map[string]bool{
	"INSERT": true, "UPDATE": true, "DELETE": true, "MERGE": true, "COPY": true, "CALL": true, "DO": true, "CREATE": true,
	"ALTER": true, "DROP": true, "TRUNCATE": true, "GRANT": true, "REVOKE": true, "REFRESH": true, "COMMENT": true,
}

// A command is a simple query, or the execution of a prepared statement.
type command struct {
	text       []byte
	known      bool // the text is; else the statement was prepared out of sight
	statements []statement
}

func (c command) commits() bool {
	for _, s := range c.statements {
		if s.effect == commits {
			return true
		}
	}
	return false
}

// autocommits says whether a statement of the command writes outside a transaction block, and so commits by itself.
func (c command) autocommits(b block) bool {
	for _, s := range c.statements {
		if s.writes && !b.open {
			return true
		}
		b.run(s)
	}
	return false
}

// A block is the transaction block of a connection, as far as the client has come.
type block struct {
	open     bool
	commands int // in it, without what opened it
}

func (b *block) run(s statement) {
	switch s.effect {
	case opens:
		if !b.open {
			*b = block{open: true}
		}
	case commits, ends:
		*b = block{open: s.chains}
	case none:
		if b.open {
			b.commands++
		}
	}
}

// split appends the statements of a text. It knows enough of SQL's lexical structure (chapter 4.1 of the manual) to find
// where statements end; the text may itself end anywhere.
func split(into []statement, text []byte) []statement {
	var words [4][]byte // the first of the statement
	n, dml := 0, false
	flush := func() {
		if n > 0 {
			into = append(into, classify(words[:min(n, len(words))], dml))
		}
		n, dml = 0, false
	}
	var last, before []byte // words, for AND CHAIN
	for i := 0; i < len(text); {
		end, kind := lexeme(text, i)
		switch kind {
		case semicolon:
			if n > 0 && equal(words[0], "CREATE") {
				break // a function's body may have statements of its own
			}
			chained := equal(last, "CHAIN") && equal(before, "AND")
			flush()
			into = chain(into, chained)
			last, before = nil, nil
		case word:
			w := text[i:end]
			before, last = last, w
			if n < len(words) {
				words[n] = w
			}
			n++
			dml = dml || equal(w, "INSERT") || equal(w, "UPDATE") || equal(w, "DELETE") || equal(w, "MERGE")
		}
		i = end
	}
	chained := equal(last, "CHAIN") && equal(before, "AND")
	had := n > 0
	flush()
	if had {
		into = chain(into, chained)
	}
	return into
}

// chain notes AND CHAIN on the last statement.
func chain(statements []statement, chained bool) []statement {
	if n := len(statements); n > 0 && chained {
		statements[n-1].chains = statements[n-1].effect == commits || statements[n-1].effect == ends
	}
	return statements
}

// classify says what a statement does by its first words.
func classify(words [][]byte, dml bool) statement {
	is := func(at int, w string) bool { return at < len(words) && equal(words[at], w) }
	after := 1 // where the words after COMMIT [WORK | TRANSACTION] begin
	if is(1, "WORK") || is(1, "TRANSACTION") {
		after = 2
	}
	switch {
	case is(0, "BEGIN"), is(0, "START") && is(1, "TRANSACTION"):
		return statement{effect: opens}
	case (is(0, "COMMIT") || is(0, "END")) && !is(1, "PREPARED"):
		return statement{effect: commits}
	case is(0, "ROLLBACK") && !is(1, "PREPARED") && !is(after, "TO"), is(0, "ABORT"), is(0, "PREPARE") && is(1, "TRANSACTION"):
		return statement{effect: ends}
	case is(0, "WITH"):
		return statement{writes: dml}
	}
	return statement{writes: writes[string(bytes.ToUpper(words[0]))]}
}

func equal(w []byte, upper string) bool {
	return len(w) == len(upper) && bytes.EqualFold(w, []byte(upper))
}

type lexemeKind uint8

const (
	other lexemeKind = iota
	word
	semicolon
)

// lexeme returns where the lexeme at i ends, which is beyond i, and what it is.
func lexeme(text []byte, i int) (end int, kind lexemeKind) {
	rest := text[i:]
	switch c := rest[0]; {
	case c == ';':
		return i + 1, semicolon
	case (c == 'E' || c == 'e') && len(rest) > 1 && rest[1] == '\'':
		return i + 1 + quoted(rest[1:], true), other
	case letter(c):
		n := 1
		for n < len(rest) && (letter(rest[n]) || digit(rest[n]) || rest[n] == '$') {
			n++
		}
		return i + n, word
	case c == '\'' || c == '"':
		return i + quoted(rest, false), other
	case c == '$':
		return i + dollarQuoted(rest), other
	case bytes.HasPrefix(rest, []byte("--")):
		if n := bytes.IndexByte(rest, '\n'); n >= 0 {
			return i + n + 1, other
		}
		return len(text), other
	case bytes.HasPrefix(rest, []byte("/*")):
		return i + comment(rest), other
	}
	return i + 1, other
}

func letter(c byte) bool { return c|0x20 >= 'a' && c|0x20 <= 'z' || c == '_' || c >= 0x80 }

func digit(c byte) bool { return c >= '0' && c <= '9' }

// quoted is the length of a string or an identifier in quotes, which are doubled inside.
func quoted(s []byte, escapes bool) int {
	q := s[0]
	for i := 1; i < len(s); i++ {
		switch {
		case escapes && s[i] == '\\':
			i++
		case s[i] == q && i+1 < len(s) && s[i+1] == q:
			i++
		case s[i] == q:
			return i + 1
		}
	}
	return len(s)
}

// dollarQuoted is the length of $tag$…$tag$, or 1 when the $ is that of a parameter.
func dollarQuoted(s []byte) int {
	n := 1
	for n < len(s) && (letter(s[n]) || n > 1 && digit(s[n])) {
		n++
	}
	if n == len(s) || s[n] != '$' {
		return 1
	}
	tag := s[:n+1]
	end := bytes.Index(s[n+1:], tag)
	if end < 0 {
		return len(s)
	}
	return n + 1 + end + len(tag)
}

// comment is the length of a comment, in which others may nest.
func comment(s []byte) int {
	depth := 0
	for i := 0; i+1 < len(s); i++ {
		switch {
		case s[i] == '/' && s[i+1] == '*':
			depth++
			i++
		case s[i] == '*' && s[i+1] == '/':
			depth--
			i++
			if depth == 0 {
				return i + 1
			}
		}
	}
	return len(s)
}
