package chaos

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"time"

	"shakedown/internal/units"
)

// SlowCommand keeps Redis' only thread busy with a script, as KEYS on a large database or a script without bounds does: until it
// ends nobody is answered. After 5 s (busy-reply-threshold) Redis answers others with BUSY.
type SlowCommand struct {
	Engine string `json:"engine"`
	// For is how long one takes at least, and Every how often there is one while the fault is in
	// force; 0 means once, when it is injected.
	For   units.Duration `json:"for"`
	Every units.Duration `json:"every,omitempty"`
}

var _ Fault = (*SlowCommand)(nil)

// Kind is "slow_command".
func (*SlowCommand) Kind() string { return "slow_command" }

func (f *SlowCommand) String() string {
	s := fmt.Sprintf("a command of %s on %s", f.For, f.Engine)
	if f.Every > 0 {
		s += " every " + f.Every.String()
	}
	return s
}

// Validate wants an engine, 20 ms to a minute, and some time between two.
func (f *SlowCommand) Validate() error {
	switch {
	case f.Engine == "":
		return checkEngineName(f.Engine)
	case f.For < 20*units.Millisecond || f.For > 60*units.Second:
		return fmt.Errorf("for is %v; it must be from 20ms to 1m", f.For)
	case f.Every != 0 && f.Every <= f.For:
		return fmt.Errorf("every is %v; it must be more than for, %v, or left out for once", f.Every, f.For)
	}
	return nil
}

// Available wants a Redis of the run.
func (f *SlowCommand) Available(s Surface) error { return availableEngine(s, f, f.Engine, Redis) }

// Inject proves itself by a PING that waits for the script.
func (f *SlowCommand) Inject(ctx context.Context, s Surface) (Injection, error) {
	return injectEngines(ctx, s, engineFault{fault: f, engine: f.Engine, pull: f.pull})
}

// busyScript burns processor time. The clock of a script is os.clock where the version has it; TIME, which others ask, stands still
// during a script in some that do.
const busyScript = `
local now = function() local t = redis.call('TIME') return t[1] + t[2] / 1000000 end
local has, clock = pcall(function() return os.clock end)
if has and clock then now = clock end
local till = now() + tonumber(ARGV[1])
repeat until now() >= till
return 1`

func (f *SlowCommand) pull(ctx context.Context, e Engine) (lever, Evidence, error) {
	l := &busy{fault: f, name: e.Name(), engine: e}
	longest, err := l.provePing(ctx)
	if err != nil {
		return nil, Evidence{}, err
	}
	if f.Every > 0 {
		l.watch = watching(f.Every.D(), func(ctx context.Context) { _ = l.run(ctx) }) // a server that is gone is not busy
	}
	return l, Evidence{
		What: "longest PING while a script ran on " + e.Name(), Want: f.For.D().Seconds() * 1000, Got: longest.Seconds() * 1000, Unit: "ms",
		// The first PING may find the script already running.
		Seen: longest >= f.For.D()/2,
	}, nil
}

// busy is a server that runs scripts.
type busy struct {
	fault  *SlowCommand
	name   string
	engine Engine
	watch  *watch

	mu   sync.Mutex
	runs int
	took time.Duration
}

// run runs one script to its end, and keeps how long it took.
func (l *busy) run(ctx context.Context) error {
	c, err := connOf(ctx, l.engine)
	if err != nil {
		return err
	}
	defer func() { _ = c.Close() }()
	began := time.Now()
	if _, err := c.Do(ctx, "EVAL", busyScript, "0", strconv.FormatFloat(l.fault.For.D().Seconds(), 'f', 6, 64)); err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.runs++
	l.took += time.Since(began)
	return nil
}

// provePing runs one script and, until it ends, looks how long the server takes to answer.
func (l *busy) provePing(ctx context.Context) (longest time.Duration, err error) {
	c, err := connOf(ctx, l.engine)
	if err != nil {
		return 0, err
	}
	defer func() { _ = c.Close() }()
	ended := make(chan error, 1)
	go func() { ended <- l.run(ctx) }()
	for {
		began := time.Now()
		_, err := c.Do(ctx, "PING")
		longest = max(longest, time.Since(began))
		var busy ReplyError
		if err != nil && !errors.As(err, &busy) {
			return longest, errors.Join(err, <-ended)
		}
		select {
		case err := <-ended:
			return longest, err
		default:
		}
	}
}

func (l *busy) met(context.Context) Evidence {
	if l.watch != nil {
		l.watch.stop()
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	return Evidence{
		What: fmt.Sprintf("time for which %s answered nobody, in %d commands", l.name, l.runs),
		Want: float64(l.runs) * l.fault.For.D().Seconds() * 1000, Got: l.took.Seconds() * 1000, Unit: "ms", Seen: l.runs > 0,
	}
}

// release waits for the script that runs: nothing else ends one that Redis does not find slow yet.
func (l *busy) release(ctx context.Context) error {
	if l.watch != nil {
		l.watch.stop()
	}
	answers, err := within(ctx, l.fault.For.D()+leverTime, func(ctx context.Context) (bool, error) {
		err := pingRedis(ctx, l.engine)
		var busy ReplyError
		if errors.As(err, &busy) {
			return false, nil
		}
		return err == nil, err
	})
	if err == nil && !answers {
		err = errors.New("it is busy still")
	}
	if err != nil {
		return fmt.Errorf("%s: %w", l.name, err)
	}
	return nil
}
