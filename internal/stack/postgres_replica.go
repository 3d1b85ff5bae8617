package stack

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"

	"shakedown/internal/proc"
)

// oldestWithReplicas is the first version whose standbys can be told to follow another primary without a restart.
const oldestWithReplicas = 13

var (
	_ replicated    = (*pgServer)(nil)
	_ primaryFinder = (*pgServer)(nil)
)

// StartReplica starts a hot standby on a base backup of the primary, from which it streams through a slot of its own.
func (k postgres) StartReplica(ctx context.Context, primary Instance, via string, o StartOptions) (Instance, error) {
	p, err := ownInstance[*pgServer](o.Name, primary)
	if err != nil {
		return nil, err
	}
	if major, err := strconv.Atoi(digits.FindString(p.version)); err != nil || major < oldestWithReplicas {
		return nil, fmt.Errorf("%s: this is PostgreSQL %s; replicas need %d or newer", o.Name, p.version, oldestWithReplicas)
	}
	if err := p.makeSlot(ctx, o.Name); err != nil {
		return nil, err
	}
	program := Program{Path: p.source, Version: p.version}
	s, err := k.start(ctx, o, program, p.config.Password, func(dir, data string) error {
		if err := p.baseBackup(ctx, o.Keeper, dir, data, "--no-sync"); err != nil { // like the template's copy
			return err
		}
		return beStandby(data, o.Name, p.conninfo(o.Name, via))
	})
	if err != nil {
		return nil, err
	}
	if err := awaitFollowing(ctx, s); err != nil {
		return nil, errors.Join(err, s.Stop(context.WithoutCancel(ctx)))
	}
	return s, nil
}

// slotName is the name of a replica's slot, which has letters, digits and underscores only.
func slotName(replica string) string { return strings.ReplaceAll(replica, "-", "_") }

// makeSlot makes the slot that keeps the log for a replica, if it is not there.
func (s *pgServer) makeSlot(ctx context.Context, replica string) error {
	const sql = `SELECT count(pg_create_physical_replication_slot($1, true)) WHERE NOT EXISTS (SELECT FROM pg_replication_slots WHERE slot_name = $1)`
	return s.exec(ctx, "making the slot of "+replica, sql, slotName(replica))
}

// conninfo is how a replica connects to the server through a link (libpq, connection strings).
func (s *pgServer) conninfo(replica, via string) string {
	host, port, err := net.SplitHostPort(via)
	if err != nil {
		host, port = via, "" // the replica will say that it cannot connect
	}
	return fmt.Sprintf("host=%s port=%s user=%s password=%s application_name=%s sslmode=disable",
		host, port, s.config.User, s.config.Password, replica)
}

// beStandby makes a data directory that of a standby. The settings stand where ALTER SYSTEM puts them, so that it can change them; the
// last of a name counts.
func beStandby(data, name, conninfo string) error {
	signal, auto := filepath.Join(data, "standby.signal"), filepath.Join(data, "postgresql.auto.conf")
	if err := os.WriteFile(signal, nil, 0o600); err != nil {
		return err
	}
	f, err := os.OpenFile(auto, os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(f, "primary_conninfo = '%s'\nprimary_slot_name = '%s'\n", conninfo, slotName(name))
	return errors.Join(err, f.Close(), giveAway(signal), giveAway(auto))
}

func (s *pgServer) process() *own { return s.own }

// exec does one thing on the kept connection.
func (s *pgServer) exec(ctx context.Context, what, sql string, args ...any) error {
	if err := s.ask(ctx, func(c *pgx.Conn) error { _, err := c.Exec(ctx, sql, args...); return err }); err != nil {
		return fmt.Errorf("%s: %s: %w", s.name, what, s.plain(err))
	}
	return nil
}

// row asks for one row on the kept connection.
func (s *pgServer) row(ctx context.Context, what, sql string, into ...any) error {
	if err := s.ask(ctx, func(c *pgx.Conn) error { return c.QueryRow(ctx, sql).Scan(into...) }); err != nil {
		return fmt.Errorf("%s: %s: %w", s.name, what, s.plain(err))
	}
	return nil
}

// position is a byte of the write-ahead log: that written, or on a standby replayed.
func (s *pgServer) position(ctx context.Context) (at int64, err error) {
	// A function that may not be called in the present state is not: CASE evaluates only what it needs.
	const sql = `SELECT (CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn() ELSE pg_current_wal_lsn() END - '0/0'::pg_lsn)::bigint`
	return at, s.row(ctx, "its position", sql, &at)
}

// follows asks the standby's receiver, which may for a moment be that of a primary that was followed before.
func (s *pgServer) follows(ctx context.Context) (yes bool, err error) {
	const sql = `SELECT EXISTS (SELECT FROM pg_stat_wal_receiver
		WHERE status = 'streaming' AND strpos(current_setting('primary_conninfo'), ' port=' || sender_port || ' ') > 0)`
	return yes, s.row(ctx, "whether it follows", sql, &yes)
}

func (s *pgServer) follow(ctx context.Context, primary replicated, via string) error {
	p, err := ownInstance[*pgServer](s.name, primary)
	if err != nil {
		return err
	}
	if err := p.makeSlot(ctx, s.name); err != nil {
		return err
	}
	if err := s.followAt(ctx, p.conninfo(s.name, via)); err != nil {
		return err
	}
	return awaitFollowing(ctx, s)
}

func (s *pgServer) unfollow(ctx context.Context) error {
	if err := s.followAt(ctx, ""); err != nil {
		return err
	}
	return await(ctx, s.name+" to let go of its primary", func(ctx context.Context) (gone bool, err error) {
		return gone, s.row(ctx, "whether it receives", "SELECT NOT EXISTS (SELECT FROM pg_stat_wal_receiver)", &gone)
	})
}

func (s *pgServer) followAt(ctx context.Context, conninfo string) error {
	return errors.Join(
		s.exec(ctx, "whom to follow", "ALTER SYSTEM SET primary_conninfo = '"+conninfo+"'"), // which takes no parameters
		s.exec(ctx, "whom to follow", "SELECT pg_reload_conf()"),
	)
}

// promoteWait is how long a promotion may take, in seconds: what was received is replayed first.
const promoteWait = "60"

func (s *pgServer) promote(ctx context.Context) error {
	var done bool
	if err := s.row(ctx, "promoting it", "SELECT pg_promote(true, "+promoteWait+")", &done); err != nil {
		return err
	}
	if !done {
		return fmt.Errorf("%s: was told to be the primary, and after %s s is not", s.name, promoteWait)
	}
	return nil
}

// rejoin replaces the data by a base backup, which is taken past the proxy: what it copies is no part of the trial.
func (s *pgServer) rejoin(ctx context.Context, primary replicated, via string) error {
	p, err := ownInstance[*pgServer](s.name, primary)
	if err != nil {
		return err
	}
	if err := notRunning(ctx, s.own); err != nil {
		return err
	}
	if err := errors.Join(s.close(ctx), p.makeSlot(ctx, s.name)); err != nil {
		return err
	}
	data := s.own.spec.Dir
	if err := emptyDir(data); err != nil {
		return err
	}
	if err := p.baseBackup(ctx, s.own.keeper, s.own.dir, data); err != nil {
		return fmt.Errorf("%s: copying the data of %s: %w", s.name, p.name, err)
	}
	if err := beStandby(data, s.name, p.conninfo(s.name, via)); err != nil {
		return fmt.Errorf("%s: %w", s.name, err)
	}
	return startFollowing(ctx, s)
}

// baseBackup copies the server's data as it is now. The log of the copying is in dir until it has succeeded.
func (s *pgServer) baseBackup(ctx context.Context, k *proc.Keeper, dir, data string, more ...string) error {
	path, err := beside(s.source, "pg_basebackup")
	if err != nil {
		return err
	}
	copying := pgTool(dir, path, append([]string{
		"--host=" + s.config.Host, "--port=" + pgPort, "--username=" + s.config.User, "--no-password",
		"--pgdata=" + data, "--wal-method=stream", "--checkpoint=fast",
	}, more...)...)
	copying.env = append(copying.env, "PGPASSWORD="+s.config.Password)
	return runTool(ctx, k, copying)
}

// beside finds a program in the folder of another, or in that to which the other is a link.
func beside(program, name string) (string, error) {
	target, err := filepath.EvalSymlinks(program)
	if err != nil {
		return "", err
	}
	for _, of := range []string{program, target} {
		if path := filepath.Join(filepath.Dir(of), name); executable(path) {
			return path, nil
		}
	}
	return "", fmt.Errorf("there is no %s beside %s; it comes with PostgreSQL's client programs", name, program)
}

// emptyDir removes what is in a directory, and leaves the directory, on which something may be mounted.
func emptyDir(dir string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	var errs []error
	for _, e := range entries {
		errs = append(errs, os.RemoveAll(filepath.Join(dir, e.Name())))
	}
	return errors.Join(errs...)
}

// write commits a transaction of its own, without waiting for any standby: a message in the log that nobody reads.
func (s *pgServer) write(ctx context.Context) error {
	if err := s.ask(ctx, func(c *pgx.Conn) error {
		return pgx.BeginFunc(ctx, c, func(tx pgx.Tx) error {
			_, err := tx.Exec(ctx, "SET LOCAL synchronous_commit = local")
			if err == nil {
				_, err = tx.Exec(ctx, "SELECT pg_logical_emit_message(true, 'shakedown', 'it takes writes')")
			}
			return err
		})
	}); err != nil {
		return fmt.Errorf("%s takes no writes: %w", s.name, s.plain(err))
	}
	return nil
}

// urlOfPrimary lists the addresses as libpq and pgx take them, and wants the one that takes writes.
func (s *pgServer) urlOfPrimary(addrs []string, client string) string {
	u, err := url.Parse(s.URLVia("", client))
	if err != nil {
		return "" // cannot be: it was made from a URL
	}
	var hosts, ports []string
	for _, addr := range addrs {
		host, port, err := net.SplitHostPort(addr)
		if err != nil {
			return ""
		}
		hosts, ports = append(hosts, host), append(ports, port)
	}
	q := u.Query()
	q.Set("host", strings.Join(hosts, ","))
	q.Set("port", strings.Join(ports, ","))
	q.Set("target_session_attrs", "read-write")
	u.RawQuery = q.Encode()
	return u.String()
}
