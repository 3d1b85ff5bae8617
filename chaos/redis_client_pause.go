package chaos

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// ClientPause makes Redis keep its clients' commands waiting, as it does during a failover that is asked for. Their connections stay
// open, and what waited is executed when the fault is healed. It needs Redis 6.2.
type ClientPause struct {
	Engine string `json:"engine"`
	// Mode is "all", or "write" for what writes only; empty means all.
	Mode string `json:"mode,omitempty"`
}

var _ Fault = (*ClientPause)(nil)

// Kind is "client_pause".
func (*ClientPause) Kind() string { return "client_pause" }

func (f *ClientPause) String() string {
	if f.Mode == "write" {
		return "writing clients paused on " + f.Engine
	}
	return "clients paused on " + f.Engine
}

// Validate wants an engine and a mode.
func (f *ClientPause) Validate() error {
	if f.Mode != "" && f.Mode != "all" && f.Mode != "write" {
		return fmt.Errorf("mode %q is unknown; it is all or write", f.Mode)
	}
	return checkEngineName(f.Engine)
}

// Available wants a Redis of the run.
func (f *ClientPause) Available(s Surface) error { return availableEngine(s, f, f.Engine, Redis) }

// Inject proves itself by a command of its own that the server shows as blocked.
func (f *ClientPause) Inject(ctx context.Context, s Surface) (Injection, error) {
	return injectEngines(ctx, s, engineFault{fault: f, engine: f.Engine, pull: f.pull})
}

// pauseFor is longer than any trial; CLIENT PAUSE wants an end.
const pauseFor = 24 * time.Hour

func (f *ClientPause) pull(ctx context.Context, e Engine) (lever, Evidence, error) {
	l := &paused{name: e.Name(), engine: e, write: f.Mode == "write", waited: map[string]bool{}}
	err := l.pause(ctx)
	proof := Evidence{What: "a command that waits on " + e.Name()}
	if err == nil {
		proof.Seen, err = within(ctx, leverTime, func(ctx context.Context) (bool, error) {
			blocked, err := l.blocked(ctx)
			return blocked[l.probeID], err
		})
	}
	if err != nil {
		return nil, proof, errors.Join(err, l.release(ctx))
	}
	l.watch = watching(lookEvery, l.lookForWaiters)
	return l, proof, nil
}

// paused is a server whose clients wait.
type paused struct {
	name    string
	engine  Engine
	write   bool
	keeper  RedisConn // is not paused; nil when nothing was done
	probe   RedisConn // has sent a command that waits
	probeID string
	before  map[string]bool // clients that waited already, for a list say
	waited  map[string]bool
	watch   *watch
}

// pause pauses the clients from a connection that can end it. A server whose clients all wait does not listen to CLIENT UNPAUSE
// either, unless it comes from a replica or a monitor, which are never paused.
func (l *paused) pause(ctx context.Context) (err error) {
	if l.keeper, err = connOf(ctx, l.engine); err != nil {
		return err
	}
	if l.probe, err = connOf(ctx, l.engine); err != nil {
		return err
	}
	if _, err := l.keeper.Do(ctx, "CLIENT", "UNPAUSE"); err != nil {
		return fmt.Errorf("a pause could not be ended here: %w", err)
	}
	id, err := l.probe.Do(ctx, "CLIENT", "ID")
	if err != nil {
		return err
	}
	l.probeID = fmt.Sprint(id)
	if l.before, err = l.blocked(ctx); err != nil {
		return err
	}
	mode, command := "WRITE", []string{"UNLINK", "shakedown:a-write-that-waits"}
	if !l.write {
		mode, command = "ALL", []string{"PING"}
		if _, err := l.keeper.Do(ctx, "MONITOR"); err != nil {
			return err
		}
	}
	if _, err := l.keeper.Do(ctx, "CLIENT", "PAUSE", strconv.FormatInt(pauseFor.Milliseconds(), 10), mode); err != nil {
		return err
	}
	return l.probe.Send(ctx, command...)
}

// blocked are the ids of the clients that wait now.
func (l *paused) blocked(ctx context.Context) (map[string]bool, error) {
	reply, err := l.keeper.Do(ctx, "CLIENT", "LIST")
	if err != nil {
		return nil, err
	}
	text, _ := reply.(string)
	ids := map[string]bool{}
	for line := range strings.Lines(text) {
		fields := map[string]string{}
		for f := range strings.FieldsSeq(line) {
			name, value, _ := strings.Cut(f, "=")
			fields[name] = value
		}
		if strings.Contains(fields["flags"], "b") {
			ids[fields["id"]] = true
		}
	}
	return ids, nil
}

func (l *paused) lookForWaiters(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	ids, err := l.blocked(ctx)
	if err != nil {
		return
	}
	for id := range ids {
		if id != l.probeID && !l.before[id] {
			l.waited[id] = true
		}
	}
}

func (l *paused) met(ctx context.Context) Evidence {
	l.watch.stop()
	l.lookForWaiters(ctx)
	return Evidence{
		What: "connections of real traffic seen waiting on " + l.name,
		Got:  float64(len(l.waited)), Want: 1, Unit: "connections", Seen: len(l.waited) > 0,
	}
}

// release ends the pause. The command that waited must be answered then.
func (l *paused) release(ctx context.Context) error {
	if l.watch != nil {
		l.watch.stop()
	}
	if l.keeper == nil {
		return nil
	}
	err := l.unpause(ctx)
	if err != nil { // a server that was killed has forgotten the pause, and the connections to it
		ctx, cancel := context.WithTimeout(ctx, undoTime)
		defer cancel()
		if again := pingRedis(ctx, l.engine); again != nil {
			return fmt.Errorf("%s: %w", l.name, errors.Join(err, again))
		}
	}
	_ = l.keeper.Close()
	if l.probe != nil {
		_ = l.probe.Close()
	}
	l.keeper = nil
	return nil
}

func (l *paused) unpause(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, undoTime)
	defer cancel()
	if _, err := l.keeper.Do(ctx, "CLIENT", "UNPAUSE"); err != nil {
		return err
	}
	if l.probeID == "" {
		return nil // nothing was sent that could wait
	}
	_, err := l.probe.Receive(ctx)
	return err
}
