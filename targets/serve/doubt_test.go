package serve

import (
	"context"
	"errors"
	"io"
	"net"
	"syscall"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/redis/go-redis/v9"
)

func TestOnlyAnAnswerOrARefusedConnectionIsCertain(t *testing.T) {
	for _, tt := range []struct {
		name   string
		doubt  func(error) error
		err    error
		unsure bool
	}{
		{"postgres", PostgresDoubt, nil, false},
		{"postgres", PostgresDoubt, &pgconn.PgError{Severity: "ERROR", Code: "23505"}, false},
		{"postgres, which ended after the commit perhaps", PostgresDoubt, &pgconn.PgError{Severity: "FATAL", Code: "57P01"}, true},
		{"postgres", PostgresDoubt, io.ErrUnexpectedEOF, true},
		{"redis", RedisDoubt, nil, false},
		{"redis, which has no such key", RedisDoubt, redis.Nil, false},
		{"redis", RedisDoubt, &net.OpError{Op: "dial", Err: syscall.ECONNREFUSED}, false},
		{"redis", RedisDoubt, &net.OpError{Op: "read", Err: syscall.ECONNRESET}, true},
		{"redis", RedisDoubt, io.EOF, true},
		{"redis", RedisDoubt, context.DeadlineExceeded, true},
	} {
		if err := tt.doubt(tt.err); errors.Is(err, ErrUnsure) != tt.unsure || !errors.Is(err, tt.err) {
			t.Errorf("%s: %v became %v", tt.name, tt.err, err)
		}
	}
}
