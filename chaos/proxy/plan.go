package proxy

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"sync"
	"time"

	"shakedown/chaos"
)

// The directions of a connection, as indices.
const (
	up   = iota // from the client to the server
	down        // from the server to the client
)

// directions are the directions' names, for metrics.
var directions = [...]chaos.Direction{up: chaos.Upstream, down: chaos.Downstream}

// An effect is one in force: since when, and with the clocks that it shares with others, per direction.
type effect struct {
	chaos.Effect
	since  time.Duration
	clocks *[2]rateClock // of its scope; nil when each connection has its own
}

// A policy is what all effects of a link add up to, and says for each connection what acts on it. It is immutable: a
// change makes a new one.
type policy struct {
	effects []effect // by id
	refuse  bool
	parts   bool // an effect acts on a share of the connections

	mu    sync.Mutex
	plans map[string]*plan // by the effects that act
}

// compile makes a policy of effects.
func compile(effects map[string]effect) *policy {
	p := &policy{plans: map[string]*plan{}}
	for _, id := range slices.Sorted(maps.Keys(effects)) {
		e := effects[id]
		p.effects = append(p.effects, e)
		p.refuse = p.refuse || e.Refuse
		p.parts = p.parts || partial(e.Effect)
	}
	return p
}

func partial(e chaos.Effect) bool { return e.Share > 0 && e.Share < 1 }

// plan is the plan of the connection that key names.
func (p *policy) plan(key uint64) *plan {
	acting := make([]byte, 0, 32)
	if p.parts {
		for _, e := range p.effects {
			d := roll(e.Seed, forShare, key, 0)
			if !partial(e.Effect) || d.unit() < e.Share {
				acting = append(acting, 1)
			} else {
				acting = append(acting, 0)
			}
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	known, ok := p.plans[string(acting)]
	if !ok {
		known = &plan{}
		for i := range p.effects {
			if !p.parts || acting[i] == 1 {
				known.add(&p.effects[i])
			}
		}
		known.settle()
		p.plans[string(acting)] = known
	}
	return known
}

// A plan is what the effects that act on a connection add up to.
type plan struct {
	lanes        [2]lane
	cuts         []cut
	halfOpen     bool
	connectDelay time.Duration
}

// A cut ends a connection at a time.
type cut struct {
	reset bool // in place of a FIN
	after time.Duration
	since time.Duration
}

// A lane is the part of a plan for one direction.
type lane struct {
	passes bool // nothing acts: bytes may go straight through
	plain  bool // chunks are as they came, and leave as soon as they are due
	hold   bool
	stores bool // chunks stay as they came, and nobody looks into them: pipes may have them

	delay   time.Duration // constant
	spreads []spread
	losses  []chance
	reach   time.Duration // about the longest delay

	limits    []limit
	sliced    *chaos.Effect // the smallest slices win
	slowClose time.Duration
	limit     int64 // bytes since the connection was made; 0 is none
	bound     int   // of the ring

	corrupt, drop, duplicate, reorder []chance
}

// A limit of the rate. Without a clock it is the connection's own.
type limit struct {
	rate  int64 // bytes per second
	clock *rateClock
}

// add adds an effect: delays add, the smallest rate wins, any hold holds, any cut cuts.
func (p *plan) add(e *effect) {
	if e.Reset || e.Close {
		p.cuts = append(p.cuts, cut{e.Reset, e.After.D(), e.since})
	}
	p.halfOpen = p.halfOpen || e.HalfOpen
	p.connectDelay += e.ConnectDelay.D()
	for way, d := range directions {
		if e.Direction == chaos.Both || e.Direction == d {
			p.lanes[way].add(e, way)
		}
	}
}

func (l *lane) add(e *effect, way int) {
	l.hold = l.hold || e.Hold
	l.slowClose += e.SlowClose.D()
	if e.LimitBytes > 0 && (l.limit == 0 || e.LimitBytes < l.limit) {
		l.limit = e.LimitBytes
	}
	l.addDelay(e)
	if e.BytesPerSecond > 0 {
		l.addLimit(e, way)
	}
	if e.SliceBytes > 0 && (l.sliced == nil || e.SliceBytes < l.sliced.SliceBytes) {
		l.sliced = &e.Effect
	}
	for _, c := range []struct {
		share float64
		to    *[]chance
	}{{e.Loss, &l.losses}, {e.Corrupt, &l.corrupt}, {e.Drop, &l.drop}, {e.Duplicate, &l.duplicate}, {e.Reorder, &l.reorder}} {
		if c.share > 0 {
			*c.to = append(*c.to, chance{e.Seed, c.share})
		}
	}
}

func (l *lane) addDelay(e *effect) {
	if e.Jitter == 0 && e.Law != chaos.Traced {
		l.delay += e.Delay.D()
		l.reach += e.Delay.D()
		return
	}
	s := spread{seed: e.Seed, law: e.Law, delay: e.Delay.D(), jitter: e.Jitter.D(), tail: cmp.Or(e.Shape, 3)}
	l.reach += s.delay + 4*s.jitter
	for _, d := range e.Trace {
		s.trace = append(s.trace, d.D())
		l.reach = max(l.reach, s.delay+d.D())
	}
	l.spreads = append(l.spreads, s)
}

// addLimit keeps the smallest rate of each clock.
func (l *lane) addLimit(e *effect, way int) {
	n := limit{rate: e.BytesPerSecond}
	if e.clocks != nil {
		n.clock = &e.clocks[way]
	}
	for i := range l.limits {
		if l.limits[i].clock == n.clock {
			l.limits[i].rate = min(l.limits[i].rate, n.rate)
			return
		}
	}
	l.limits = append(l.limits, n)
}

const (
	// leastBound is what a direction may have under way however much is in use elsewhere, queueBytes what a hold or an
	// idle lane keeps of it, and greatestBound the most. Beyond it a sender waits, as it would for a full socket.
	leastBound    = 256 << 10
	queueBytes    = 4 << 20
	greatestBound = 256 << 20
	// fastest is the rate that a delay leaves room for: a delayed stream has rate × delay bytes under way.
	fastest = 4 << 30
)

// settle derives what follows from the rest.
func (p *plan) settle() {
	for i := range p.lanes {
		l := &p.lanes[i]
		if len(l.losses) > 0 {
			l.reach += 2 * rto
		}
		l.plain = len(l.limits) == 0 && l.sliced == nil && l.limit == 0
		l.passes = l.plain && !l.hold && !l.delays() && l.slowClose == 0 && len(l.corrupt) == 0
		l.stores = l.plain && len(l.corrupt) == 0
		l.bound = l.room()
	}
}

// room is how many bytes the lane may have under way: what its delay keeps of a fast stream, and of a limited one what its
// rate lets through meanwhile and in a quarter of a second.
func (l *lane) room() int {
	room := max(queueBytes, min(l.reach.Seconds()*fastest, greatestBound))
	for _, n := range l.limits {
		room = min(room, max(leastBound, float64(n.rate)*(l.reach+250*time.Millisecond).Seconds()))
	}
	return int(room)
}

// delays says whether the lane delays chunks.
func (l *lane) delays() bool { return l.delay > 0 || len(l.spreads) > 0 || len(l.losses) > 0 }

// lag is the delay of the nth chunk of a stream, and how many lost segments it is of. It is a pure function of the effects'
// seeds, the stream's key and n, so that the delays of a connection replay whatever happened to other connections.
func (l *lane) lag(key, n uint64, bytes int) (d time.Duration, lost int) {
	d = l.delay
	for i := range l.spreads {
		d += l.spreads[i].draw(key, n)
	}
	for _, c := range l.losses {
		late, segments := c.late(key, n, bytes)
		d, lost = d+late, lost+segments
	}
	return d, lost
}

// check says what is wrong with an effect.
func check(e chaos.Effect) error {
	switch e.Direction {
	case chaos.Both, chaos.Upstream, chaos.Downstream:
	default:
		return fmt.Errorf("direction %q is unknown; it is upstream, downstream, or left out for both", e.Direction)
	}
	for name, v := range map[string]float64{
		"share": e.Share, "loss": e.Loss, "corrupt": e.Corrupt, "drop": e.Drop, "duplicate": e.Duplicate, "reorder": e.Reorder,
	} {
		if !(v >= 0 && v <= 1) {
			return fmt.Errorf("%s is %v; it is a part between 0 and 1", name, v)
		}
	}
	if e.Loss == 1 {
		return errors.New("loss is 1, so that nothing would ever arrive: use hold")
	}
	for name, v := range map[string]int64{
		"delay": int64(e.Delay), "jitter": int64(e.Jitter), "bytes_per_second": e.BytesPerSecond, "slice_bytes": e.SliceBytes,
		"slice_spread": e.SliceSpread, "slice_delay": int64(e.SliceDelay), "after": int64(e.After), "connect_delay": int64(e.ConnectDelay),
		"slow_close": int64(e.SlowClose), "limit_bytes": e.LimitBytes,
	} {
		if v < 0 {
			return fmt.Errorf("%s must not be negative", name)
		}
	}
	for name, d := range map[string]time.Duration{
		"delay": e.Delay.D(), "jitter": e.Jitter.D(), "slice_delay": e.SliceDelay.D(), "after": e.After.D(),
		"connect_delay": e.ConnectDelay.D(), "slow_close": e.SlowClose.D(),
	} {
		if d > longest {
			return fmt.Errorf("%s is %s; the longest is %s", name, d, longest)
		}
	}
	return errors.Join(checkLaw(e), checkScope(e))
}

func checkLaw(e chaos.Effect) error {
	switch e.Law {
	case chaos.Uniform, chaos.Normal:
	case chaos.Pareto:
		if e.Shape != 0 && !(e.Shape > 1 && e.Shape < math.MaxFloat64) {
			return fmt.Errorf("shape is %v; a Pareto law has a mean above 1 only", e.Shape)
		}
	case chaos.Traced:
		if len(e.Trace) == 0 {
			return errors.New("the trace law needs a trace")
		}
		for _, d := range e.Trace {
			if d < 0 || d.D() > longest {
				return fmt.Errorf("a delay of the trace is %s; it is between 0 and %s", d, longest)
			}
		}
	default:
		return fmt.Errorf("law %q is unknown; it is normal, pareto, trace, or left out for uniform", e.Law)
	}
	return nil
}

func checkScope(e chaos.Effect) error {
	switch {
	case e.Scope != chaos.ScopeConnection && e.Scope != chaos.ScopeLink && e.Scope != chaos.ScopeGroup:
		return fmt.Errorf("scope %q is unknown; it is link, group, or left out for each connection", e.Scope)
	case e.Scope == chaos.ScopeGroup && e.Group == "":
		return errors.New("a limit of scope group needs the group's name")
	case e.Refuse && partial(e):
		return errors.New("refuse is the kernel's and about every connection: it has no share")
	case e.SliceSpread > 0 && e.SliceSpread >= e.SliceBytes:
		return fmt.Errorf("slice_spread is %d; it must be below slice_bytes, %d", e.SliceSpread, e.SliceBytes)
	}
	return nil
}
