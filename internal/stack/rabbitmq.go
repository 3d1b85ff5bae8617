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
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"shakedown/internal/proc"
)

// rabbitKind is RabbitMQ: one node on loopback ports of its own, with a port mapper, a cookie and a home of its own, so that no other
// node of the machine meets it.
type rabbitKind struct{}

// rabbitDefaults are settings of rabbitmq.conf.
var rabbitDefaults = map[string]string{
	"log.console":                 "true",
	"log.file":                    "false",
	"log.console.level":           "warning",
	"collect_statistics_interval": "1000", // ms; a trial is short
}

// rabbitReserved are the settings that decide where the server is and who may use it, or what such settings begin with.
var rabbitReserved = []string{
	"listeners.", "log.", "prometheus.", "management.", "distribution.", "cluster_", "default_user", "default_pass", "default_vhost", "loopback_users", "ssl_",
}

// Name is "rabbitmq".
func (rabbitKind) Name() string { return "rabbitmq" }

// ClockFault says that RabbitMQ's clock cannot be changed.
func (rabbitKind) ClockFault() error {
	return noClock("corrects the time by a clock of its own (Erlang's time correction), and tells nobody what it is")
}

// Find finds the server's own script, not the one that Debian puts on PATH, which changes to a user of its own, and Erlang's port
// mapper.
func (k rabbitKind) Find() (Program, error) {
	path, ok := search("rabbitmq-server", []string{"rabbitmq-env"}, "/usr/lib/rabbitmq/lib/rabbitmq_server-*/sbin", "/usr/lib64/rabbitmq/lib/rabbitmq_server-*/sbin",
		"/opt/rabbitmq*/sbin", "/usr/lib/rabbitmq/sbin", "/opt/homebrew/opt/rabbitmq*/sbin", "/usr/local/opt/rabbitmq*/sbin")
	_, noMapper := exec.LookPath("epmd")
	if !ok || noMapper != nil {
		return Program{}, &MissingError{Engine: k.Name(), Programs: []string{"rabbitmq-server", "epmd"}, Packages: map[string]string{
			"Debian/Ubuntu": "apt-get install rabbitmq-server", "Fedora": "dnf install rabbitmq-server",
			"Alpine": "apk add rabbitmq-server", "macOS": "brew install rabbitmq",
		}}
	}
	version, err := rabbitVersion(filepath.Dir(filepath.Dir(path)))
	return Program{Path: path, Version: version}, err
}

var rabbitPlugin = regexp.MustCompile(`/rabbit-([0-9][0-9A-Za-z.-]*?)(\.ez)?$`)

// rabbitVersion reads the version off the plugin that the server is: asking the server would take a second.
func rabbitVersion(home string) (string, error) {
	found, _ := filepath.Glob(filepath.Join(home, "plugins", "rabbit-[0-9]*")) // the pattern is well formed
	for _, path := range found {
		if m := rabbitPlugin.FindStringSubmatch(path); m != nil {
			return m[1], nil
		}
	}
	return "", fmt.Errorf("no version of RabbitMQ: there is no plugins/rabbit-… in %s", home)
}

// CheckSettings refuses what decides where the server is.
func (k rabbitKind) CheckSettings(settings map[string]string) error {
	for _, name := range slices.Sorted(maps.Keys(settings)) {
		if slices.ContainsFunc(rabbitReserved, func(prefix string) bool { return strings.HasPrefix(name, prefix) }) {
			return fmt.Errorf("%s: the setting %s is the harness's own", k.Name(), name)
		}
	}
	return checkSettings(k.Name(), settings, nil)
}

const rabbitLike = "it should look like amqp://user:password@host:5672/vhost"

// Hosts asks the client.
func (rabbitKind) Hosts(address string) ([]string, error) {
	uri, err := amqp.ParseURI(address)
	if err != nil {
		return nil, errors.New("the address cannot be read: " + rabbitLike)
	}
	return []string{uri.Host}, nil
}

// Start starts a node in the run's directory.
func (k rabbitKind) Start(ctx context.Context, o StartOptions) (Instance, error) {
	o.Name = cmp.Or(o.Name, k.Name())
	if err := k.CheckSettings(o.Settings); err != nil {
		return nil, &SettingError{err}
	}
	if o.Arrangement.Clock {
		return nil, fmt.Errorf("%s: %w", o.Name, k.ClockFault())
	}
	if o.Host != nil {
		return nil, fmt.Errorf("%s: %w", o.Name, errNoHost)
	}
	program, err := k.Find()
	if err != nil {
		return nil, err
	}
	dir, err := newDir(o.Run, o.Name)
	if err != nil {
		return nil, err
	}
	r := &rabbitServer{
		loopbackServer: loopbackServer{name: o.Name, version: program.Version, source: program.Path, settings: maps.Clone(o.Settings)}, uri: amqp.URI{
			Scheme: "amqp", Host: "127.0.0.1", Username: "guest", Password: "guest", Vhost: "/", // the node's own user, who may come by loopback only
		},
	}
	if err := r.start(ctx, o, dir, program); err != nil {
		loopback.give(r.ports...)
		return nil, err
	}
	return r, nil
}

// The ports of a node, in the order in which they are taken.
const (
	amqpPort = iota
	metricsPort
	distPort
	mapperPort
	rabbitPorts
)

func (r *rabbitServer) start(ctx context.Context, o StartOptions, dir string, program Program) (err error) {
	if r.ports, err = takePorts(rabbitPorts); err != nil {
		return fmt.Errorf("%s: %w", r.name, err)
	}
	r.uri.Port = r.ports[amqpPort]
	data, fill, err := o.dataDir(dir)
	if err == nil {
		err = os.Mkdir(fill, 0o755)
	}
	if err == nil {
		err = errors.Join(giveAway(fill), r.configure(dir))
	}
	if err != nil {
		return fmt.Errorf("%s: %w", o.Name, err)
	}
	log := filepath.Join(o.LogDir, filepath.Base(dir)+".log")
	r.own = &own{
		Subject: newSubject(o, dir), keeper: o.Keeper, dir: dir, healthy: r.Healthy, now: brokerTime, words: rabbitWords, refuses: rabbitRefuses, tail: rabbitTail, prepare: r.startMapper,
		// What it would put in order as it ends is removed with its directory.
		sig:  syscall.SIGKILL,
		spec: proc.Spec{Name: o.Name, Path: program.Path, Env: r.environment(dir, data), Dir: dir, Credential: credential(), Log: log},
	}
	r.mapper = proc.Spec{
		Name: o.Name + "-epmd", Path: mapperPath(), Env: r.environment(dir, data), Dir: dir, Credential: credential(),
		Log: filepath.Join(o.LogDir, filepath.Base(dir)+"-epmd.log"),
	}
	if r.own.disk, err = o.mountDisk(ctx, dir); err != nil {
		return fmt.Errorf("%s: %w", o.Name, err)
	}
	if err := r.own.Start(ctx); err != nil {
		return errors.Join(err, r.stopMapper(ctx), r.own.disk.close(ctx))
	}
	return nil
}

func mapperPath() string {
	path, _ := exec.LookPath("epmd") // Find has seen it
	return path
}

// configure writes the node's files: rabbitmq.conf, and the plugins, of which the one for statistics is wanted.
func (r *rabbitServer) configure(dir string) error {
	var b strings.Builder
	names, values := merged(rabbitDefaults, r.settings)
	for _, name := range names {
		fmt.Fprintf(&b, "%s = %s\n", name, values[name])
	}
	fmt.Fprintf(&b, "listeners.tcp.1 = %s\nprometheus.tcp.ip = 127.0.0.1\nprometheus.tcp.port = %d\n", loopbackAddr(r.ports[amqpPort]), r.ports[metricsPort])
	return errors.Join(
		os.WriteFile(filepath.Join(dir, "rabbitmq.conf"), []byte(b.String()), 0o644),
		os.WriteFile(filepath.Join(dir, "enabled_plugins"), []byte("[rabbitmq_prometheus].\n"), 0o644),
	)
}

// environment is all that the node is told (rabbitmq-env-conf(5)); nothing of the harness's own reaches it but the path to Erlang. A node that
// thinks that systemd has started it is the process that was started, instead of the child of a shell.
func (r *rabbitServer) environment(dir, data string) []string {
	env := []string{
		"PATH=" + os.Getenv("PATH"), "LANG=C.UTF-8", "HOME=" + dir, "RUNNING_UNDER_SYSTEMD=true",
		fmt.Sprintf("ERL_EPMD_PORT=%d", r.ports[mapperPort]), "ERL_EPMD_ADDRESS=127.0.0.1",
		"RABBITMQ_NODENAME=shakedown@localhost", fmt.Sprintf("RABBITMQ_DIST_PORT=%d", r.ports[distPort]),
		"RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS=-kernel inet_dist_use_interface {127,0,0,1}",
		"RABBITMQ_MNESIA_BASE=" + data, "RABBITMQ_LOGS=-", "RABBITMQ_LOG_BASE=" + data,
	}
	for name, file := range map[string]string{
		"CONFIG_FILE": "rabbitmq.conf", "ENABLED_PLUGINS_FILE": "enabled_plugins",
		"ADVANCED_CONFIG_FILE": "no-advanced.config", "CONF_ENV_FILE": "no-env.conf", // nothing of /etc/rabbitmq
	} {
		env = append(env, "RABBITMQ_"+name+"="+filepath.Join(dir, file))
	}
	return env
}

// startMapper starts Erlang's port mapper, unless it runs: in the foreground, as a child that ends with the run. Without it the node would
// start one of its own, which daemonizes.
func (r *rabbitServer) startMapper(ctx context.Context) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.epmd != nil {
		select {
		case <-r.epmd.Done():
		default:
			return nil
		}
	}
	var err error
	if r.epmd, err = r.own.keeper.Start(ctx, r.mapper); err != nil {
		return err
	}
	for {
		conn, err := new(net.Dialer).DialContext(ctx, "tcp", loopbackAddr(r.ports[mapperPort]))
		if err == nil {
			return conn.Close()
		}
		select {
		case <-r.epmd.Done():
			return fmt.Errorf("the port mapper of Erlang ended (%s)%s", r.epmd.ExitState(), lastSaid(r.epmd))
		case <-ctx.Done():
			return fmt.Errorf("the port mapper of Erlang does not answer: %w", err)
		case <-time.After(askEvery):
		}
	}
}

func (r *rabbitServer) stopMapper(ctx context.Context) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.epmd == nil {
		return nil
	}
	return r.epmd.Stop(ctx, syscall.SIGTERM, stopGrace)
}

// brokerTime is the answer of a server that tells nobody what time it is.
func brokerTime(context.Context) (time.Time, error) {
	return time.Time{}, errors.New("the server can be asked for no time")
}

// rabbitTail is how many lines of its log are looked at for what it says is wrong: a long report of the crash comes after that.
const rabbitTail = 200

func rabbitRefuses(lines []string) bool {
	return slices.ContainsFunc(lines, func(line string) bool {
		return strings.Contains(line, "failed_to_prepare_configuration") || strings.Contains(line, "Error preparing configuration")
	})
}

// rabbitWords picks the complaint out of a log: what is marked as an error, without the marks.
func rabbitWords(lines []string) string {
	var grave []string
	for _, line := range lines {
		if _, text, ok := strings.Cut(line, "[error] "); ok {
			if _, text, _ = strings.Cut(text, "> "); strings.TrimSpace(text) != "" {
				grave = append(grave, text)
			}
		}
	}
	if said := oneLine(grave[:min(len(grave), 3)]); said != "" {
		return said
	}
	return oneLine(lines[max(0, len(lines)-3):])
}

// Attach connects to the node at the address, amqp://user:password@host:5672/vhost.
func (k rabbitKind) Attach(ctx context.Context, address string) (Instance, error) {
	uri, err := amqp.ParseURI(address)
	if err != nil {
		return nil, errors.New("--rabbitmq-url: the address cannot be read: " + rabbitLike)
	}
	r := &rabbitServer{loopbackServer: loopbackServer{name: k.Name(), source: withoutPassword(address)}, uri: uri}
	err = r.ask(ctx, func(c *amqp.Connection) error {
		r.version, _ = c.Properties["version"].(string)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("rabbitmq at %s: %w", r.source, err)
	}
	return r, nil
}

// rabbitServer is a running node.
type rabbitServer struct {
	loopbackServer
	uri    amqp.URI
	mapper proc.Spec

	mu   sync.Mutex
	epmd *proc.Process
}

var (
	_ Instance = (*rabbitServer)(nil)
	_ Disked   = (*rabbitServer)(nil)
)

// Kind is "rabbitmq".
func (*rabbitServer) Kind() string { return rabbitKind{}.Name() }

// URL is what amqp.Dial takes.
func (r *rabbitServer) URL() string { return r.uri.String() }

// URLVia is URL with the proxy's address in place of the server's.
func (r *rabbitServer) URLVia(addr, _ string) string {
	u, err := url.Parse(r.uri.String())
	if err != nil {
		return "amqp://" + addr // ParseURI has read the address, so it can be read
	}
	u.Host = addr
	return u.String()
}

// Dial is where the server listens: it knows no unix socket.
func (r *rabbitServer) Dial() (network, address string) {
	return "tcp", net.JoinHostPort(r.uri.Host, fmt.Sprint(r.uri.Port))
}

// ask connects, calls do, and hangs up.
func (r *rabbitServer) ask(ctx context.Context, do func(*amqp.Connection) error) error {
	conn, err := amqp.DialConfig(r.uri.String(), amqp.Config{
		Dial: func(network, addr string) (net.Conn, error) {
			conn, err := new(net.Dialer).DialContext(ctx, network, addr)
			if err != nil {
				return nil, err
			}
			if until, ok := ctx.Deadline(); ok {
				err = conn.SetDeadline(until)
			}
			return conn, err
		},
	})
	if err != nil {
		return err
	}
	stop := context.AfterFunc(ctx, func() { _ = conn.CloseDeadline(time.Now()) })
	defer stop()
	return errors.Join(do(conn), conn.Close())
}

// Healthy opens a channel and asks for an exchange that every node has.
func (r *rabbitServer) Healthy(ctx context.Context) error {
	err := r.ask(ctx, func(c *amqp.Connection) error {
		ch, err := c.Channel()
		if err != nil {
			return err
		}
		return ch.ExchangeDeclarePassive("amq.direct", amqp.ExchangeDirect, true, false, false, false, nil)
	})
	if err != nil {
		return fmt.Errorf("%s does not answer: %w", r.name, err)
	}
	return nil
}

// Reset does nothing: AMQP cannot list queues, and every trial has a node of its own.
func (*rabbitServer) Reset(context.Context) error { return nil }

// Stop ends the run's own server and its port mapper, and lets go of an attached one.
func (r *rabbitServer) Stop(ctx context.Context) error {
	if r.own == nil {
		return nil
	}
	err := errors.Join(r.own.stop(ctx), r.stopMapper(ctx))
	loopback.give(r.ports...)
	return err
}
