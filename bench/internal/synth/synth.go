package synth

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"shakedown/bench"
	"shakedown/bench/record"
	"shakedown/chaos"
)

// Behaviour is how the arrivals of one phase fare. What the shares leave out times out: it ends as Unsure.
type Behaviour struct {
	OK, Degraded, Refused, Failed float64
	// Service is the mean service time; it spreads uniformly over ±Spread of it.
	Service time.Duration
	Spread  float64
	Flags   bench.Flags // of every answer
	Value   int64       // of every answer
}

// Good answers everything in full, in 1 to 3 ms.
func Good() Behaviour { return Behaviour{OK: 1, Service: 2 * time.Millisecond, Spread: 0.5} }

// Share answers the fraction ok in full and fails the rest.
func Share(ok float64) Behaviour {
	return Behaviour{OK: ok, Failed: 1 - ok, Service: 2 * time.Millisecond, Spread: 0.5}
}

// Recording is a run in memory.
type Recording struct {
	Run    record.Run
	Trials []*record.Data
}

// New begins the recording of a complete run of the experiment on an imaginary machine. Planned follows what is added.
func New(e bench.Experiment, claims []bench.Claim, seed uint64) *Recording {
	started := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	return &Recording{Run: record.Run{
		SchemaVersion: record.SchemaVersion, ID: "synthetic", Status: record.Complete, Version: "0.0.0-synthetic",
		Started: started, Finished: started.Add(time.Minute), Command: []string{"shakedown", "run", e.Name},
		Seed: seed, Pattern: "synthetic/pattern", Claims: claims, Experiment: e,
		Host: record.Host{
			OS: "Imaginary 1", Kernel: "6.0", Arch: "amd64", CPU: "Imaginary CPU", Cores: 2, MemoryGiB: 8,
			GoVersion: "go1.26", Containment: "none", TimerSlackUS: 60,
		},
	}}
}

// Load is the trial at i, as the reader of a run directory would load it.
func (r *Recording) Load(i int) (record.Data, error) {
	if i < 0 || i >= len(r.Trials) {
		return record.Data{}, fmt.Errorf("trial %d: there are %d", i, len(r.Trials))
	}
	return *r.Trials[i], nil
}

// Add records one valid trial, in which the arrivals of each phase fare as behave says; a phase that it leaves out is
// Good. The trial may be changed afterwards.
func (r *Recording) Add(variant, level string, repeat int, behave map[string]Behaviour) *record.Data {
	index := len(r.Trials)
	e := r.Run.Experiment
	at, ok := e.Level(level)
	if !ok {
		panic("synth: the experiment has no level " + level) // the test is wrong
	}
	d := &record.Data{Trial: record.Trial{
		Index: index, Variant: variant, Level: level, Repeat: repeat, Seed: r.Run.Seed + uint64(index),
		Status: record.Complete, Closed: at.Closed != nil, Started: r.Run.Started,
	}}
	g := generator{workload: e.WorkloadAt(at), rng: rand.New(rand.NewPCG(r.Run.Seed, uint64(index)))}
	var zero time.Duration
	for _, p := range e.PhasesAt(at) {
		b, ok := behave[p.Name]
		if !ok {
			b = Good()
		}
		span := spanOf(p, zero, r.Run.CapacityPerS)
		d.Trial.Phases = append(d.Trial.Phases, span)
		if p.Closed != nil {
			g.closed(span, *p.Closed, b)
		} else {
			g.open(p, span, r.Run.CapacityPerS, b)
		}
		zero = span.End
	}
	network := e.Network
	if at.Network != nil {
		network = at.Network
	}
	d.Trial.Network = landed(network, 0, zero)
	d.Samples = g.samples
	slices.SortStableFunc(d.Samples, func(a, b bench.Sample) int { return cmp.Compare(a.Due, b.Due) })
	for i := range d.Samples {
		d.Samples[i].Seq = uint64(i)
	}
	Settle(d)
	r.Trials = append(r.Trials, d)
	r.Run.Planned = len(r.Trials)
	r.Run.Repeats = max(r.Run.Repeats, repeat+1)
	return d
}

// spanOf is the phase as it would have been run from the given moment on, with every fault seen to land.
func spanOf(p bench.Phase, start time.Duration, capacity float64) record.PhaseSpan {
	span := record.PhaseSpan{
		Name: p.Name, Start: start, End: start + p.For.D(), RateS: p.Rate.At(capacity), Judged: p.Judged,
	}
	if p.Closed != nil {
		span.RateS, span.Users = 0, p.Closed.Users
	}
	span.Faults = landed(p.Faults, span.Start, span.End)
	return span
}

// landed are faults that were in force from start to end, and were seen to be.
func landed(faults chaos.Faults, start, end time.Duration) []record.FaultSpan {
	var spans []record.FaultSpan
	for _, f := range faults {
		seen := chaos.Evidence{What: "synthetic " + f.Kind(), Seen: true}
		spans = append(spans, record.FaultSpan{
			Fault: f.String(), Kind: f.Kind(), Injected: start, Healed: end, Landed: seen, Effect: seen,
		})
	}
	return spans
}

// Settle makes the trial's ledger, its in-flight counts and the generator's account agree with its samples.
func Settle(d *record.Data) {
	d.Trial.Ledger = bench.Ledger{Scheduled: int64(len(d.Samples))}
	for _, s := range d.Samples {
		d.Trial.Ledger.Add(s.Outcome)
	}
	var end time.Duration
	var judged float64
	for _, p := range d.Trial.Phases {
		end = max(end, p.End)
		if p.Judged {
			judged += (p.End - p.Start).Seconds()
		}
	}
	d.Trial.Gen = record.Generator{
		WallS: judged, CPUS: 0.3 * judged, IdleS: 1.2 * judged, GCPauseMS: 0.2, MaxRSSMB: 64,
	}
	d.InFlight = inFlight(d.Samples, end)
}

// inFlight counts the requests between sent and done every 10 ms.
func inFlight(samples []bench.Sample, end time.Duration) []record.InFlight {
	var sent, done []time.Duration
	for _, s := range samples {
		if s.Outcome != bench.Unsent {
			sent, done = append(sent, s.Sent), append(done, s.Done)
		}
	}
	slices.Sort(sent)
	slices.Sort(done)
	var ticks []record.InFlight
	var in, out int
	for at := time.Duration(0); at < end; at += 10 * time.Millisecond {
		for in < len(sent) && sent[in] <= at {
			in++
		}
		for out < len(done) && done[out] <= at {
			out++
		}
		ticks = append(ticks, record.InFlight{At: at, N: int64(in - out)})
	}
	return ticks
}

// Scrape adds a series to the trial: v at every step, up to and including the end of the last phase.
func Scrape(d *record.Data, kind, name string, labels map[string]string, step time.Duration, v func(time.Duration) float64) {
	s := record.Series{Name: name, Labels: labels, Type: kind}
	for at := time.Duration(0); at <= d.Trial.Phases[len(d.Trial.Phases)-1].End; at += step {
		s.Points = append(s.Points, record.Point{At: at, V: v(at)})
	}
	d.Series = append(d.Series, s)
}
