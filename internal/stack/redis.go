package stack

import (
	"cmp"
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
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/logging"

	"shakedown/chaos"
	"shakedown/chaos/disk"
	"shakedown/internal/proc"
)

// redisKind is Redis: on a unix socket, without a password, and without persistence unless an experiment asks for it.
type redisKind struct{}

var redisVersion = regexp.MustCompile(`\bv=([0-9][0-9A-Za-z.-]*)`)

var redisDefaults = map[string]string{
	"save":        `""`,
	"appendonly":  "no",
	"loglevel":    "notice",
	"maxclients":  "10000",
	"tcp-backlog": "511",
	// How long a primary waits for more replicas to come before it sends its data; the 5 s of Redis 7 are for large clusters.
	"repl-diskless-sync-delay": "0",
}

// redisReserved are the settings that decide where the server is and how it is kept.
var redisReserved = []string{
	"port", "bind", "unixsocket", "unixsocketperm", "dir", "daemonize", "logfile", "pidfile", "supervised", "include", "loadmodule",
	"requirepass", "aclfile", "user", "replicaof", "slaveof", "replica-announce-ip",
}

// redisPort is where a server on a host listens.
const redisPort = "6379"

// Name is "redis".
func (redisKind) Name() string { return "redis" }

// Find finds redis-server.
func (k redisKind) Find() (Program, error) {
	path, ok := search("redis-server", nil, "/usr/bin", "/usr/local/bin", "/opt/homebrew/opt/redis*/bin", "/usr/local/opt/redis*/bin")
	if !ok {
		return Program{}, &MissingError{Engine: k.Name(), Programs: []string{"redis-server"}, Packages: map[string]string{
			"Debian/Ubuntu": "apt-get install redis-server", "Fedora": "dnf install redis",
			"Alpine": "apk add redis", "macOS": "brew install redis",
		}}
	}
	version, err := askVersion(path, redisVersion)
	return Program{Path: path, Version: version}, err
}

// CheckSettings refuses what decides where the server is.
func (k redisKind) CheckSettings(settings map[string]string) error {
	return checkSettings(k.Name(), settings, redisReserved)
}

// Start starts a Redis server in the run's directory.
func (k redisKind) Start(ctx context.Context, o StartOptions) (Instance, error) {
	r, err := k.start(ctx, o, "")
	if err != nil {
		return nil, err
	}
	return r, nil
}

// start starts a server that follows the primary at the address, or none when it is empty.
func (k redisKind) start(ctx context.Context, o StartOptions, primary string) (*redisServer, error) {
	o.Name = cmp.Or(o.Name, k.Name())
	if err := k.CheckSettings(o.Settings); err != nil {
		return nil, &SettingError{err}
	}
	program, err := k.Find()
	if err != nil {
		return nil, err
	}
	dir, err := newDir(o.Run, o.Name)
	if err != nil {
		return nil, err
	}
	data, fill, err := o.dataDir(dir)
	if err == nil {
		err = os.Mkdir(fill, 0o755)
	}
	if err == nil {
		err = giveAway(fill)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", o.Name, err)
	}
	socket := filepath.Join(dir, "redis.sock")
	r := &redisServer{
		data: data,
		name: o.Name, version: program.Version, source: program.Path, settings: maps.Clone(o.Settings), network: "unix", address: socket,
		config: filepath.Join(dir, "redis.conf"), hostAddr: addrOn(o.Host, redisPort),
	}
	if err := r.configure(primary); err != nil {
		return nil, err
	}
	r.url = (&url.URL{Scheme: "unix", Path: socket}).String()
	r.options = &redis.Options{Network: "unix", Addr: socket}
	r.client = newClient(r.options)
	r.own = &own{
		Subject: newSubject(o, dir), keeper: o.Keeper, dir: dir, sig: syscall.SIGTERM,
		healthy: r.Healthy, now: r.now, words: redisWords, refuses: redisRefuses,
		spec: proc.Spec{
			Name: o.Name, Path: program.Path, Args: []string{r.config}, Dir: data, Credential: credential(),
			Log: filepath.Join(o.LogDir, filepath.Base(dir)+".log"), Network: networkOf(o.Host),
		},
	}
	if r.own.disk, err = o.mountDisk(ctx, dir); err != nil {
		return nil, errors.Join(fmt.Errorf("%s: %w", o.Name, err), r.client.Close())
	}
	if err := r.own.Start(ctx); err != nil {
		return nil, errors.Join(err, r.client.Close(), r.own.disk.close(ctx))
	}
	return r, nil
}

// configure writes the redis.conf that the next start reads: one setting a line, values as Redis writes them, so that one with
// several words is several arguments. The address of a primary makes the server its replica.
func (r *redisServer) configure(primary string) error {
	var b strings.Builder
	names, values := merged(redisDefaults, r.settings)
	for _, name := range names {
		value := values[name]
		if value == "" {
			value = `""`
		}
		fmt.Fprintf(&b, "%s %s\n", name, value)
	}
	if host, port, err := net.SplitHostPort(r.hostAddr); err == nil {
		// Nobody but the run's hosts can reach it, and none of them is on its loopback, to which Redis would restrict them.
		fmt.Fprintf(&b, "bind %s\nport %s\nprotected-mode no\n", host, port)
	} else {
		b.WriteString("port 0\n")
	}
	fmt.Fprintf(&b, "unixsocket %q\nunixsocketperm 777\ndir %q\ndaemonize no\nlogfile \"\"\n", r.address, r.data)
	// It listens on no port that a primary could announce it by.
	fmt.Fprintf(&b, "replica-announce-ip %s\n", r.name)
	if primary != "" {
		host, port, err := net.SplitHostPort(primary)
		if err != nil {
			return fmt.Errorf("the address of the primary of %s: %w", r.name, err)
		}
		fmt.Fprintf(&b, "replicaof %s %s\n", host, port)
	}
	if err := os.WriteFile(r.config, []byte(b.String()), 0o644); err != nil {
		return fmt.Errorf("writing the configuration of %s: %w", r.name, err)
	}
	return nil
}

const redisConfigError = "FATAL CONFIG FILE ERROR"

func redisRefuses(lines []string) bool {
	return slices.ContainsFunc(lines, func(line string) bool { return strings.Contains(line, redisConfigError) })
}

// redisWords picks the complaint out of a log: Redis prints a block below "FATAL CONFIG FILE ERROR".
func redisWords(lines []string) string {
	for i, line := range lines {
		if strings.Contains(line, redisConfigError) {
			return oneLine(lines[i:])
		}
	}
	var grave []string
	for _, line := range lines {
		if strings.Contains(line, " # ") { // the mark of a warning
			grave = append(grave, line)
		}
	}
	if grave == nil {
		grave = lines
	}
	return oneLine(grave[max(0, len(grave)-3):])
}

// Attach connects to the Redis at the address: redis://[user:password@]host:port/db, rediss:// or unix://path.
func (k redisKind) Attach(ctx context.Context, address string) (Instance, error) {
	options, err := redis.ParseURL(address)
	if err != nil {
		return nil, fmt.Errorf("--redis-url: %w", withoutURL(err))
	}
	r := &redisServer{name: k.Name(), source: withoutPassword(address), url: address, options: options, network: options.Network, address: options.Addr}
	r.client = newClient(options)
	info, err := r.info(ctx)
	if err != nil {
		_ = r.client.Close()
		return nil, fmt.Errorf("redis at %s: %w", r.source, err)
	}
	r.version = info["redis_version"]
	return r, nil
}

// quietRedis silences go-redis' own logger, which is global: what a client could not do, its caller says.
var quietRedis = sync.OnceFunc(logging.Disable)

// newClient is a client for the harness's own questions: it asks once, and gives up when the context ends.
func newClient(o *redis.Options) *redis.Client {
	quietRedis()
	o.MaxRetries, o.DialerRetries, o.PoolSize, o.ContextTimeoutEnabled = -1, 1, 2, true
	return redis.NewClient(o)
}

// reach connects and hangs up. A pool of go-redis that fails to connect complains on standard error, and then refuses to try
// again for a second; a server that is being started or was killed must not cause either.
func (r *redisServer) reach(ctx context.Context) error {
	conn, err := new(net.Dialer).DialContext(ctx, r.network, r.address)
	if err != nil {
		return err
	}
	return conn.Close()
}

// redisServer is a running Redis.
type redisServer struct {
	name, version, source, url string
	hostAddr                   string
	network, address           string
	settings                   map[string]string
	options                    *redis.Options
	client                     *redis.Client
	config                     string // the path of its redis.conf
	data                       string // the folder of its files
	own                        *own   // nil when attached
	group                      *Group // nil when alone
}

var (
	_ Instance = (*redisServer)(nil)
	_ Disked   = (*redisServer)(nil)
)

// Name is the server's name.
func (r *redisServer) Name() string { return r.name }

// Kind is "redis".
func (*redisServer) Kind() string { return redisKind{}.Name() }

// Version is the server's version.
func (r *redisServer) Version() string { return r.version }

// Source is where the server comes from.
func (r *redisServer) Source() string { return r.source }

// Settings are those that were asked for.
func (r *redisServer) Settings() map[string]string { return r.settings }

// URL is what redis.ParseURL takes.
func (r *redisServer) URL() string { return r.url }

// Dial is where the server listens.
func (r *redisServer) Dial() (network, address string) { return r.network, r.address }

// HostAddr is where other hosts find the server.
func (r *redisServer) HostAddr() string { return r.hostAddr }

// URLVia is URL with the proxy's address in place of the server's. To name its connections would cost the client a command on each.
func (r *redisServer) URLVia(addr, _ string) string {
	u := url.URL{Scheme: "redis", Host: addr, Path: fmt.Sprintf("/%d", r.options.DB)}
	if r.options.TLSConfig != nil {
		u.Scheme = "rediss"
	}
	if r.options.Password != "" || r.options.Username != "" {
		u.User = url.UserPassword(r.options.Username, r.options.Password)
	}
	return u.String()
}

// Healthy sends PING.
func (r *redisServer) Healthy(ctx context.Context) error {
	err := r.reach(ctx)
	if err == nil {
		err = r.client.Ping(ctx).Err()
	}
	if err != nil {
		return fmt.Errorf("%s does not answer: %w", r.name, err)
	}
	return nil
}

// Process is the server's process.
func (r *redisServer) Process() chaos.Process {
	if r.own == nil {
		return foreign(r.name)
	}
	return r.own
}

// Disk is the disk that its data is on.
func (r *redisServer) Disk() *disk.Disk { return r.own.ownDisk() }

// Crashed says whether the run's own server died by itself.
func (r *redisServer) Crashed() error {
	if r.own == nil {
		return nil
	}
	return r.own.crashed()
}

// now is the time that the server has.
func (r *redisServer) now(ctx context.Context) (time.Time, error) {
	if err := r.reach(ctx); err != nil {
		return time.Time{}, err
	}
	return r.client.Time(ctx).Result()
}

// Reset empties the run's own server; an attached one is left as it is, and a replica to its primary.
func (r *redisServer) Reset(ctx context.Context) error {
	if r.own == nil {
		return nil
	}
	if info, err := r.info(ctx); err != nil || info["role"] == "slave" {
		return err
	}
	if err := r.client.FlushAll(ctx).Err(); err != nil {
		return fmt.Errorf("emptying redis: %w", err)
	}
	return nil
}

// Stop ends the run's own server, and lets go of an attached one.
func (r *redisServer) Stop(ctx context.Context) error {
	err := r.client.Close()
	if errors.Is(err, redis.ErrClosed) {
		err = nil
	}
	if r.own != nil {
		err = errors.Join(err, r.own.stop(ctx))
	}
	return err
}
