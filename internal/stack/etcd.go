package stack

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"

	"shakedown/internal/netns"
	"shakedown/internal/proc"
)

// etcdKind is etcd, one member: on unix sockets, without authentication, and with durable writes.
type etcdKind struct{}

var etcdVersion = regexp.MustCompile(`etcd Version: ([0-9][0-9A-Za-z.-]*)`)

const (
	// etcd names a unix socket as it does an address, and makes it in the directory that it is started in.
	etcdSocket     = "client:2379"
	etcdPeerSocket = "peer:2380"
	etcdPort       = "2379" // where a server on a host listens
	etcdPeerPort   = "2380" // and where it meets the other members, if there are any
)

// etcdReserved are the flags that decide where the server is and how it is kept.
var etcdReserved = []string{
	"name", "data-dir", "wal-dir", "config-file", "listen-client-urls", "listen-peer-urls", "listen-metrics-urls",
	"advertise-client-urls", "initial-advertise-peer-urls", "initial-cluster", "initial-cluster-state", "initial-cluster-token", "discovery",
	"discovery-srv", "proxy", "logger", "log-output", "log-outputs", "version", "force-new-cluster",
}

// Name is "etcd".
func (etcdKind) Name() string { return "etcd" }

// Find finds etcd.
func (k etcdKind) Find() (Program, error) {
	path, ok := search("etcd", nil, "/usr/bin", "/usr/local/bin", "/opt/homebrew/opt/etcd/bin", "/usr/local/opt/etcd/bin")
	if !ok {
		return Program{}, &MissingError{Engine: k.Name(), Programs: []string{"etcd"}, Packages: map[string]string{
			"Debian/Ubuntu": "apt-get install etcd-server", "Fedora": "dnf install etcd",
			"Alpine": "apk add etcd --repository=https://dl-cdn.alpinelinux.org/alpine/edge/testing", "macOS": "brew install etcd",
		}}
	}
	version, err := askVersion(path, etcdVersion)
	return Program{Path: path, Version: version}, err
}

// CheckSettings refuses what decides where the server is. Settings are etcd's flags, without the hyphens in front.
func (k etcdKind) CheckSettings(settings map[string]string) error {
	return checkSettings(k.Name(), settings, etcdReserved)
}

// ClockFault says that etcd's clock cannot be changed.
func (etcdKind) ClockFault() error { return errGoClock }

// errGoClock is why the clock of a server cannot be changed.
var errGoClock = noClock("is written in Go and does not ask the C library for the time")

// noClock is why nothing can lie to a server about the time.
func noClock(why string) error {
	return fmt.Errorf("it %s, so that nothing can lie to it; change the clock of another engine", why)
}

// Start starts a cluster of one member in the run's directory.
func (k etcdKind) Start(ctx context.Context, o StartOptions) (Instance, error) {
	return k.StartMember(ctx, o, nil)
}

// StartMember starts one of the members of a cluster, which meet at their hosts' addresses.
func (k etcdKind) StartMember(ctx context.Context, o StartOptions, members []Member) (Instance, error) {
	o.Name = cmp.Or(o.Name, k.Name())
	if err := k.CheckSettings(o.Settings); err != nil {
		return nil, &SettingError{err}
	}
	if o.Arrangement.Clock {
		return nil, fmt.Errorf("%s: %w", o.Name, errGoClock)
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
		err = os.Mkdir(fill, 0o700)
	}
	if err == nil {
		err = giveAway(fill)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", o.Name, err)
	}
	socket := filepath.Join(dir, etcdSocket)
	e := newEtcd(o.Name, "unix", socket)
	e.version, e.source, e.settings, e.hostAddr = program.Version, program.Path, maps.Clone(o.Settings), addrOn(o.Host, etcdPort)
	e.url = (&url.URL{Scheme: k.Name(), Path: socket}).String()
	e.own = &own{
		Subject: newSubject(o, dir), keeper: o.Keeper, dir: dir, sig: syscall.SIGTERM,
		healthy: e.Healthy, now: noTime, words: etcdWords, refuses: etcdRefuses,
		prepare: func(context.Context) error { return removeStaleSockets(dir) },
		spec: proc.Spec{
			Name: o.Name, Path: program.Path, Args: etcdArgs(o, data, members), Dir: dir, Credential: credential(),
			Env: etcdEnv(os.Environ()), Log: filepath.Join(o.LogDir, filepath.Base(dir)+".log"), Network: networkOf(o.Host),
		},
	}
	if e.own.disk, err = o.mountDisk(ctx, dir); err != nil {
		return nil, fmt.Errorf("%s: %w", o.Name, err)
	}
	if err := e.own.Start(ctx); err != nil {
		return nil, errors.Join(err, e.own.disk.close(ctx))
	}
	return e, nil
}

// removeStaleSockets removes the sockets of a killed member, which etcd takes for those of another that lives.
func removeStaleSockets(dir string) error {
	for _, socket := range []string{etcdSocket, etcdPeerSocket} {
		if err := removeStale(filepath.Join(dir, socket)); err != nil {
			return err
		}
	}
	return nil
}

func etcdArgs(o StartOptions, data string, members []Member) []string {
	listen, advertise := "unix://"+etcdSocket, "http://localhost:"+etcdPort // a member must advertise one; nobody here asks it
	if on := addrOn(o.Host, etcdPort); on != "" {
		listen, advertise = listen+",http://"+on, "http://"+on
	}
	name, peer, cluster := "etcd", "unix://"+etcdPeerSocket, []string{"etcd=unix://" + etcdPeerSocket}
	if members != nil {
		name, peer, cluster = o.Name, etcdPeerURL(o.Host), nil
	}
	for _, m := range members {
		cluster = append(cluster, m.Name+"="+etcdPeerURL(m.Host))
	}
	args := []string{
		"--name=" + name, "--data-dir=" + data, "--listen-client-urls=" + listen, "--advertise-client-urls=" + advertise,
		"--listen-peer-urls=" + peer, "--initial-advertise-peer-urls=" + peer, "--initial-cluster=" + strings.Join(cluster, ","),
		"--logger=zap", "--log-outputs=stderr",
	}
	for _, name := range slices.Sorted(maps.Keys(o.Settings)) {
		args = append(args, "--"+name+"="+o.Settings[name])
	}
	return args
}

// etcdPeerURL is where a member on a host talks to the others.
func etcdPeerURL(host *netns.Host) string { return "http://" + addrOn(host, etcdPeerPort) }

// etcdEnv drops what etcd reads flags from.
func etcdEnv(env []string) []string {
	return slices.DeleteFunc(slices.Clone(env), func(v string) bool { return strings.HasPrefix(v, "ETCD") })
}

// etcdWords picks the complaint out of a log: lines of JSON with a severity, and what is said before there is a logger.
func etcdWords(lines []string) string {
	var grave []string
	for _, line := range lines {
		var entry struct{ Level, Msg, Error string }
		switch err := json.Unmarshal([]byte(line), &entry); {
		case etcdFlag.MatchString(line):
			return line // what follows is how it is used
		case err == nil && entry.Level != "info" && entry.Level != "debug":
			grave = append(grave, strings.TrimSuffix(entry.Msg+": "+entry.Error, ": "))
		case err != nil && strings.HasPrefix(line, "panic"):
			grave = append(grave, line)
		}
	}
	if grave == nil {
		grave = lines
	}
	return oneLine(grave[max(0, len(grave)-3):])
}

// etcdFlag is what etcd and the package flag say of a flag that is not known, or whose value is not.
var etcdFlag = regexp.MustCompile(`^flag provided but not defined|^invalid (?:boolean )?value .* for (?:flag )?-`)

func etcdRefuses(lines []string) bool {
	return slices.ContainsFunc(lines, func(line string) bool {
		return etcdFlag.MatchString(line) || strings.Contains(line, "failed to verify flags")
	})
}

// Attach connects to the member of etcd at the address: http://host:port.
func (k etcdKind) Attach(ctx context.Context, address string) (Instance, error) {
	addr, err := parseEtcd(address)
	if err != nil {
		return nil, fmt.Errorf("--etcd-url: %w", err)
	}
	e := newEtcd(k.Name(), "tcp", addr)
	e.source, e.url = address, address
	if e.version, err = e.askVersion(ctx); err != nil {
		return nil, fmt.Errorf("etcd at %s: %w", e.source, withoutURL(err))
	}
	return e, nil
}
