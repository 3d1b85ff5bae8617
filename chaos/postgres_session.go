package chaos

import (
	"context"
	"errors"
	"fmt"
)

// sessionOf connects to an engine that speaks SQL.
func sessionOf(ctx context.Context, e Engine) (SQLSession, error) {
	sql, ok := e.(SQLEngine)
	if !ok {
		return nil, fmt.Errorf("%s gives no sessions", e.Name())
	}
	return sql.Session(ctx)
}

// An observer is a session that observes, and is replaced when it breaks: the server may be killed while a fault is in force.
type observer struct {
	engine Engine
	s      SQLSession
}

func (l *observer) row(ctx context.Context, sql string, args []any, into ...any) error {
	for again := false; ; again = true {
		if l.s == nil {
			s, err := sessionOf(ctx, l.engine)
			if err != nil {
				return err
			}
			l.s, again = s, true
		}
		err := l.s.Row(ctx, sql, args, into...)
		if err == nil {
			return nil
		}
		_ = l.close(ctx)
		if again || ctx.Err() != nil {
			return err
		}
	}
}

// count is a query for one number.
func (l *observer) count(ctx context.Context, sql string, args ...any) (n int64, err error) {
	return n, l.row(ctx, sql, args, &n)
}

// yes is a query for one truth.
func (l *observer) yes(ctx context.Context, sql string, args ...any) (yes bool, err error) {
	return yes, l.row(ctx, sql, args, &yes)
}

func (l *observer) close(ctx context.Context) error {
	if l.s == nil {
		return nil
	}
	s := l.s
	l.s = nil
	return s.Close(ctx)
}

// sqlState is the code of an error of the server (PostgreSQL manual, appendix A), or empty.
func sqlState(err error) string {
	var said interface{ SQLState() string }
	if errors.As(err, &said) {
		return said.SQLState()
	}
	return ""
}
