package chaos

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// MaxMemory gives Redis less memory than it needs: with the policy noeviction it refuses writes with OOM, with another it evicts keys.
// Healing restores the former limit and policy; what was evicted is gone.
type MaxMemory struct {
	Engine string `json:"engine"`
	// Bytes is the limit or, in its place, OfUsed the part that it is of the memory in use when the fault is injected.
	Bytes  int64   `json:"bytes,omitempty"`
	OfUsed float64 `json:"of_used,omitempty"`
	// Policy is a maxmemory-policy; empty leaves the server's.
	Policy string `json:"policy,omitempty"`
}

var _ Fault = (*MaxMemory)(nil)

// Kind is "maxmemory".
func (*MaxMemory) Kind() string { return "maxmemory" }

func (f *MaxMemory) String() string {
	limit := strconv.FormatInt(f.Bytes, 10) + " B"
	if f.OfUsed > 0 {
		limit = percent(f.OfUsed) + " of what is used"
	}
	s := "maxmemory " + limit + " on " + f.Engine
	if f.Policy != "" {
		s += ", " + f.Policy
	}
	return s
}

// Validate wants an engine and one limit above 0. Policies are the server's business.
func (f *MaxMemory) Validate() error {
	switch {
	case f.Engine == "":
		return checkEngineName(f.Engine)
	case f.Bytes < 0 || !(f.OfUsed >= 0 && f.OfUsed <= 100) || (f.Bytes == 0) == (f.OfUsed == 0):
		return errors.New("maxmemory needs bytes, or of_used (0.9 is 90 % of the memory in use), and not both")
	case strings.ContainsAny(f.Policy, " \r\n"):
		return fmt.Errorf("policy %q is none; write it as allkeys-lru", f.Policy)
	}
	return nil
}

// Available wants a Redis of the run.
func (f *MaxMemory) Available(s Surface) error { return availableEngine(s, f, f.Engine, Redis) }

// Inject proves itself by the setting and, where the limit is below what is used, by a write that is refused or a key that is evicted.
func (f *MaxMemory) Inject(ctx context.Context, s Surface) (Injection, error) {
	return injectEngines(ctx, s, engineFault{fault: f, engine: f.Engine, pull: f.pull})
}

func (f *MaxMemory) pull(ctx context.Context, e Engine) (lever, Evidence, error) {
	l := &shortOfMemory{fault: f, name: e.Name(), engine: e}
	proof, err := l.limit(ctx)
	if err != nil {
		return nil, proof, errors.Join(err, l.release(ctx))
	}
	return l, proof, nil
}

// shortOfMemory is a server with a limit.
type shortOfMemory struct {
	fault  *MaxMemory
	name   string
	engine Engine
	former [][2]string // settings and their values, as far as they were changed
	start  pressure
	probes int64 // refused writes that were ours
}

// pressure is what a server without memory has done so far.
type pressure struct{ evicted, refused int64 }

func (l *shortOfMemory) limit(ctx context.Context) (Evidence, error) {
	proof := Evidence{What: "memory of " + l.name, Unit: "B"}
	c, err := connOf(ctx, l.engine)
	if err != nil {
		return proof, err
	}
	defer func() { _ = c.Close() }()
	memory, err := redisInfo(ctx, c, "memory")
	if err != nil {
		return proof, err
	}
	used, err := strconv.ParseInt(memory["used_memory"], 10, 64)
	if err != nil {
		return proof, fmt.Errorf("used_memory is %q", memory["used_memory"])
	}
	// What is on its way to replicas does not count against the limit.
	if onTheWay, err := strconv.ParseInt(memory["mem_not_counted_for_evict"], 10, 64); err == nil {
		used -= onTheWay
	}
	bytes := l.fault.Bytes
	if l.fault.OfUsed > 0 {
		bytes = int64(l.fault.OfUsed * float64(used))
	}
	if l.start, err = pressureOn(ctx, c); err != nil {
		return proof, err
	}
	if l.fault.Policy != "" {
		if err := l.set(ctx, c, "maxmemory-policy", l.fault.Policy); err != nil {
			return proof, err
		}
	}
	if err := l.set(ctx, c, "maxmemory", strconv.FormatInt(bytes, 10)); err != nil {
		return proof, err
	}
	now, err := getConfig(ctx, c, "maxmemory")
	if err != nil {
		return proof, err
	}
	limit, _ := strconv.ParseInt(now, 10, 64)
	proof.What, proof.Want, proof.Got, proof.Seen = "maxmemory of "+l.name, float64(bytes), float64(limit), limit == bytes
	if bytes >= used { // it takes traffic to reach the limit
		return proof, nil
	}
	felt, err := within(ctx, provedBy, func(ctx context.Context) (bool, error) { return l.felt(ctx, c) })
	proof.What += ", and a write refused or a key evicted for it"
	proof.Seen = proof.Seen && felt
	return proof, err
}

// set changes one setting, and remembers the former value first.
func (l *shortOfMemory) set(ctx context.Context, c RedisConn, name, value string) error {
	former, err := getConfig(ctx, c, name)
	if err != nil {
		return err
	}
	l.former = append(l.former, [2]string{name, former})
	_, err = c.Do(ctx, "CONFIG", "SET", name, value)
	return err
}

func getConfig(ctx context.Context, c RedisConn, name string) (string, error) {
	reply, err := c.Do(ctx, "CONFIG", "GET", name)
	if err != nil {
		return "", err
	}
	pair, _ := reply.([]any)
	if len(pair) != 2 {
		return "", fmt.Errorf("the server has no setting %s", name)
	}
	value, _ := pair[1].(string)
	return value, nil
}

// memoryProbe is a key that is written and removed again.
const memoryProbe = "shakedown:a-write-that-needs-memory"

// felt tries to write, which also makes the server look at its limit.
func (l *shortOfMemory) felt(ctx context.Context, c RedisConn) (bool, error) {
	_, err := c.Do(ctx, "SET", memoryProbe, "x")
	var said ReplyError
	if errors.As(err, &said) && strings.HasPrefix(string(said), "OOM") {
		l.probes++
		return true, nil
	}
	if err != nil {
		return false, err
	}
	if _, err := c.Do(ctx, "UNLINK", memoryProbe); err != nil {
		return false, err
	}
	now, err := pressureOn(ctx, c)
	return now.evicted > l.start.evicted, err
}

// pressureOn reads evicted_keys and, since Redis 6.2, the count of OOM errors.
func pressureOn(ctx context.Context, c RedisConn) (p pressure, err error) {
	stats, err := redisInfo(ctx, c, "stats")
	if err != nil {
		return p, err
	}
	if p.evicted, err = strconv.ParseInt(stats["evicted_keys"], 10, 64); err != nil {
		return p, fmt.Errorf("evicted_keys is %q", stats["evicted_keys"])
	}
	counts, err := redisInfo(ctx, c, "errorstats")
	if err != nil {
		return p, err
	}
	if oom, ok := counts["errorstat_OOM"]; ok {
		if p.refused, err = strconv.ParseInt(strings.TrimPrefix(oom, "count="), 10, 64); err != nil {
			return p, fmt.Errorf("errorstat_OOM is %q", oom)
		}
	}
	return p, nil
}

func (l *shortOfMemory) met(ctx context.Context) Evidence {
	seen := Evidence{What: "keys evicted and writes refused on " + l.name, Want: 1}
	c, err := connOf(ctx, l.engine)
	if err != nil {
		seen.What += ": " + err.Error()
		return seen
	}
	defer func() { _ = c.Close() }()
	now, err := pressureOn(ctx, c)
	if err != nil {
		seen.What += ": " + err.Error()
		return seen
	}
	evicted, refused := now.evicted-l.start.evicted, now.refused-l.start.refused-l.probes
	seen.What = fmt.Sprintf("%d keys evicted and %d writes refused on %s", evicted, refused, l.name)
	seen.Unit, seen.Got = "in all", float64(evicted+refused)
	seen.Seen = evicted+refused > 0
	return seen
}

// release restores the settings in the reverse order.
func (l *shortOfMemory) release(ctx context.Context) error {
	if len(l.former) == 0 {
		return nil
	}
	c, err := connOf(ctx, l.engine)
	if err != nil {
		return fmt.Errorf("%s: %w", l.name, err)
	}
	defer func() { _ = c.Close() }()
	for len(l.former) > 0 {
		last := len(l.former) - 1
		name, value := l.former[last][0], l.former[last][1]
		if _, err := c.Do(ctx, "CONFIG", "SET", name, value); err != nil {
			return fmt.Errorf("%s: %w", l.name, err)
		}
		if now, err := getConfig(ctx, c, name); err != nil || now != value {
			return errors.Join(fmt.Errorf("%s: %s is %q, not %q as before", l.name, name, now, value), err)
		}
		l.former = l.former[:last]
	}
	return nil
}
