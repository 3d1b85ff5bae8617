package chaos

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

// ConnectionsHogged opens connections to PostgreSQL and keeps them, as an application does that leaks them, until there are hardly
// any left of max_connections. Slots that others give up while it is in force are taken too. Healing closes them.
type ConnectionsHogged struct {
	Engine string `json:"engine"`
	// Leave is how many connections others may still open; 0 means none, so that they are refused with 53300.
	Leave int `json:"leave,omitempty"`
	// Connections is how many to open, in place of what Leave asks for.
	Connections int `json:"connections,omitempty"`
}

var _ Fault = (*ConnectionsHogged)(nil)

// Kind is "connections_hogged".
func (*ConnectionsHogged) Kind() string { return "connections_hogged" }

func (f *ConnectionsHogged) String() string {
	if f.Connections > 0 {
		return fmt.Sprintf("%d connections to %s hogged", f.Connections, f.Engine)
	}
	return fmt.Sprintf("connections to %s hogged, %d left", f.Engine, f.Leave)
}

// Validate wants an engine, and one number that is not below 0.
func (f *ConnectionsHogged) Validate() error {
	switch {
	case f.Engine == "":
		return checkEngineName(f.Engine)
	case f.Leave < 0 || f.Connections < 0:
		return errors.New("leave and connections must be ≥ 0")
	case f.Leave > 0 && f.Connections > 0:
		return errors.New("leave and connections say different things; leave one of them out")
	}
	return nil
}

// Available wants a PostgreSQL of the run.
func (f *ConnectionsHogged) Available(s Surface) error {
	return availableEngine(s, f, f.Engine, PostgreSQL)
}

// Inject proves itself by pg_stat_activity and, when it leaves none, by a connection of its own being refused.
func (f *ConnectionsHogged) Inject(ctx context.Context, s Surface) (Injection, error) {
	return injectEngines(ctx, s, engineFault{fault: f, engine: f.Engine, pull: f.pull})
}

// hogEvery is how often slots are taken that others gave up.
const hogEvery = 100 * time.Millisecond

func (f *ConnectionsHogged) pull(ctx context.Context, e Engine) (lever, Evidence, error) {
	l := &hog{fault: f, engine: e, look: observer{engine: e}}
	err := l.fill(ctx)
	var proof Evidence
	if err == nil {
		proof, err = l.state(ctx)
	}
	if err != nil {
		return nil, proof, errors.Join(err, l.release(ctx))
	}
	l.watch = watching(hogEvery, func(ctx context.Context) { _ = l.fill(ctx) }) // what fails now is tried again, and shows in met
	return l, proof, nil
}

// hog holds connections.
type hog struct {
	fault  *ConnectionsHogged
	engine Engine
	watch  *watch

	mu      sync.Mutex
	look    observer
	held    []SQLSession
	refused bool // the last connection that was asked for
}

const (
	pgClients = `SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend'`
	pgSlots   = `SELECT current_setting('max_connections')::bigint`
	// A server refuses connections for want of a slot with this code.
	pgTooMany = "53300"
)

// fill opens connections until as many are taken as the fault asks for, or one is refused.
func (l *hog) fill(ctx context.Context) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	most, err := l.look.count(ctx, pgSlots)
	if err != nil {
		return err
	}
	for l.refused = false; ; {
		used, err := l.look.count(ctx, pgClients)
		if err != nil {
			return err
		}
		missing := most - int64(l.fault.Leave) - used
		switch {
		case l.fault.Connections > 0:
			missing = int64(l.fault.Connections - len(l.held))
		case l.fault.Leave == 0: // whoever is connecting takes a slot before it shows: only a refusal says that none is left
			missing = max(1, missing)
		}
		if missing <= 0 {
			return nil
		}
		for range missing {
			s, err := sessionOf(ctx, l.engine)
			if l.refused = sqlState(err) == pgTooMany; l.refused {
				return nil
			}
			if err != nil {
				return err
			}
			l.held = append(l.held, s)
		}
	}
}

// state looks at how many connections are taken.
func (l *hog) state(ctx context.Context) (Evidence, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	most, err := l.look.count(ctx, pgSlots)
	if err != nil {
		return Evidence{}, err
	}
	used, err := l.look.count(ctx, pgClients)
	if l.fault.Connections > 0 {
		return Evidence{
			What: "connections hogged on " + l.engine.Name(), Want: float64(l.fault.Connections), Got: float64(len(l.held)),
			Unit: "connections", Seen: err == nil && len(l.held) == l.fault.Connections,
		}, err
	}
	want := most - int64(l.fault.Leave)
	e := Evidence{
		What: fmt.Sprintf("connections in use of %d on %s, %d of them hogged", most, l.engine.Name(), len(l.held)),
		Want: float64(want), Got: float64(used), Unit: "connections", Seen: used >= want,
	}
	if l.fault.Leave == 0 {
		e.What += ", and one more is refused"
		e.Seen = l.refused
	}
	return e, err
}

// met is the state as it was until the end: the server counts no refusals.
func (l *hog) met(ctx context.Context) Evidence {
	l.watch.stop()
	err := l.fill(ctx)
	e, err2 := l.state(ctx)
	if err := errors.Join(err, err2); err != nil {
		return Evidence{What: fmt.Sprintf("connections in use on %s: %v", l.engine.Name(), err)}
	}
	return e
}

func (l *hog) release(ctx context.Context) error {
	if l.watch != nil {
		l.watch.stop()
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	pids := make([]int32, 0, len(l.held))
	for _, s := range l.held {
		pids = append(pids, int32(s.PID()))
		_ = s.Close(ctx) // a server that is gone cannot be told, and holds nothing
	}
	gone, err := within(ctx, leverTime, func(ctx context.Context) (bool, error) {
		n, err := l.look.count(ctx, pgClients+" AND pid = ANY ($1) AND application_name LIKE 'shakedown-harness%'", pids)
		return n == 0, err
	})
	if err == nil && !gone {
		err = errors.New("connections are still there")
	}
	if err != nil {
		return fmt.Errorf("%s: %w", l.engine.Name(), err)
	}
	l.held = nil
	return l.look.close(ctx)
}
