package api

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"shakedown/chaos"
	"shakedown/chaos/proxy"
	"shakedown/internal/units"
)

const (
	longestFault = 7 * 24 * time.Hour
	mostHealed   = 100 // how many faults are remembered that were healed
	healTime     = 30 * time.Second
)

// A ledger has the faults that were injected through the API. One is injected or healed at a time, because each proves
// itself by probes, and would see the other.
type ledger struct {
	proxy *proxy.Proxy
	turn  chan struct{} // holds one value; whoever took it works

	ctx    context.Context // done when the server ends
	cancel context.CancelFunc
	timers sync.WaitGroup

	mu      sync.Mutex
	made    int
	entries []*entry // in the order of injection
}

// An entry is one fault. The ledger's mu guards info; the rest never changes.
type entry struct {
	info      FaultInfo
	injection chaos.Injection
	surface   *surface
	before    chaos.Counters // of its links, when it was injected
	healed    chan struct{}  // closed when it is
}

// now is the fault with what it did to delays so far.
func (e *entry) now() FaultInfo {
	info := e.info
	if info.InForce() {
		info.Delays = delays(e.surface.counters(), e.before)
	}
	return info
}

// delays are those between two readings of the counters; nil when there was none.
func delays(now, before chaos.Counters) *Delays {
	now.Delays.Merge(before.Delays, -1)
	now.Asked.Merge(before.Asked, -1)
	n := now.Delays.Count()
	if n == 0 {
		return nil
	}
	return &Delays{Count: n, Asked: quantiles(now.Asked), Achieved: quantiles(now.Delays)}
}

func quantiles(h chaos.Histogram) Quantiles {
	at := func(q float64) units.Duration { return units.Duration(h.Quantile(q)) }
	return Quantiles{P50: at(0.50), P99: at(0.99), Max: at(1)}
}

func newLedger(p *proxy.Proxy) *ledger {
	l := &ledger{proxy: p, turn: make(chan struct{}, 1)}
	l.turn <- struct{}{}
	l.ctx, l.cancel = context.WithCancel(context.Background())
	return l
}

// close stops the timers. The faults stay in force as long as their links are there.
func (l *ledger) close() {
	l.cancel()
	l.timers.Wait()
}

// alone waits for the caller's turn.
func (l *ledger) alone(ctx context.Context) (done func(), err error) {
	select {
	case <-l.turn:
		return func() { l.turn <- struct{}{} }, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// inject puts a fault in force, for a time unless that is 0. One that cannot be seen is taken back, because a fault that
// does nothing is worse than none, unless other effects may hide it; then it may still be seen when it is healed.
func (l *ledger) inject(ctx context.Context, f chaos.Fault, lasts time.Duration) (FaultInfo, error) {
	done, err := l.alone(ctx)
	if err != nil {
		return FaultInfo{}, err
	}
	defer done()
	s := &surface{proxy: l.proxy}
	if r, ok := f.(chaos.FileReader); ok && len(r.Files()) > 0 {
		return FaultInfo{}, refuse(http.StatusBadRequest, "%s: the proxy reads no files for its callers; send what is in %s", f.Kind(), r.Files()[0])
	}
	if err := f.Available(s); err != nil {
		return FaultInfo{}, refuse(http.StatusBadRequest, "%v%s", err, s.present())
	}
	in, err := f.Inject(ctx, s)
	if err != nil {
		return FaultInfo{}, err
	}
	if !in.Landed().Seen && !s.crowded() {
		_, err := in.Heal(ctx)
		return FaultInfo{}, errors.Join(refuse(http.StatusUnprocessableEntity, "%s was taken back: %s", f, in.Landed()), err)
	}
	return l.enter(f, in, s, lasts), nil
}

func (l *ledger) enter(f chaos.Fault, in chaos.Injection, s *surface, lasts time.Duration) FaultInfo {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.made++
	e := &entry{injection: in, surface: s, before: s.counters(), healed: make(chan struct{}), info: FaultInfo{
		ID: fmt.Sprintf("%s-%d", f.Kind(), l.made), Fault: Fault{f}, Text: f.String(),
		Since: time.Now(), Landed: in.Landed(), Effects: slices.Clone(s.shaped),
	}}
	if lasts > 0 {
		e.info.Until = e.info.Since.Add(lasts)
		l.timers.Go(func() { l.expire(e, lasts) })
	}
	l.entries = append(l.entries, e)
	l.forget()
	return e.info
}

// forget drops the oldest of too many faults that were healed. The caller holds mu.
func (l *ledger) forget() {
	healed := 0
	for _, e := range l.entries {
		if !e.info.InForce() {
			healed++
		}
	}
	l.entries = slices.DeleteFunc(l.entries, func(e *entry) bool {
		if e.info.InForce() || healed <= mostHealed {
			return false
		}
		healed--
		return true
	})
}

// expire heals a fault when its time is over, whether or not whoever asked for it is still there.
func (l *ledger) expire(e *entry, lasts time.Duration) {
	timer := time.NewTimer(lasts)
	defer timer.Stop()
	select {
	case <-timer.C:
		ctx, cancel := context.WithTimeout(l.ctx, healTime)
		defer cancel()
		_, _ = l.heal(ctx, e) // why it failed is kept with the fault
	case <-e.healed:
	case <-l.ctx.Done():
	}
}

// find is the fault of an id.
func (l *ledger) find(id string) (*entry, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, e := range l.entries {
		if e.info.ID == id {
			return e, nil
		}
	}
	return nil, refuse(http.StatusNotFound, "no fault %s", id)
}

// settle notes which faults went with their links. The caller holds mu.
func (l *ledger) settle() {
	for _, e := range l.entries {
		if name := e.surface.gone(); name != "" && e.info.InForce() {
			e.settle(chaos.Evidence{What: "link " + name + " was closed, and the fault went with it", Seen: true})
		}
	}
}

// settle notes that the fault is healed. The caller holds mu.
func (e *entry) settle(met chaos.Evidence) {
	e.info.Healed, e.info.Met, e.info.Problem = time.Now(), met, ""
	e.info.Landed = e.injection.Landed() // which may have been seen only now
	close(e.healed)
}

func (l *ledger) all() []FaultInfo {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.settle()
	infos := []FaultInfo{}
	for _, e := range l.entries {
		infos = append(infos, e.now())
	}
	return infos
}

// now is the state of a fault.
func (l *ledger) now(e *entry) FaultInfo {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.settle()
	return e.now()
}

// heal takes a fault back; one that is healed stays so.
func (l *ledger) heal(ctx context.Context, e *entry) (FaultInfo, error) {
	done, err := l.alone(ctx)
	if err != nil {
		return FaultInfo{}, err
	}
	defer done()
	if info := l.now(e); !info.InForce() {
		return info, nil
	}
	met, err := e.injection.Heal(ctx)
	l.mu.Lock()
	defer l.mu.Unlock()
	switch l.settle(); {
	case !e.info.InForce(): // its link was closed meanwhile
	case err != nil:
		e.info.Problem = err.Error()
		return e.info, refuse(http.StatusUnprocessableEntity, "%v", err)
	default:
		e.settle(met)
	}
	return e.info, nil
}

func (s *Server) faultsInForce(*http.Request) (any, error) { return s.faults.all(), nil }

func (s *Server) fault(r *http.Request) (any, error) {
	e, err := s.faults.find(r.PathValue("id"))
	if err != nil {
		return nil, err
	}
	return s.faults.now(e), nil
}

func (s *Server) inject(r *http.Request) (any, error) {
	var ask injectRequest
	if err := read(r, &ask); err != nil {
		return nil, err
	}
	if ask.Fault.Fault == nil {
		return nil, refuse(http.StatusBadRequest, "body: fault is missing")
	}
	if ask.For < 0 || ask.For.D() > longestFault {
		return nil, refuse(http.StatusBadRequest, "for is %s; it must be above 0 and at most %s, or left out", ask.For, longestFault)
	}
	return s.faults.inject(r.Context(), ask.Fault.Fault, ask.For.D())
}

func (s *Server) heal(r *http.Request) (any, error) {
	e, err := s.faults.find(r.PathValue("id"))
	if err != nil {
		return nil, err
	}
	return s.faults.heal(r.Context(), e)
}

// A surface is what faults of a proxy that stands alone may act on: its links, by their names. There are no processes.
type surface struct {
	proxy *proxy.Proxy
	given []*proxy.Link // the links that the fault was given

	mu     sync.Mutex
	shaped []EffectRef // what it put on them
}

var _ chaos.Surface = (*surface)(nil)

func (s *surface) Links(name string) []chaos.Link {
	for _, l := range s.proxy.Links() {
		if strings.ReplaceAll(l.Name(), "->", "→") == name {
			if !slices.Contains(s.given, l) {
				s.given = append(s.given, l)
			}
			return []chaos.Link{noted{l, s}}
		}
	}
	return nil
}

// A noted link tells its surface which effects a fault puts on it.
type noted struct {
	*proxy.Link
	surface *surface
}

func (n noted) Shape(ctx context.Context, id string, e chaos.Effect) error {
	n.surface.mu.Lock()
	if ref := (EffectRef{n.Name(), id}); !slices.Contains(n.surface.shaped, ref) {
		n.surface.shaped = append(n.surface.shaped, ref)
	}
	n.surface.mu.Unlock()
	return n.Link.Shape(ctx, id, e)
}

func (*surface) Processes(string) []chaos.Process { return nil }

// counters sum the delays of the links, since they were made.
func (s *surface) counters() chaos.Counters {
	sum := chaos.Counters{Delays: chaos.Histogram{}, Asked: chaos.Histogram{}}
	for _, l := range s.given {
		n, _ := l.Counters(context.Background()) // reads memory
		sum.Delays.Merge(n.Delays, 1)
		sum.Asked.Merge(n.Asked, 1)
	}
	return sum
}

// crowded says whether a link that was given has effects of others in force.
func (s *surface) crowded() bool {
	for _, l := range s.given {
		for id := range l.Effects() {
			if !slices.Contains(s.shaped, EffectRef{l.Name(), id}) {
				return true
			}
		}
	}
	return false
}

// present says which links there are, for an error that says that one is missing.
func (s *surface) present() string {
	var names []string
	for _, l := range s.proxy.Links() {
		names = append(names, l.Name())
	}
	if len(names) == 0 {
		return "; the proxy has no links"
	}
	return "; the proxy has the links " + strings.Join(names, ", ") + ", and no processes"
}

// gone is the name of a link that was given and is no more, even if another one has taken its name.
func (s *surface) gone() string {
	for _, given := range s.given {
		if l, ok := s.proxy.Link(given.Name()); !ok || l != given {
			return given.Name()
		}
	}
	return ""
}
