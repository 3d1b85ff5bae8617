package stack

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"

	"shakedown/internal/netns"
	"shakedown/internal/proc"
)

// mariadbKind is MariaDB with InnoDB: on a unix socket with a password, and with durable writes unless an experiment asks for less.
type mariadbKind struct{}

const (
	mariadbUser = "shakedown"
	mariadbDB   = "shakedown"
	mariadbPort = "3306" // where a server on a host listens
)

var mariadbVersion = regexp.MustCompile(`Ver ([0-9]+\.[0-9]+\.[0-9]+)-MariaDB`)

var mariadbDefaults = map[string]string{
	"innodb_buffer_pool_size": "64M",
	"innodb_log_file_size":    "16M",
	"character_set_server":    "utf8mb4",
	"default_time_zone":       "+00:00",
}

// mariadbReserved are the options that decide where the server is and how it is kept.
var mariadbReserved = []string{
	"datadir", "socket", "port", "bind_address", "skip_networking", "pid_file", "user", "basedir", "tmpdir", "log_error", "plugin_dir",
	"innodb_data_home_dir", "innodb_log_group_home_dir", "skip_grant_tables", "init_file", "chroot", "defaults_file",
}

// Name is "mariadb".
func (mariadbKind) Name() string { return "mariadb" }

// Find finds mariadbd, and the program that makes its first tables.
func (k mariadbKind) Find() (Program, error) {
	path, ok := search("mariadbd", nil, "/usr/sbin", "/usr/libexec", "/usr/bin", "/usr/local/bin", "/opt/homebrew/opt/mariadb*/bin",
		"/usr/local/opt/mariadb*/bin")
	if _, tables := installDB(path); !ok || !tables {
		return Program{}, &MissingError{Engine: k.Name(), Programs: []string{"mariadbd", "mariadb-install-db"}, Packages: map[string]string{
			"Debian/Ubuntu": "apt-get install mariadb-server", "Fedora": "dnf install mariadb-server",
			"Alpine": "apk add mariadb", "macOS": "brew install mariadb",
		}}
	}
	version, err := askVersion(path, mariadbVersion)
	return Program{Path: path, Version: version}, err
}

// installDB finds the program that makes the first tables, beside the server or where programs of users are.
func installDB(server string) (string, bool) {
	return search("mariadb-install-db", nil, filepath.Dir(server), filepath.Join(filepath.Dir(server), "..", "bin"), "/usr/bin", "/usr/local/bin")
}

// CheckSettings refuses what decides where the server is. MariaDB takes a hyphen for an underscore.
func (k mariadbKind) CheckSettings(settings map[string]string) error {
	spelt := map[string]string{}
	for name, value := range settings {
		spelt[strings.ReplaceAll(name, "-", "_")] = value
	}
	return checkSettings(k.Name(), spelt, mariadbReserved)
}

// Start copies the template, which it makes first if need be, and starts a server on the copy.
func (k mariadbKind) Start(ctx context.Context, o StartOptions) (Instance, error) {
	o.Name = cmp.Or(o.Name, k.Name())
	if err := k.CheckSettings(o.Settings); err != nil {
		return nil, &SettingError{err}
	}
	program, err := k.Find()
	if err != nil {
		return nil, err
	}
	template, err := openMould(ctx, o.Run.Root().Templates(), mariadbMould(o.Keeper, program))
	if err != nil {
		return nil, fmt.Errorf("mariadb: %w", err)
	}
	defer template.release()
	dir, err := newDir(o.Run, o.Name)
	if err != nil {
		return nil, err
	}
	data, fill, err := o.dataDir(dir)
	if err == nil {
		err = copyTree(template.data(), fill)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: making its data: %w", o.Name, err)
	}
	s, err := newMariaDB(o.Name, mariadbURL(dir, template.password))
	if err != nil {
		return nil, err
	}
	s.version, s.source, s.settings, s.hostAddr = program.Version, program.Path, maps.Clone(o.Settings), addrOn(o.Host, mariadbPort)
	s.own = &own{
		Subject: newSubject(o, dir), keeper: o.Keeper, dir: dir, sig: syscall.SIGTERM,
		healthy: s.Healthy, now: s.now, words: mariadbWords, refuses: mariadbRefuses,
		spec: proc.Spec{
			Name: o.Name, Path: program.Path, Args: mariadbArgs(dir, data, o.Host, o.Settings), Dir: dir, Credential: credential(),
			Env: mariadbEnv(os.Environ()), Log: filepath.Join(o.LogDir, filepath.Base(dir)+".log"), Network: networkOf(o.Host),
		},
	}
	if s.own.disk, err = o.mountDisk(ctx, dir); err != nil {
		return nil, errors.Join(fmt.Errorf("%s: %w", o.Name, err), s.db.Close())
	}
	if err := s.own.Start(ctx); err != nil {
		return nil, errors.Join(err, s.db.Close(), s.own.disk.close(ctx))
	}
	return s, nil
}

// mariadbMould is the data of a server with the harness's user and database, and with no other user.
func mariadbMould(k *proc.Keeper, program Program) mould {
	install, _ := installDB(program.Path)
	args := []string{
		"--no-defaults", "--auth-root-authentication-method=normal", "--skip-test-db", "--skip-name-resolve", "--innodb-log-file-size=16M",
	}
	return mould{
		name: "mariadb-" + program.Version, of: append([]string{program.Path, install, mariadbDB}, args...),
		whole: []string{"ibdata1", "mysql", mariadbDB},
		fill: func(ctx context.Context, dir, data, password string) error {
			run := tool{dir: dir, env: mariadbEnv(os.Environ()), words: mariadbWords, failed: "[ERROR]"}
			first := run
			first.path, first.args = install, append(slices.Clone(args), "--datadir="+data)
			if err := runTool(ctx, k, first); err != nil {
				return err
			}
			return mariadbAccounts(ctx, k, run, program, data, password)
		},
	}
}

// mariadbAccounts makes the user and the database without a server, and removes those that the installation made.
func mariadbAccounts(ctx context.Context, k *proc.Keeper, run tool, program Program, data, password string) error {
	script := filepath.Join(run.dir, "create.sql")
	sql := fmt.Sprintf("flush privileges;\ncreate database %s;\ncreate user '%s'@'%%' identified by '%s';\ngrant all on *.* to '%s'@'%%' with grant option;\n"+
		"delete from mysql.global_priv where user <> '%s' and user <> 'mariadb.sys';\n", mariadbDB, mariadbUser, password, mariadbUser, mariadbUser)
	if err := os.WriteFile(script, []byte(sql), 0o600); err != nil {
		return err
	}
	in, err := os.Open(script)
	if err != nil {
		return err
	}
	defer func() { _ = in.Close() }()
	run.path, run.stdin = program.Path, in
	run.args = []string{"--no-defaults", "--bootstrap", "--datadir=" + data, "--innodb-log-file-size=16M"}
	return errors.Join(runTool(ctx, k, run), os.Remove(script))
}

func mariadbArgs(dir, data string, host *netns.Host, settings map[string]string) []string {
	args := []string{
		"--no-defaults", "--datadir=" + data, "--socket=" + filepath.Join(dir, mariadbSocket), "--pid-file=" + filepath.Join(dir, "mariadb.pid"),
		"--tmpdir=" + dir,
	}
	if on, _, err := net.SplitHostPort(addrOn(host, mariadbPort)); err == nil {
		args = append(args, "--bind-address="+on, "--port="+mariadbPort)
	} else {
		args = append(args, "--skip-networking")
	}
	spelt := map[string]string{}
	for name, value := range settings {
		spelt[strings.ReplaceAll(name, "-", "_")] = value
	}
	names, values := merged(mariadbDefaults, spelt)
	for _, name := range names {
		args = append(args, "--"+strings.ReplaceAll(name, "_", "-")+"="+values[name])
	}
	return args
}

// mariadbEnv drops what MariaDB's programs read options from, and fixes the language of its messages.
func mariadbEnv(env []string) []string {
	env = slices.DeleteFunc(slices.Clone(env), func(v string) bool {
		return strings.HasPrefix(v, "MYSQL") || strings.HasPrefix(v, "MARIADB") || strings.HasPrefix(v, "LC_") || strings.HasPrefix(v, "LANG")
	})
	return append(env, "LC_ALL=C", "TZ=UTC")
}

const mariadbError = "[ERROR]"

// mariadbWords picks the complaint out of a log: the errors, without the time in front and without that it gives up.
func mariadbWords(lines []string) string {
	var grave []string
	for _, line := range lines {
		if _, said, ok := strings.Cut(line, mariadbError); ok && !strings.HasSuffix(said, " Aborting") {
			grave = append(grave, strings.TrimSpace(said))
		}
	}
	if grave == nil {
		grave = lines
	}
	return oneLine(grave[max(0, len(grave)-3):])
}

// mariadbOption is what MariaDB says of an option that is not known, or whose value is not.
var mariadbOption = regexp.MustCompile(`unknown (?:variable|option) '|ambiguous option '|Unknown suffix '|Error while setting value '|Wrong value|` +
	`option '.*' cannot|Unknown/unsupported`)

func mariadbRefuses(lines []string) bool {
	return slices.ContainsFunc(lines, func(line string) bool { return mariadbOption.MatchString(line) })
}
