package stack

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"shakedown/chaos"
	"shakedown/internal/netns"
	"shakedown/internal/proc"
	"shakedown/internal/workdir"
)

// kinds is the list of engines.
var kinds = []Kind{postgres{}, redisKind{}, etcdKind{}, rabbitKind{}, natsKind{}, mariadbKind{}}

// Kinds are all engines that this package knows.
func Kinds() []Kind { return slices.Clone(kinds) }

// Lookup finds an engine by its name.
func Lookup(name string) (Kind, error) {
	var names []string
	for _, k := range kinds {
		if k.Name() == name {
			return k, nil
		}
		names = append(names, k.Name())
	}
	return nil, fmt.Errorf("unknown engine %q; the engines are %s", name, strings.Join(names, ", "))
}

// Kind is one sort of engine.
type Kind interface {
	// Name is the name that experiments use: "postgres", "redis", "etcd", "mariadb".
	Name() string
	// Find finds the engine's program; the error is a *MissingError when it is not installed.
	Find() (Program, error)
	// CheckSettings says which settings of an experiment no server of this kind can be given, without starting one.
	CheckSettings(settings map[string]string) error
	// Hosts are the hosts that a client given this address dials; unix sockets have none. The error is that of an address
	// that cannot be read, and does not repeat it.
	Hosts(address string) ([]string, error)
	// Start starts a server of the run's own and returns once it is healthy. On an error nothing is left running, and the
	// error says in one line what the server said; it is a *SettingError when the server refused one of the settings.
	Start(ctx context.Context, o StartOptions) (Instance, error)
	// Attach connects to a server that the user gave. It is never started, stopped, killed or emptied.
	Attach(ctx context.Context, url string) (Instance, error)
}

// StartOptions say where and how to start a server.
type StartOptions struct {
	Keeper *proc.Keeper
	// Run is the directory that gets the server's data and socket.
	Run *workdir.Run
	// LogDir keeps the server's log, <name>.log, after the run.
	LogDir string
	// Name of the server; empty means the kind's. A replica needs one.
	Name string
	// Settings of the server's own configuration; they win over this package's defaults.
	Settings map[string]string
	// Arrangement is what faults want it to be started with.
	Arrangement chaos.Arrangement
	// Disk is the path of the program that serves disks, shakedown itself: the data is then on a disk of its own, which
	// faults can act on (Disked). Empty: it is in the run's directory.
	Disk string
	// Host is where the server runs, and listens on the host's address beside its socket. Nil is the machine's own network, and
	// the socket alone.
	Host *netns.Host
	_    struct{}
}

// Instance is one running server. Its methods may be called from many goroutines.
type Instance interface {
	// An Instance has a name, "postgres" or "postgres-replica-0", the kind's name, and may be ours or the user's.
	chaos.Engine
	// Version is the server's, Source the program's path or the address without its password.
	Version() string
	Source() string
	// Settings are those that were asked for.
	Settings() map[string]string
	// URL leads straight to the server; the named client that goes through a proxy listening on addr ("127.0.0.1:4711") uses
	// URLVia. PostgreSQL knows its connections by the client's name; empty means none.
	URL() string
	URLVia(addr, client string) string
	// Dial is where the proxy finds the server: "unix" and a path, or "tcp" and host:port.
	Dial() (network, address string)
	// HostAddr is where other hosts of the run's network find the server, host:port; empty when it is on no such host.
	HostAddr() string
	// Healthy asks the server a real question and says why it could not answer.
	Healthy(ctx context.Context) error
	// Process is the server's process. For an attached server its actions fail with ErrNotOurs.
	Process() chaos.Process
	// Crashed is nil unless the server is the run's own and ended without being asked to; it has the server's last words.
	Crashed() error
	// Reset puts back what a trial may have left in the server: Redis is emptied if it is the run's own. A replica is left as
	// its primary makes it.
	Reset(ctx context.Context) error
	// Stop ends the run's own server, and lets go of an attached one.
	Stop(ctx context.Context) error
	// Stats are the server's own statistics now.
	Stats(ctx context.Context) ([]Stat, error)
}

// ClockFault says why no fault can change the clock of servers of the kind with this name; nil when it can.
func ClockFault(engine string) error {
	for _, k := range kinds {
		if c, ok := k.(interface{ ClockFault() error }); ok && k.Name() == engine {
			return c.ClockFault()
		}
	}
	return nil
}

// MemoryReader is an Instance that can say what its connections cost in memory.
type MemoryReader interface {
	// Memory reads what each client's backend holds. Reading is expensive (it walks page tables): seldom, not every scrape.
	Memory(ctx context.Context) ([]Stat, error)
}

// Stat is one number that a server says of itself.
type Stat struct {
	Name   string // with prefix, unit and suffix: "shakedown_redis_commands_total"
	Labels map[string]string
	Type   string // "counter" or "gauge"
	Value  float64
}

// ErrNotOurs is the answer to every attempt to act on a server that the user gave.
var ErrNotOurs = errors.New("not started by this run")

// SettingError says that a server refuses a setting that was asked for.
type SettingError struct{ Err error }

func (e *SettingError) Error() string { return e.Err.Error() }

// Unwrap is what the server said.
func (e *SettingError) Unwrap() error { return e.Err }

// foreign is the process of an attached server.
type foreign string

var _ chaos.Process = foreign("")

func (f foreign) refuse(what string) error {
	return fmt.Errorf("%s %s: %w", what, string(f), ErrNotOurs)
}

// Name is the server's name.
func (f foreign) Name() string { return string(f) }

// Kill fails: the server is not ours.
func (f foreign) Kill(context.Context) error { return f.refuse("killing") }

// Start fails: the server is not ours.
func (f foreign) Start(context.Context) error { return f.refuse("starting") }

// Pause fails: the server is not ours.
func (f foreign) Pause(context.Context) error { return f.refuse("pausing") }

// Resume fails: the server is not ours.
func (f foreign) Resume(context.Context) error { return f.refuse("resuming") }

// State fails: the server is not ours.
func (f foreign) State(context.Context) (chaos.State, error) { return "", f.refuse("state of") }

var settingName = regexp.MustCompile(`^[a-z][a-z0-9_.-]*$`)

// checkSettings refuses names that cannot be settings and those that decide where the server's data and socket are.
func checkSettings(engine string, settings map[string]string, reserved []string) error {
	for _, name := range slices.Sorted(maps.Keys(settings)) {
		switch {
		case !settingName.MatchString(name):
			return fmt.Errorf("%s: %q cannot be the name of a setting", engine, name)
		case slices.Contains(reserved, name):
			return fmt.Errorf("%s: the setting %s is the harness's own", engine, name)
		case strings.ContainsAny(settings[name], "\n\r\x00"):
			return fmt.Errorf("%s: the setting %s has a line break in its value", engine, name)
		}
	}
	return nil
}

// merged are the defaults with the experiment's settings over them, in the order of their names.
func merged(defaults, settings map[string]string) (names []string, values map[string]string) {
	values = maps.Clone(defaults)
	maps.Copy(values, settings)
	return slices.Sorted(maps.Keys(values)), values
}
