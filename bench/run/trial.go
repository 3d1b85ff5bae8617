package run

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"shakedown/bench"
	"shakedown/bench/arrival"
	"shakedown/bench/load"
	"shakedown/bench/load/mix"
	"shakedown/bench/load/wire"
	"shakedown/bench/record"
	"shakedown/internal/clock"
)

// lead is how far ahead the zero of a trial lies when its load is set up.
const lead = 20 * time.Millisecond

// trial runs one variant once, from empty directories to an end where nothing of it runs any more.
type trial struct {
	*runner
	planned Planned
	config  []byte
	phases  []bench.Phase
	load    bench.Workload
	writer  *record.TrialWriter
	dir     string // for sockets, data and specifications; gone with the trial
	topology

	zero     time.Duration
	timeline *timeline
	tripwire *tripwire
	scraper  *scraper

	mu      sync.Mutex
	rec     record.Trial
	samples []bench.Sample // kept when they are audited
}

func (r *runner) newTrial(p Planned) (*trial, error) {
	e := r.o.Experiment
	config, err := bench.MarshalConfig(p.Variant.Config, p.Level.Config)
	if err != nil {
		return nil, err
	}
	return &trial{
		runner: r, planned: p, config: config, phases: e.PhasesAt(p.Level), load: e.WorkloadAt(p.Level),
		dir: filepath.Join(r.work.Dir(), fmt.Sprint(p.Index)),
		rec: record.Trial{
			Index: p.Index, Variant: p.Variant.Name, Level: p.Level.Name, Repeat: p.Repeat, Seed: p.Seed,
			Closed: p.Level.Closed != nil, Started: time.Now().UTC(),
		},
	}, nil
}

func (r *runner) trial(ctx context.Context, p Planned) (err error) {
	t, err := r.newTrial(p)
	if err != nil {
		return &InputError{err}
	}
	r.progress.TrialStarted(p)
	began := time.Now()
	if t.writer, err = r.writer.Trial(t.rec); err != nil {
		return err
	}
	stats, err := t.run(ctx)
	t.rec.Status = record.Complete
	if err != nil {
		t.rec.Status, t.rec.Error = record.Aborted, err.Error()
	}
	err = errors.Join(err, t.writer.Finish(t.rec))
	r.progress.TrialEnded(p, Summary{Stats: stats, Took: time.Since(began)})
	return err
}

// run starts everything, drives the load through the phases, and stops everything again, whatever happens.
func (t *trial) run(ctx context.Context) (stats load.Stats, err error) {
	if err := os.MkdirAll(t.dir, 0o755); err != nil {
		return stats, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(t.dir)) }()
	defer func() { err = errors.Join(err, t.stopAll(ctx)) }()
	if err := t.startAll(ctx); err != nil {
		return stats, err
	}
	t.checkHealth(ctx, "before")
	defer func() { t.checkHealth(context.WithoutCancel(ctx), "after") }()
	if t.o.Experiment.Probes() {
		return stats, t.probe(ctx)
	}
	return t.drive(ctx)
}

// drive puts the trial under its load and its faults, and audits what is left.
func (t *trial) drive(ctx context.Context) (stats load.Stats, err error) {
	t.timeline = &timeline{
		clock: clock.Now, zero: clock.Now(), seed: t.planned.Seed, surface: t.surface(), journal: t.work.Journal(),
		event: t.event, entered: t.entered, changed: t.changed, spans: spansFor(t.phases, t.capacity),
	}
	t.tripwire = newTripwire(t.o.Experiment, t.phases, t.load, t.timeline)
	defer func() {
		err = errors.Join(err, t.timeline.healNetwork(ctx))
		t.rec.Network = t.timeline.network
	}()
	for _, f := range t.network() {
		if _, err := t.timeline.inject(ctx, -1, f, record.FaultSpan{}); err != nil {
			return stats, err
		}
	}
	stats, err = t.measure(ctx)
	if err == nil {
		err = t.audit(ctx)
	}
	return stats, err
}

// measure is the trial proper: load, phases and scraping, on one zero.
func (t *trial) measure(ctx context.Context) (load.Stats, error) {
	phases, err := t.loadPhases()
	if err != nil {
		return load.Stats{}, &InputError{err}
	}
	stream, err := bench.NewStream(t.load, t.planned.Seed)
	if err != nil {
		return load.Stats{}, &InputError{err}
	}
	plan := load.Plan{
		Phases: phases, Requests: stream, Timeout: t.load.Timeout.D(), Sink: t, Seed: t.planned.Seed, OnTick: t.tick,
	}
	end, err := t.sender(&plan, stream)
	if err != nil {
		return load.Stats{}, err
	}
	defer end()
	t.zero = clock.Now() + lead
	plan.Zero = t.zero
	t.timeline.zero = t.zero
	t.rec.Started = time.Now().UTC().Add(lead)
	t.scraper = newScraper(t.zero, t.sources())
	defer t.keepSeries()
	scraping, stopScraping := context.WithCancel(ctx)
	defer stopScraping()
	var stats load.Stats
	g, gctx := errgroup.WithContext(ctx)
	g.Go(func() error {
		t.scraper.run(scraping)
		return nil
	})
	g.Go(func() error { return t.timeline.run(gctx, t.phases) })
	if t.tripwire.armed() {
		g.Go(func() error { return t.tripwire.run(gctx) })
	}
	g.Go(func() (err error) {
		defer stopScraping()
		stats, err = load.Run(gctx, plan)
		return err
	})
	err = g.Wait()
	if left := t.timeline.unhealed; left != nil && !errors.Is(err, left) {
		err = errors.Join(err, left) // a fault that does not heal is not forgotten because something else ended the trial
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.rec.Ledger = stats.Ledger
	t.rec.Gen = generator(stats)
	t.rec.Phases = t.timeline.spans
	return stats, err
}

// sender gives the plan the event loops, or, when the workload's requests are not fit for them, the client on net/http.
func (t *trial) sender(plan *load.Plan, stream *bench.Stream) (end func(), err error) {
	urls := t.serviceURLs()
	var names []mix.Target
	var targets []wire.Target
	for _, u := range urls {
		addr := strings.TrimPrefix(u, "http://")
		names, targets = append(names, mix.Target{Host: addr}), append(targets, wire.Target{Addr: addr})
	}
	if requests, err := mix.FromStream(t.load, stream, names...); err == nil {
		plan.Wire, err = load.NewWire(requests, load.WireOptions{Targets: targets})
		return func() {}, err
	}
	client, err := load.NewHTTPClient(urls...)
	if err != nil {
		return nil, err
	}
	plan.Client = client
	return client.Close, nil
}

func generator(s load.Stats) record.Generator {
	return record.Generator{
		WallS: s.WallS, CPUS: s.CPUS, StealS: s.StealS, IdleS: s.IdleS, GCPauseMS: s.GCPauseMS, MaxRSSMB: s.MaxRSSMB, Users: s.Users,
	}
}

// loadPhases are the phases as the generator wants them. Every phase has arrivals of its own, which the trial's seed decides.
func (t *trial) loadPhases() ([]load.Phase, error) {
	phases := make([]load.Phase, len(t.phases))
	for i, p := range t.phases {
		span := t.timeline.spans[i]
		phases[i] = load.Phase{Start: span.Start, End: span.End, Judged: p.Judged, Closed: p.Closed}
		rate := p.Rate.At(t.capacity)
		if p.Closed != nil || rate == 0 && p.Peak.At(t.capacity) == 0 {
			continue
		}
		arrivals, err := arrival.New(p.Arrival, rate, p.Peak.At(t.capacity), p.For.D(), t.planned.Seed+uint64(i))
		if err != nil {
			return nil, fmt.Errorf("phase %s: %w", p.Name, err)
		}
		phases[i].Arrivals = arrivals
	}
	return phases, nil
}

// Samples passes what became of arrivals on to the record and to the telemetry.
func (t *trial) Samples(batch []bench.Sample) error {
	t.hub.Samples(t.load, batch)
	if t.o.Pattern.Audit != nil {
		t.mu.Lock()
		t.samples = append(t.samples, batch...)
		t.mu.Unlock()
	}
	t.tripwire.samples(batch)
	return t.writer.Samples(batch)
}

// tick passes the state of the load on to the display and to the tripwire.
func (t *trial) tick(now load.Tick) {
	t.tripwire.tick(now)
	t.progress.Tick(now)
}

// InFlight passes the number of requests in flight on to the record and to the telemetry.
func (t *trial) InFlight(at time.Duration, n int64) error {
	t.hub.InFlight(n)
	return t.writer.InFlight(at, n)
}

var _ load.Sink = (*trial)(nil)

func (t *trial) event(e record.Event) {
	if err := t.writer.Event(e); err != nil {
		t.progress.Finding("recording an event: " + err.Error()) // Finish returns it too
	}
}

func (t *trial) entered(p bench.Phase) {
	t.hub.Phase(p.Name)
	t.progress.PhaseStarted(p.Name, p.For.D())
}

func (t *trial) changed(f record.FaultSpan, active bool) {
	t.hub.FaultActive(f.Fault, f.Kind, active)
	t.progress.Fault(f, !active)
}

// finding records what happened to the system under test and that nobody asked for.
func (t *trial) finding(text string) {
	t.mu.Lock()
	t.rec.Findings = append(t.rec.Findings, text)
	t.mu.Unlock()
	t.progress.Finding(text)
}

// keepSeries takes a last look at what is only looked at once, and hands all series to the record.
func (t *trial) keepSeries() {
	t.scraper.once(context.Background())
	t.lookAtMemory()
	if err := t.writer.Series(t.scraper.all()); err != nil {
		t.progress.Finding("recording series: " + err.Error()) // Finish returns it too
	}
}
