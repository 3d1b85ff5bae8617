package serve

import (
	"context"
	"database/sql"
	"fmt"

	"github.com/go-sql-driver/mysql"

	"shakedown/internal/mysqlurl"
)

// OpenMariaDB is a pool of connections to a MariaDB by its URL, for probes, seeds and audits. It does not connect yet.
func OpenMariaDB(url string) (*sql.DB, error) {
	config, err := mysqlurl.Parse(url)
	if err != nil {
		return nil, fmt.Errorf("mariadb: %w", err)
	}
	connector, err := mysql.NewConnector(config)
	if err != nil {
		return nil, fmt.Errorf("mariadb: %w", err)
	}
	return sql.OpenDB(connector), nil
}

// NewMariaDBPool makes a pool of at most so many connections, shows it under the given name, makes readiness wait for it, and closes it
// when the server stops. It does not connect yet: an error is about the URL.
func NewMariaDBPool(s *Server, name, url string, size int) (*sql.DB, error) {
	db, err := OpenMariaDB(url)
	if err != nil {
		return nil, err
	}
	db.SetMaxOpenConns(size)
	db.SetMaxIdleConns(size)
	s.PoolStats(name, func() PoolStats {
		now := db.Stats()
		return PoolStats{
			InUse: now.InUse, Idle: now.Idle, Max: now.MaxOpenConnections, EmptyAcquires: now.WaitCount, AcquireTime: now.WaitDuration,
		}
	})
	s.OnStop("pool "+name, func(context.Context) error { return db.Close() })
	s.Ready(name, db.PingContext)
	return db, nil
}
