package serve

import (
	"errors"
	"fmt"
	"net"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/redis/go-redis/v9"
)

// PostgresDoubt marks an error after which a statement may have been carried out or not as ErrUnsure: the server was sent it, and has
// not said what became of it. Other errors, and nil, stay as they are.
func PostgresDoubt(err error) error {
	var said *pgconn.PgError
	if err == nil || errors.As(err, &said) && said.Severity == "ERROR" || pgconn.SafeToRetry(err) {
		return err
	}
	return fmt.Errorf("%w: %w", ErrUnsure, err)
}

// RedisDoubt does the same for a command sent to Redis.
func RedisDoubt(err error) error {
	var said redis.Error
	var dial *net.OpError
	if err == nil || errors.As(err, &said) || errors.As(err, &dial) && dial.Op == "dial" {
		return err
	}
	return fmt.Errorf("%w: %w", ErrUnsure, err)
}
