package stack

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"shakedown/chaos"
	"shakedown/internal/proc"
)

// pgBouncer is PgBouncer before a PostgreSQL: on a unix socket, without a password of its own, and with PostgreSQL's towards the server.
type pgBouncer struct {
	loopbackServer
	dir      string
	hostAddr string
}

var _ Instance = (*pgBouncer)(nil)

const (
	bouncerKind = "pgbouncer"
	bouncerPort = "6432" // only a part of the socket's name, unless it is on a host
	// bouncerConsole is the database whose answers are the pooler's own (PgBouncer manual, "Admin console").
	bouncerConsole = "pgbouncer"
)

var (
	bouncerVersion = regexp.MustCompile(`PgBouncer ([0-9][0-9A-Za-z.]*)`)
	bouncerRefusal = regexp.MustCompile(`(?i)unknown parameter|invalid value|cannot load config`)
	bouncerGrave   = regexp.MustCompile(`(?:FATAL|ERROR|WARNING) .*`)
)

// bouncerReserved are the settings that decide where the pooler is, who may use it, and what is behind it.
var bouncerReserved = []string{
	"listen_addr", "listen_port", "unix_socket_dir", "unix_socket_mode", "unix_socket_group", "auth_type", "auth_file", "auth_hba_file", "auth_query", "auth_user",
	"admin_users", "stats_users", "logfile", "pidfile", "syslog", "user", "conffile", "service_name",
}

// FindPooler finds PgBouncer.
func (postgres) FindPooler() (Program, error) {
	path, ok := search("pgbouncer", nil, "/usr/sbin", "/usr/bin", "/usr/local/bin", "/opt/homebrew/opt/pgbouncer/bin")
	if !ok {
		return Program{}, &MissingError{Engine: bouncerKind, Programs: []string{"pgbouncer"}, Packages: map[string]string{
			"Debian/Ubuntu": "apt-get install pgbouncer", "Fedora": "dnf install pgbouncer", "Alpine": "apk add pgbouncer", "macOS": "brew install pgbouncer",
		}}
	}
	version, err := askVersion(path, bouncerVersion)
	return Program{Path: path, Version: version}, err
}

// CheckPooler refuses what decides where the pooler is and who may use it.
func (postgres) CheckPooler(settings map[string]string) error {
	return checkSettings(bouncerKind, settings, bouncerReserved)
}

// StartPooler starts a PgBouncer in the run's directory.
func (k postgres) StartPooler(ctx context.Context, server Instance, via string, o StartOptions) (Instance, error) {
	s, err := ownInstance[*pgServer](o.Name, server)
	if err != nil {
		return nil, err
	}
	if err := k.CheckPooler(o.Settings); err != nil {
		return nil, &SettingError{err}
	}
	program, err := k.FindPooler()
	if err != nil {
		return nil, err
	}
	dir, err := newDir(o.Run, o.Name)
	if err != nil {
		return nil, err
	}
	b := &pgBouncer{dir: dir, hostAddr: addrOn(o.Host, bouncerPort), loopbackServer: loopbackServer{
		name: o.Name, version: program.Version, source: program.Path, settings: maps.Clone(o.Settings),
	}}
	config := filepath.Join(dir, "pgbouncer.ini")
	text, err := b.configuration(s, via)
	if err == nil {
		err = os.WriteFile(config, []byte(text), 0o600)
	}
	if err = errors.Join(err, giveAway(config)); err != nil {
		return nil, fmt.Errorf("%s: %w", o.Name, err)
	}
	b.own = &own{
		Subject: newSubject(o, dir), keeper: o.Keeper, dir: dir, sig: syscall.SIGTERM, healthy: b.Healthy, now: func(context.Context) (time.Time, error) { return time.Time{}, errBouncerClock }, words: bouncerWords,
		refuses: func(lines []string) bool { return slices.ContainsFunc(lines, bouncerRefusal.MatchString) },
		prepare: func(context.Context) error { return removeStale(b.socket()) },
		spec: proc.Spec{
			Name: o.Name, Path: program.Path, Args: []string{config}, Dir: dir, Credential: credential(), Env: pgEnv(os.Environ()),
			Log: filepath.Join(o.LogDir, filepath.Base(dir)+".log"), Network: networkOf(o.Host),
		},
	}
	if err := b.own.Start(ctx); err != nil {
		return nil, err
	}
	return b, nil
}

// configuration lets everybody in who reaches it, as the server's own user.
func (b *pgBouncer) configuration(server *pgServer, via string) (string, error) {
	host, port, err := net.SplitHostPort(via)
	if err != nil {
		return "", fmt.Errorf("where %s is: %w", server.Name(), err)
	}
	var listen string
	if b.hostAddr != "" {
		if listen, _, err = net.SplitHostPort(b.hostAddr); err != nil {
			return "", err
		}
	}
	names, values := merged(map[string]string{
		"listen_addr": listen, "listen_port": bouncerPort, "unix_socket_dir": b.dir, "auth_type": "any", "admin_users": pgUser,
		"ignore_startup_parameters": "extra_float_digits",
	}, b.settings)
	var text strings.Builder
	fmt.Fprintf(&text, "[databases]\n* = host=%s port=%s user=%s password='%s'\n[pgbouncer]\n",
		host, port, server.config.User, strings.ReplaceAll(server.config.Password, "'", "''"))
	for _, name := range names {
		fmt.Fprintf(&text, "%s = %s\n", name, values[name])
	}
	return text.String(), nil
}

// bouncerWords picks the complaint out of a log, without the time and pid in front.
func bouncerWords(lines []string) string {
	var grave []string
	for _, line := range lines {
		if said := bouncerGrave.FindString(line); said != "" {
			grave = append(grave, said)
		}
	}
	if grave == nil {
		grave = lines
	}
	return oneLine(grave[max(0, len(grave)-3):])
}

// Kind is "pgbouncer".
func (*pgBouncer) Kind() string { return bouncerKind }

func (b *pgBouncer) socket() string { return filepath.Join(b.dir, ".s.PGSQL."+bouncerPort) }

func (b *pgBouncer) url(database string) string {
	u := url.URL{Scheme: "postgres", User: url.User(pgUser), Path: "/" + database}
	u.RawQuery = url.Values{"host": {b.dir}, "port": {bouncerPort}, "sslmode": {"disable"}}.Encode()
	return u.String()
}

// URL is what pgx.ParseConfig takes.
func (b *pgBouncer) URL() string { return b.url(pgDB) }

// URLVia is URL with the proxy's address in place of the pooler's, and the client's name as its application_name.
func (b *pgBouncer) URLVia(addr, client string) string { return pgURLVia(b.URL(), addr, client) }

// Dial is where the pooler listens.
func (b *pgBouncer) Dial() (network, address string) { return "unix", b.socket() }

// HostAddr is where other hosts find the pooler.
func (b *pgBouncer) HostAddr() string { return b.hostAddr }

// console asks the pooler itself.
func (b *pgBouncer) console(ctx context.Context, question string) (*pgconn.Result, error) {
	conn, err := pgconn.Connect(ctx, b.url(bouncerConsole))
	if err != nil {
		return nil, err
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	results, err := conn.Exec(ctx, question).ReadAll()
	if err != nil || len(results) != 1 {
		return nil, errors.Join(err, fmt.Errorf("%s: %d results", question, len(results)))
	}
	return results[0], nil
}

// Healthy asks the pooler about itself: it is well while the server behind it is not.
func (b *pgBouncer) Healthy(ctx context.Context) error {
	if _, err := b.console(ctx, "SHOW VERSION"); err != nil {
		return fmt.Errorf("%s does not answer: %s", b.name, oneLine(strings.Split(err.Error(), "\n")))
	}
	return nil
}

// bouncerStats names the columns of SHOW POOLS that are read, summed over pools.
var bouncerStats = map[string]string{
	"cl_active": "shakedown_pgbouncer_clients_active", "cl_waiting": "shakedown_pgbouncer_clients_waiting",
	"sv_active": "shakedown_pgbouncer_servers_active", "sv_idle": "shakedown_pgbouncer_servers_idle",
}

// Stats are how many clients are served and wait, and how many connections to the server are in use and not.
func (b *pgBouncer) Stats(ctx context.Context) ([]Stat, error) {
	pools, err := b.console(ctx, "SHOW POOLS")
	if err != nil {
		return nil, fmt.Errorf("statistics of %s: %w", b.name, err)
	}
	var stats []Stat
	for i, column := range pools.FieldDescriptions {
		name, ok := bouncerStats[column.Name]
		if !ok {
			continue
		}
		total := Stat{Name: name, Type: "gauge"}
		for _, row := range pools.Rows {
			n, err := strconv.ParseFloat(string(row[i]), 64)
			if err != nil {
				return nil, fmt.Errorf("statistics of %s: %s: %w", b.name, column.Name, err)
			}
			total.Value += n
		}
		stats = append(stats, total)
	}
	return stats, nil
}

// Reset leaves the pooler as it is: what it holds are connections.
func (*pgBouncer) Reset(context.Context) error { return nil }

// Stop ends the pooler, which closes its connections.
func (b *pgBouncer) Stop(ctx context.Context) error { return b.own.stop(ctx) }

// Process is the pooler's process.
func (b *pgBouncer) Process() chaos.Process { return bouncerProcess{b.own} }

// bouncerProcess is a process whose clock nobody sees.
type bouncerProcess struct{ *own }

var _ chaos.Skewable = bouncerProcess{}

var errBouncerClock = noClock("is a pooler, whose clock nobody is told")

// CanSkew fails.
func (bouncerProcess) CanSkew() error { return errBouncerClock }

// Skew fails.
func (bouncerProcess) Skew(context.Context, chaos.Skew) error { return errBouncerClock }
