package stack

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/go-sql-driver/mysql"

	"shakedown/chaos"
	"shakedown/chaos/disk"
	"shakedown/internal/mysqlurl"
)

const mariadbSocket = "mariadb.sock"

// mariadbServer is a running MariaDB.
type mariadbServer struct {
	name, version, source, url string
	hostAddr                   string
	network, address           string
	settings                   map[string]string
	db                         *sql.DB // for the harness's own questions
	own                        *own    // nil when attached
}

var (
	_ Instance = (*mariadbServer)(nil)
	_ Disked   = (*mariadbServer)(nil)
)

// mariadbURL leads to the socket in the directory.
func mariadbURL(dir, password string) string {
	u := url.URL{Scheme: mariadbKind{}.Name(), User: url.UserPassword(mariadbUser, password), Path: "/" + mariadbDB}
	u.RawQuery = url.Values{mysqlurl.Socket: {filepath.Join(dir, mariadbSocket)}}.Encode()
	return u.String()
}

func newMariaDB(name, address string) (*mariadbServer, error) {
	config, err := mysqlurl.Parse(address)
	if err != nil {
		return nil, err
	}
	connector, err := mysql.NewConnector(config)
	if err != nil {
		return nil, err
	}
	s := &mariadbServer{name: name, url: address, network: config.Net, address: config.Addr, db: sql.OpenDB(connector)}
	s.db.SetMaxOpenConns(2)
	return s, nil
}

// greetWait bounds the first answer of a server that the user gave.
const greetWait = 3 * time.Second

// Attach connects to the MariaDB at the address: mariadb://user:password@host:port/database.
func (k mariadbKind) Attach(ctx context.Context, address string) (Instance, error) {
	s, err := newMariaDB(k.Name(), address)
	if err != nil {
		return nil, fmt.Errorf("--mariadb-url: %w", err)
	}
	s.source = withoutPassword(address)
	// In MySQL's protocol the server speaks first: one of another sort would be waited for.
	ctx, cancel := context.WithTimeoutCause(ctx, greetWait, fmt.Errorf("what listens there did not greet as MariaDB does within %v", greetWait))
	defer cancel()
	if err := s.db.QueryRowContext(ctx, "select version()").Scan(&s.version); err != nil {
		return nil, errors.Join(fmt.Errorf("mariadb at %s: %w", s.source, mariadbPlain(cmp.Or(context.Cause(ctx), err))), s.db.Close())
	}
	s.version, _, _ = strings.Cut(s.version, "-") // "10.11.19-MariaDB-0+deb12u1"
	return s, nil
}

// Hosts reads the one host of the address; a unix socket has none.
func (mariadbKind) Hosts(address string) ([]string, error) {
	config, err := mysqlurl.Parse(address)
	if err != nil || config.Net == "unix" {
		return nil, err
	}
	return []string{mysqlurl.Host(config)}, nil
}

// mariadbPlain says why the server could not be used, without what it knows of the client.
func mariadbPlain(err error) error {
	if said, ok := errors.AsType[*mysql.MySQLError](err); ok {
		switch said.Number { // MariaDB manual, "MariaDB Error Codes"
		case 1045:
			return errors.New("wrong user or password")
		case 1049:
			return errors.New("there is no such database")
		}
	}
	return err
}

// Name is the server's name.
func (s *mariadbServer) Name() string { return s.name }

// Kind is "mariadb".
func (*mariadbServer) Kind() string { return mariadbKind{}.Name() }

// Ours is nil for a server of the run.
func (s *mariadbServer) Ours() error { return ours(s.own) }

// Version is the server's version.
func (s *mariadbServer) Version() string { return s.version }

// Source is where the server comes from.
func (s *mariadbServer) Source() string { return s.source }

// Settings are those that were asked for.
func (s *mariadbServer) Settings() map[string]string { return s.settings }

// URL is what package mysqlurl takes.
func (s *mariadbServer) URL() string { return s.url }

// URLVia is URL with the proxy's address in place of the server's. MariaDB does not know its clients by name.
func (s *mariadbServer) URLVia(addr, _ string) string {
	u, err := url.Parse(s.url)
	if err != nil {
		return s.url // cannot be: it has been parsed
	}
	q := u.Query()
	q.Del(mysqlurl.Socket)
	u.Host, u.RawQuery = addr, q.Encode()
	return u.String()
}

// Dial is where the server listens.
func (s *mariadbServer) Dial() (network, address string) { return s.network, s.address }

// HostAddr is where other hosts find the server.
func (s *mariadbServer) HostAddr() string { return s.hostAddr }

// Healthy asks for a row.
func (s *mariadbServer) Healthy(ctx context.Context) error {
	var one int
	if err := s.db.QueryRowContext(ctx, "select 1").Scan(&one); err != nil {
		return fmt.Errorf("%s does not answer: %w", s.name, mariadbPlain(err))
	}
	return nil
}

// now is the time that the server has, whatever its time zone.
func (s *mariadbServer) now(ctx context.Context) (time.Time, error) {
	var epoch float64
	err := s.db.QueryRowContext(ctx, "select unix_timestamp(sysdate(6))").Scan(&epoch)
	return time.UnixMicro(int64(epoch * 1e6)), err
}

// Process is the server's process.
func (s *mariadbServer) Process() chaos.Process {
	if s.own == nil {
		return foreign(s.name)
	}
	return s.own
}

// Disk is the disk that its data is on.
func (s *mariadbServer) Disk() *disk.Disk { return s.own.ownDisk() }

// Crashed says whether the run's own server died by itself.
func (s *mariadbServer) Crashed() error {
	if s.own == nil {
		return nil
	}
	return s.own.crashed()
}

// Reset does nothing: each pattern's Seed replaces its tables.
func (*mariadbServer) Reset(context.Context) error { return nil }

// Stop ends the run's own server, and lets go of an attached one.
func (s *mariadbServer) Stop(ctx context.Context) error {
	err := s.db.Close()
	if s.own != nil {
		err = errors.Join(err, s.own.stop(ctx))
	}
	return err
}

// mariadbStats names the variables of SHOW GLOBAL STATUS (MariaDB manual, "Server Status Variables", "InnoDB Status Variables") that are
// read, what they are called here, and how many of their units are one of ours.
var mariadbStats = map[string]struct {
	name, kind string
	per        float64
}{
	"Threads_connected":     {"shakedown_mariadb_connected_clients", "gauge", 1},
	"Threads_running":       {"shakedown_mariadb_running_threads", "gauge", 1},
	"Queries":               {"shakedown_mariadb_queries_total", "counter", 1},
	"Com_commit":            {"shakedown_mariadb_commits_total", "counter", 1},
	"Com_rollback":          {"shakedown_mariadb_rollbacks_total", "counter", 1},
	"Innodb_deadlocks":      {"shakedown_mariadb_deadlocks_total", "counter", 1},
	"Innodb_row_lock_waits": {"shakedown_mariadb_row_lock_waits_total", "counter", 1},
	"Innodb_row_lock_time":  {"shakedown_mariadb_row_lock_wait_seconds_total", "counter", 1000},
}

// Stats reads SHOW GLOBAL STATUS. The harness's own connections and questions are among those counted.
func (s *mariadbServer) Stats(ctx context.Context) ([]Stat, error) {
	rows, err := s.db.QueryContext(ctx, "show global status")
	if err != nil {
		return nil, fmt.Errorf("statistics of mariadb: %w", mariadbPlain(err))
	}
	defer func() { _ = rows.Close() }()
	var stats []Stat
	for rows.Next() {
		var name, value string
		if err := rows.Scan(&name, &value); err != nil {
			return nil, fmt.Errorf("statistics of mariadb: %w", err)
		}
		if as, ok := mariadbStats[name]; ok {
			v, err := strconv.ParseFloat(value, 64)
			if err != nil {
				return nil, fmt.Errorf("statistics of mariadb: %s is %q", name, value)
			}
			stats = append(stats, Stat{Name: as.name, Type: as.kind, Value: v / as.per})
		}
	}
	return stats, rows.Err()
}
