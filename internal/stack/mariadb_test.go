package stack

import (
	"context"
	"database/sql"
	"errors"
	"net/url"
	"strings"
	"testing"

	"github.com/go-sql-driver/mysql"

	"shakedown/internal/mysqlurl"
)

func onMariaDB(address string, f func(*sql.DB) error) error {
	config, err := mysqlurl.Parse(address)
	if err != nil {
		return err
	}
	connector, err := mysql.NewConnector(config)
	if err != nil {
		return err
	}
	db := sql.OpenDB(connector)
	return errors.Join(f(db), db.Close())
}

func putMariaDB(ctx context.Context, address, v string) error {
	return onMariaDB(address, func(db *sql.DB) error {
		_, err := db.ExecContext(ctx, "create table if not exists fact (v varchar(100)) engine=InnoDB")
		if err == nil {
			_, err = db.ExecContext(ctx, "insert into fact values (?)", v)
		}
		return err
	})
}

func getMariaDB(ctx context.Context, address string) (v string, err error) {
	err = onMariaDB(address, func(db *sql.DB) error { return db.QueryRowContext(ctx, "select v from fact").Scan(&v) })
	return v, err
}

// brokenMariaDB gives addresses of a server of the test's, with another password or database; an empty one is right.
func brokenMariaDB(t *testing.T) func(password, database string) string {
	t.Helper()
	in := mustStart(t, mariadbKind{}, options(t))
	via, err := url.Parse(in.URLVia(forward(t, in), ""))
	if err != nil {
		t.Fatal(err)
	}
	return func(password, database string) string {
		u := *via
		if password != "" {
			u.User = url.UserPassword(mariadbUser, password)
		}
		u.Path = "/" + database
		return u.String()
	}
}

func TestMariaDBHasOneUserAndSettingsOfTheExperiment(t *testing.T) {
	o := options(t)
	o.Settings = map[string]string{"innodb-lock-wait-timeout": "7", "innodb_buffer_pool_size": "32M"}
	in := mustStart(t, mariadbKind{}, o)
	if err := onMariaDB(in.URL(), func(db *sql.DB) error {
		var wait, pool, flush int
		var users string
		err := db.QueryRowContext(t.Context(), "select @@innodb_lock_wait_timeout, @@innodb_buffer_pool_size, @@innodb_flush_log_at_trx_commit").
			Scan(&wait, &pool, &flush)
		if err == nil {
			err = db.QueryRowContext(t.Context(), "select group_concat(user order by user) from mysql.user").Scan(&users)
		}
		if wait != 7 || pool != 32<<20 || flush != 1 || users != "mariadb.sys,shakedown" {
			t.Errorf("wait %d, pool %d, flush %d, users %s", wait, pool, flush, users)
		}
		return err
	}); err != nil {
		t.Fatal(err)
	}
	stats, err := in.Stats(t.Context())
	if err != nil || len(stats) != len(mariadbStats) {
		t.Errorf("%d of %d statistics, %v", len(stats), len(mariadbStats), err)
	}
	if n := value(t, stats, "shakedown_mariadb_queries_total", nil); n < 2 {
		t.Errorf("%v queries", n)
	}
}

func TestWhatIsNoMariaDBIsNotTakenForOne(t *testing.T) {
	in := mustStart(t, redisKind{}, options(t))
	got, err := (mariadbKind{}).Attach(t.Context(), "mariadb://u:p@"+forward(t, in)+"/d")
	if got != nil || err == nil || strings.Contains(err.Error(), "\n") {
		t.Errorf("attached to redis as mariadb: %v", err)
	}
}
