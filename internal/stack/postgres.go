package stack

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"

	"shakedown/internal/netns"
	"shakedown/internal/proc"
)

// postgres is PostgreSQL: on a unix socket with SCRAM authentication, so that connecting costs what it costs in production,
// and with durable writes unless an experiment asks for less.
type postgres struct{}

const (
	pgUser = "shakedown" // the superuser of own servers
	pgDB   = "shakedown"
	pgPort = "5432" // only a part of the socket's name: own servers listen on no port, unless they are on a host

	pgHarness = "shakedown-harness" // the application_name of connections that are no part of a trial begins so
)

var pgVersion = regexp.MustCompile(`\(PostgreSQL\) ([0-9]+(?:\.[0-9]+|devel|beta[0-9]+|rc[0-9]+)?)`)

var pgDefaults = map[string]string{
	"shared_buffers": "64MB",
	"log_lock_waits": "on",
	// Segments in /dev/shm would survive a SIGKILL; files in the data directory are removed with it.
	"dynamic_shared_memory_type": "mmap",
	"timezone":                   "UTC",
	"log_timezone":               "UTC",
	// How long a standby waits before it dials its primary again; of the 5 s that PostgreSQL waits, a trial has few.
	"wal_retrieve_retry_interval": "500ms",
	"log_line_prefix":             "%m [%p] ",
}

// pgReserved are the settings that decide where the server is and how it is kept.
var pgReserved = []string{
	"listen_addresses", "port", "unix_socket_directories", "unix_socket_permissions", "data_directory", "config_file", "hba_file",
	"ident_file", "external_pid_file", "logging_collector", "log_destination", "password_encryption",
}

// Name is "postgres".
func (postgres) Name() string { return "postgres" }

// Find finds postgres and initdb, the newest that is installed unless PATH says otherwise.
func (k postgres) Find() (Program, error) {
	path, ok := search("postgres", []string{"initdb"}, "/usr/lib/postgresql/*/bin", "/usr/pgsql-*/bin", "/usr/libexec/postgresql*",
		"/usr/local/pgsql/bin", "/opt/homebrew/opt/postgresql*/bin", "/usr/local/opt/postgresql*/bin")
	if !ok {
		return Program{}, &MissingError{Engine: k.Name(), Programs: []string{"postgres", "initdb"}, Packages: map[string]string{
			"Debian/Ubuntu": "apt-get install postgresql", "Fedora": "dnf install postgresql-server",
			"Alpine": "apk add postgresql", "macOS": "brew install postgresql",
		}}
	}
	version, err := askVersion(path, pgVersion)
	return Program{Path: path, Version: version}, err
}

// CheckSettings refuses what decides where the server is.
func (k postgres) CheckSettings(settings map[string]string) error {
	return checkSettings(k.Name(), settings, pgReserved)
}

// Start copies the template, which it makes first if need be, and starts a server on the copy.
func (k postgres) Start(ctx context.Context, o StartOptions) (Instance, error) {
	program, err := k.Find()
	if err != nil {
		return nil, err
	}
	template, err := openMould(ctx, o.Run.Root().Templates(), pgMould(o.Keeper, program))
	if err != nil {
		return nil, fmt.Errorf("postgres: %w", err)
	}
	defer template.release()
	s, err := k.start(ctx, o, program, template.password, func(_, data string) error { return copyTree(template.data(), data) })
	if err != nil {
		return nil, err
	}
	return s, nil
}

// start starts a server on a data directory in dir, which fill makes.
func (k postgres) start(ctx context.Context, o StartOptions, program Program, password string, fill func(dir, data string) error) (*pgServer, error) {
	o.Name = cmp.Or(o.Name, k.Name())
	if err := k.CheckSettings(o.Settings); err != nil {
		return nil, &SettingError{err}
	}
	dir, err := newDir(o.Run, o.Name)
	if err != nil {
		return nil, err
	}
	data, at, err := o.dataDir(dir)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", o.Name, err)
	}
	if err := fill(dir, at); err != nil {
		return nil, fmt.Errorf("%s: making its data: %w", o.Name, err)
	}
	if err := admit(at, o.Host); err != nil {
		return nil, fmt.Errorf("%s: %w", o.Name, err)
	}
	s, err := newServer(o.Name, ownURL(dir, password))
	if err != nil {
		return nil, err
	}
	s.version, s.source, s.settings, s.hostAddr = program.Version, program.Path, maps.Clone(o.Settings), addrOn(o.Host, pgPort)
	s.own = &own{
		Subject: newSubject(o, dir), keeper: o.Keeper, dir: dir, sig: syscall.SIGINT, // the "fast" shutdown: no waiting for clients
		healthy: s.Healthy, now: s.now, words: pgWords, refuses: pgRefuses,
		prepare: func(context.Context) error { return removeStalePid(data) },
		spec: proc.Spec{
			Name: o.Name, Path: program.Path, Args: pgArgs(dir, data, o.Host, o.Settings), Dir: data, Credential: credential(),
			Env: pgEnv(os.Environ()), Log: filepath.Join(o.LogDir, filepath.Base(dir)+".log"), Network: networkOf(o.Host),
		},
	}
	if s.own.disk, err = o.mountDisk(ctx, dir); err != nil {
		return nil, fmt.Errorf("%s: %w", o.Name, err)
	}
	if err := s.own.Start(ctx); err != nil {
		return nil, errors.Join(err, s.close(ctx), s.own.disk.close(ctx))
	}
	return s, nil
}

// admit lets the other hosts of the network connect, with the password that the socket asks for too.
func admit(data string, host *netns.Host) error {
	if host == nil {
		return nil
	}
	f, err := os.OpenFile(filepath.Join(data, "pg_hba.conf"), os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(f, "host all,replication all %s scram-sha-256\n", host.Prefix())
	return errors.Join(err, f.Close())
}

// removeStalePid removes the lock file of a killed postmaster. Whoever starts the server again knows that every process of the
// old one is gone, which the new one cannot see from inside its pid namespace.
func removeStalePid(data string) error {
	return removeStale(filepath.Join(data, "postmaster.pid"))
}

// removeStale removes a file that a killed server may have left.
func removeStale(path string) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return nil
}

func pgArgs(dir, data string, host *netns.Host, settings map[string]string) []string {
	args := []string{"-D", data}
	names, values := merged(pgDefaults, settings)
	for _, name := range names {
		args = append(args, "-c", name+"="+values[name])
	}
	listen := ""
	if host != nil {
		listen = host.Addr().String()
	}
	return append(args, "-c", "listen_addresses="+listen, "-c", "port="+pgPort, "-c", "unix_socket_directories="+dir,
		"-c", "unix_socket_permissions=0777", "-c", "logging_collector=off", "-c", "log_destination=stderr")
}

// pgEnv drops what would change how PostgreSQL's programs behave (PGDATA, PGOPTIONS …) and fixes the language of its messages.
func pgEnv(env []string) []string {
	env = slices.DeleteFunc(slices.Clone(env), func(v string) bool {
		return strings.HasPrefix(v, "PG") || strings.HasPrefix(v, "LC_") || strings.HasPrefix(v, "LANG")
	})
	return append(env, "LC_ALL=C", "TZ=UTC")
}

var pgSeverity = regexp.MustCompile(`(?:FATAL|PANIC|ERROR|HINT|DETAIL):`)

// pgWords picks the complaint out of a log: the lines with a severity, without the time and pid in front.
func pgWords(lines []string) string {
	var grave []string
	for _, line := range lines {
		// While the server starts, clients are turned away with a FATAL that says nothing about the server.
		if at := pgSeverity.FindStringIndex(line); at != nil && !strings.Contains(line, "the database system is") {
			grave = append(grave, line[at[0]:])
		}
	}
	if grave == nil {
		grave = lines
	}
	return oneLine(grave[max(0, len(grave)-3):])
}

// pgRefuses: PostgreSQL names the parameter whose value it cannot take, or which it does not know, in quotes.
func pgRefuses(lines []string) bool {
	return slices.ContainsFunc(lines, func(line string) bool {
		return strings.Contains(line, "FATAL:") && strings.Contains(line, `parameter "`)
	})
}
