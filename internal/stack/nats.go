package stack

import (
	"cmp"
	"context"
	"encoding/json"
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

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"shakedown/internal/proc"
	"shakedown/internal/workdir"
)

// natsKind is NATS with JetStream: one server on a loopback port.
type natsKind struct{}

var natsVersion = regexp.MustCompile(`\bv([0-9][0-9A-Za-z.-]*)`)

// natsReserved are the settings that decide where the server is and who may use it.
var natsReserved = []string{
	"listen", "host", "port", "net", "http", "http_port", "https", "https_port", "server_name", "pid_file", "log_file", "logfile", "ports_file_dir", "include",
	"authorization", "accounts", "tls", "cluster", "gateway", "leafnodes", "mqtt", "websocket", "jetstream", "jetstream.store_dir", "jetstream.enabled",
}

const natsJetStream = "jetstream."

// Name is "nats".
func (natsKind) Name() string { return "nats" }

// ClockFault says that the clock of NATS cannot be changed.
func (natsKind) ClockFault() error { return errGoClock }

// Find finds nats-server: the one that scripts/setup has built, or another.
func (k natsKind) Find() (Program, error) {
	folders := append(workdir.Programs(), "/usr/bin", "/usr/sbin", "/usr/local/bin", "/opt/homebrew/bin")
	path, ok := firstIn("nats-server", folders[:len(folders)-4])
	if !ok {
		path, ok = search("nats-server", nil, folders...)
	}
	if !ok {
		return Program{}, &MissingError{Engine: k.Name(), Programs: []string{"nats-server"}, Packages: map[string]string{
			"Debian/Ubuntu": "scripts/setup test, or GOBIN=/usr/local/bin go install github.com/nats-io/nats-server/v2@latest",
			"Alpine":        "apk add nats-server", "macOS": "brew install nats-server",
		}}
	}
	version, err := askVersion(path, natsVersion)
	return Program{Path: path, Version: version}, err
}

// firstIn is the program in the first folder that has it.
func firstIn(name string, folders []string) (string, bool) {
	for _, dir := range folders {
		if path := filepath.Join(dir, name); whole(path, nil) {
			return path, true
		}
	}
	return "", false
}

// CheckSettings refuses what decides where the server is.
func (k natsKind) CheckSettings(settings map[string]string) error {
	return checkSettings(k.Name(), settings, natsReserved)
}

const natsLike = "it should look like nats://user:password@host:4222"

// Hosts reads the address.
func (natsKind) Hosts(address string) ([]string, error) {
	u, err := parseNATS(address)
	if err != nil {
		return nil, err
	}
	return []string{u.Hostname()}, nil
}

func parseNATS(address string) (*url.URL, error) {
	u, err := url.Parse(address)
	if err != nil || (u.Scheme != "nats" && u.Scheme != "tls") || u.Hostname() == "" {
		return nil, errors.New("the address cannot be read: " + natsLike)
	}
	if u.Port() == "" {
		u.Host = net.JoinHostPort(u.Hostname(), strconv.Itoa(nats.DefaultPort))
	}
	return u, nil
}

// Start starts a server in the run's directory.
func (k natsKind) Start(ctx context.Context, o StartOptions) (Instance, error) {
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
	n := &natsServer{loopbackServer: loopbackServer{name: o.Name, version: program.Version, source: program.Path, settings: maps.Clone(o.Settings)}}
	if err := n.start(ctx, o, dir, program); err != nil {
		loopback.give(n.ports...)
		return nil, err
	}
	return n, nil
}

func (n *natsServer) start(ctx context.Context, o StartOptions, dir string, program Program) (err error) {
	if n.ports, err = takePorts(2); err != nil { // for clients, and for statistics
		return fmt.Errorf("%s: %w", o.Name, err)
	}
	n.url = &url.URL{Scheme: "nats", Host: loopbackAddr(n.ports[0])}
	data, fill, err := o.dataDir(dir)
	if err == nil {
		err = os.Mkdir(fill, 0o755)
	}
	config := filepath.Join(dir, "nats.conf")
	if err == nil {
		err = errors.Join(giveAway(fill), os.WriteFile(config, []byte(n.configuration(data)), 0o644))
	}
	if err != nil {
		return fmt.Errorf("%s: %w", o.Name, err)
	}
	n.own = &own{
		Subject: newSubject(o, dir), keeper: o.Keeper, dir: dir, sig: syscall.SIGTERM, healthy: n.Healthy, now: brokerTime, words: natsWords, refuses: natsRefuses,
		spec: proc.Spec{
			Name: o.Name, Path: program.Path, Args: []string{"--config", config}, Dir: dir, Credential: credential(),
			Log: filepath.Join(o.LogDir, filepath.Base(dir)+".log"),
		},
	}
	if n.own.disk, err = o.mountDisk(ctx, dir); err != nil {
		return fmt.Errorf("%s: %w", o.Name, err)
	}
	if err := n.own.Start(ctx); err != nil {
		return errors.Join(err, n.own.disk.close(ctx))
	}
	return nil
}

// configuration is the server's file: one setting a line; those of JetStream are in its block.
func (n *natsServer) configuration(data string) string {
	var b, stream strings.Builder
	for _, name := range slices.Sorted(maps.Keys(n.settings)) {
		to, key := &b, name
		if in, ok := strings.CutPrefix(name, natsJetStream); ok {
			to, key = &stream, in
		}
		fmt.Fprintf(to, "%s: %s\n", key, natsValue(n.settings[name]))
	}
	fmt.Fprintf(&b, "server_name: %q\nlisten: %q\nhttp: %q\n", n.name, loopbackAddr(n.ports[0]), loopbackAddr(n.ports[1]))
	fmt.Fprintf(&b, "jetstream {\nstore_dir: %q\n%s}\n", data, stream.String())
	return b.String()
}

// natsValue quotes what is neither a number nor a truth value: a bare 2m would be two million.
func natsValue(v string) string {
	if _, err := strconv.ParseInt(v, 10, 64); err == nil || v == "true" || v == "false" {
		return v
	}
	return strconv.Quote(v)
}

// natsRefuses knows an error of the configuration by where it is.
func natsRefuses(lines []string) bool {
	return slices.ContainsFunc(lines, func(line string) bool { return strings.Contains(line, "nats.conf:") })
}

// natsWords picks the complaint out of a log: what is marked as fatal or as an error.
func natsWords(lines []string) string {
	var grave []string
	for _, line := range lines {
		for _, mark := range []string{"[FTL] ", "[ERR] ", "nats-server: "} {
			if _, text, ok := strings.Cut(line, mark); ok {
				grave = append(grave, text)
			}
		}
	}
	if said := oneLine(grave); said != "" {
		return said
	}
	return oneLine(lines[max(0, len(lines)-3):])
}

// Attach connects to the server at the address, nats://user:password@host:4222, which must have JetStream.
func (k natsKind) Attach(ctx context.Context, address string) (Instance, error) {
	u, err := parseNATS(address)
	if err != nil {
		return nil, fmt.Errorf("--nats-url: %w", err)
	}
	n := &natsServer{loopbackServer: loopbackServer{name: k.Name(), source: withoutPassword(address)}, url: u}
	err = n.ask(ctx, func(c *nats.Conn) error {
		n.version = c.ConnectedServerVersion()
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("nats at %s: %w", n.source, err)
	}
	return n, nil
}

// natsServer is a running NATS server.
type natsServer struct {
	loopbackServer
	url *url.URL
}

var (
	_ Instance = (*natsServer)(nil)
	_ Disked   = (*natsServer)(nil)
)

// Kind is "nats".
func (*natsServer) Kind() string { return natsKind{}.Name() }

// URL is what nats.Connect takes.
func (n *natsServer) URL() string { return n.url.String() }

// URLVia is URL with the proxy's address in place of the server's.
func (n *natsServer) URLVia(addr, _ string) string {
	u := *n.url
	u.Host = addr
	return u.String()
}

// Dial is where the server listens: it knows no unix socket.
func (n *natsServer) Dial() (network, address string) { return "tcp", n.url.Host }

// ask connects once, calls do, and hangs up.
func (n *natsServer) ask(ctx context.Context, do func(*nats.Conn) error) error {
	wait := 5 * time.Second
	if until, ok := ctx.Deadline(); ok {
		wait = min(wait, time.Until(until))
	}
	if wait <= 0 {
		return context.DeadlineExceeded
	}
	conn, err := nats.Connect(n.url.String(), nats.NoReconnect(), nats.Timeout(wait), nats.ErrorHandler(func(*nats.Conn, *nats.Subscription, error) {}))
	if err != nil {
		return err
	}
	defer conn.Close()
	return do(conn)
}

// Healthy asks JetStream for its account.
func (n *natsServer) Healthy(ctx context.Context) error {
	err := n.ask(ctx, func(c *nats.Conn) error {
		js, err := jetstream.New(c)
		if err != nil {
			return err
		}
		ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
		defer cancel()
		_, err = js.AccountInfo(ctx)
		return err
	})
	if err != nil {
		return fmt.Errorf("%s does not answer: %w", n.name, err)
	}
	return nil
}

// Reset removes every stream of the run's own server; an attached one is left as it is.
func (n *natsServer) Reset(ctx context.Context) error {
	if n.own == nil {
		return nil
	}
	return n.ask(ctx, func(c *nats.Conn) error {
		js, err := jetstream.New(c)
		if err != nil {
			return err
		}
		names := js.StreamNames(ctx)
		for name := range names.Name() {
			if err := js.DeleteStream(ctx, name); err != nil {
				return fmt.Errorf("emptying %s: %w", n.name, err)
			}
		}
		return names.Err()
	})
}

// Stop ends the run's own server, and lets go of an attached one.
func (n *natsServer) Stop(ctx context.Context) error {
	if n.own == nil {
		return nil
	}
	err := n.own.stop(ctx)
	loopback.give(n.ports...)
	return err
}

// Stats reads the monitoring pages /varz and /jsz of the run's own server.
func (n *natsServer) Stats(ctx context.Context) ([]Stat, error) {
	if n.own == nil {
		return nil, nil
	}
	var varz struct {
		Mem         float64 `json:"mem"`
		Connections float64 `json:"connections"`
		InMsgs      float64 `json:"in_msgs"`
	}
	var jsz struct {
		Messages float64 `json:"messages"`
		Bytes    float64 `json:"bytes"`
	}
	for page, into := range map[string]any{"varz": &varz, "jsz": &jsz} {
		text, err := getText(ctx, "http://"+loopbackAddr(n.ports[1])+"/"+page)
		if err == nil {
			err = json.Unmarshal([]byte(text), into)
		}
		if err != nil {
			return nil, fmt.Errorf("statistics of %s: %w", n.name, err)
		}
	}
	return []Stat{
		{Name: "shakedown_nats_memory_bytes", Type: "gauge", Value: varz.Mem},
		{Name: "shakedown_nats_connections", Type: "gauge", Value: varz.Connections},
		{Name: "shakedown_nats_messages_received_total", Type: "counter", Value: varz.InMsgs},
		{Name: "shakedown_nats_messages_stored", Type: "gauge", Value: jsz.Messages},
		{Name: "shakedown_nats_stored_bytes", Type: "gauge", Value: jsz.Bytes},
	}, nil
}
