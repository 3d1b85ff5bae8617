package chaos

import (
	"context"
	"fmt"
)

// EngineSurface is a Surface whose engines have levers of their own, beside what their links and processes bear.
type EngineSurface interface {
	Surface
	// Engines are the servers of the given name: "postgres", "postgres-replica-1", or every one of "postgres-replica".
	Engines(name string) []Engine
	// EngineNames are all of them, for errors that say what there is.
	EngineNames() []string
}

// An Engine is a real server that services depend on. What it can do beyond that is said by the interfaces below.
type Engine interface {
	// Name is the server's: "postgres", "redis-replica-0". Kind is what it is: "postgres", "redis".
	Name() string
	Kind() string
	// Ours is nil for a server that the run started, and says why not of one that the user gave.
	Ours() error
}

// A SQLEngine is an Engine that speaks SQL.
type SQLEngine interface {
	Engine
	// Session connects straight to the server, past the proxy. The server ends no such session for idling.
	Session(ctx context.Context) (SQLSession, error)
}

// A SQLSession is one connection. An error of the server has a method SQLState() string.
type SQLSession interface {
	// PID is the number of the server's process for the connection.
	PID() int
	// Exec executes one statement, and says how many rows it touched or found.
	Exec(ctx context.Context, sql string, args ...any) (rows int64, err error)
	// Row scans the first row of a query into pointers.
	Row(ctx context.Context, sql string, args []any, into ...any) error
	// Close ends the connection. Its transaction is rolled back, and its locks are released.
	Close(ctx context.Context) error
}

// A RedisEngine is an Engine that speaks RESP.
type RedisEngine interface {
	Engine
	// Connect connects straight to the server, past the proxy.
	Connect(ctx context.Context) (RedisConn, error)
}

// A RedisConn is one connection. Replies are strings, int64 or slices of replies; nil is a missing value. An error of the server is
// a ReplyError.
type RedisConn interface {
	// Do sends a command and returns its reply. On a connection that monitors, what it is told of others is left out.
	Do(ctx context.Context, args ...string) (any, error)
	// Send only sends; Receive returns the reply that comes next.
	Send(ctx context.Context, args ...string) error
	Receive(ctx context.Context) (any, error)
	Close() error
}

// ReplyError is what a Redis server answered in place of a reply: "OOM command not allowed when used memory > 'maxmemory'.".
type ReplyError string

func (e ReplyError) Error() string { return string(e) }

// A Member is an Engine that is the primary of others, or follows one.
type Member interface {
	Engine
	// Group is nil for a server that is alone.
	Group() Group
}

// A Group is a primary and the replicas that follow it. Its members keep their names when they change roles.
type Group interface {
	Members() (primary string, replicas []string)
	// Promote makes a replica the primary, and the other replicas follow it. The former primary must not run.
	Promote(ctx context.Context, replica string) error
	// Rejoin makes a member that does not run a replica of the primary, whose data replaces its own; it returns once it follows.
	Rejoin(ctx context.Context, member string) error
	// Detach makes a replica follow nobody; Attach makes it follow the primary again, and returns once it has what it lacked.
	Detach(ctx context.Context, replica string) error
	Attach(ctx context.Context, replica string) error
	// Follows says whether a replica gets what the primary writes, and Behind how many bytes of its log the primary has
	// written that the replica has not replayed.
	Follows(ctx context.Context, replica string) (bool, error)
	Behind(ctx context.Context, replica string) (int64, error)
	// Write proves that a member takes writes, by one that leaves nothing.
	Write(ctx context.Context, member string) error
}

// enginesOf resolves the name of an engine; none is an error.
func enginesOf(s Surface, name string) ([]Engine, error) {
	es, ok := s.(EngineSurface)
	if !ok {
		return nil, fmt.Errorf("no engine %s: nothing here has the levers of a server", name)
	}
	if found := es.Engines(name); len(found) > 0 {
		return found, nil
	}
	return nil, fmt.Errorf("no engine %s%s", name, present(s, func(Namer) []string { return es.EngineNames() }))
}

// availableEngine wants engines of the name, all of the kind and started by the run: what their levers change, they change for
// everybody who uses the server. An empty kind is any.
func availableEngine(s Surface, f Fault, name string, kind Protocol) error {
	engines, err := enginesOf(s, name)
	if err != nil {
		return err
	}
	for _, e := range engines {
		if kind != "" && e.Kind() != string(kind) {
			return fmt.Errorf("%s is a server of %s, and %s acts on %s", e.Name(), e.Kind(), f.Kind(), kind)
		}
		if err := e.Ours(); err != nil {
			return fmt.Errorf("%s would act on everybody who uses %s: %w", f.Kind(), e.Name(), err)
		}
	}
	return nil
}

// availableReplica wants engines of the name, all of which are replicas.
func availableReplica(s Surface, f Fault, name string, kind Protocol) error {
	if err := availableEngine(s, f, name, kind); err != nil {
		return err
	}
	engines, err := enginesOf(s, name)
	if err != nil {
		return err
	}
	for _, e := range engines {
		if primary := e.Kind(); e.Name() == primary {
			return fmt.Errorf("%s is a primary, and %s acts on a replica; write %s-replica-0, or %s-replica for all of them",
				primary, f.Kind(), primary, primary)
		}
	}
	return nil
}

func checkEngineName(name string) error {
	if name == "" {
		return fmt.Errorf("engine is missing; write the name of a server, such as postgres or redis-replica-0")
	}
	return nil
}
