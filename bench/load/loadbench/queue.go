package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net/http"
	"strconv"
	"time"

	"shakedown/bench/load/loadbench/peer"
	"shakedown/bench/load/loadbench/queueing"
	"shakedown/bench/load/loadbench/server"
	"shakedown/internal/benchmark"
)

// The most that a percentile may be off what the server states: the larger of the two.
const (
	queueShare = 0.03
	queueMS    = 0.5
)

// service is the mean service time. With 2 ms a queue at 95 % forgets its past in some 3 s (the relaxation time of M/M/1 is 1/μ(1 − √ρ)²), so
// that a run of a quarter of a minute sees several independent stretches, and 0.5 ms are still little beside what its customers wait.
const service = 2 * time.Millisecond

// serviceSeed draws the service times; the arrivals are drawn by shakedown. With both fixed a queue's history is nearly the same in each run.
const serviceSeed = 7

// bandRuns is how many runs are simulated to know what a run's percentiles scatter by.
const bandRuns = 200

var queueKinds = []queueing.Queue{
	{Servers: 1, MeanS: service.Seconds()}, {Servers: 1, MeanS: service.Seconds(), Fixed: true}, {Servers: 4, MeanS: service.Seconds()},
}

// queueLoads are the loads, and how long shakedown and its peers send each.
var queueLoads = []struct {
	load       float64
	own, peers time.Duration
}{{0.50, 8 * time.Second, 5 * time.Second}, {0.80, 10 * time.Second, 6 * time.Second}, {0.95, 16 * time.Second, 8 * time.Second}}

// A queueRun is one generator's load on one queue.
type queueRun struct {
	p      peer.Peer
	q      queueing.Queue
	load   float64
	length time.Duration
	said   peer.Result   // by the generator
	stated server.Stated // by the server
}

// queues compares what generators say with what the server states, and that with theory.
func queues(ctx context.Context, g *rig) (benchmark.Section, error) {
	var runs []queueRun
	for _, l := range queueLoads {
		for _, q := range queueKinds {
			for _, p := range []peer.Peer{own, peer.Wrk2(), peer.Oha(), peer.Vegeta(), peer.K6()} {
				if !g.has(p) {
					continue
				}
				r := queueRun{p: p, q: q, load: l.load, length: l.peers}
				if p.Name == own.Name {
					r.length = l.own
				}
				r.length = benchmark.Pick(g.Options, r.length, 2*time.Second)
				g.Say("%v at %.0f %%: %s", q, 100*l.load, p.Name)
				if err := r.measure(ctx, g); err != nil {
					return benchmark.Section{}, err
				}
				runs = append(runs, r)
			}
		}
	}
	return queueSection(runs)
}

func (r *queueRun) measure(ctx context.Context, g *rig) (err error) {
	s, url, err := serve(ctx, "queue", "-servers", strconv.Itoa(r.q.Servers), "-mean", service.String(), fmt.Sprintf("-fixed=%v", r.q.Fixed))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.stop()) }()
	// Nobody gives up: what a user would have waited who did is not known to either side.
	l := peer.Load{URL: url, Length: r.length, Rate: r.q.Rate(r.load), Poisson: true, Timeout: 30 * time.Second}
	if r.said, err = g.send(ctx, r.p, l, peer.Anywhere); err != nil {
		return err
	}
	r.stated, err = ask(ctx, url+"stated")
	return err
}

// ask is what the server states.
func ask(ctx context.Context, url string) (s server.Stated, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		return s, err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return s, err
	}
	defer func() { err = errors.Join(err, resp.Body.Close()) }()
	return s, json.NewDecoder(resp.Body).Decode(&s)
}

// queueShares are the percentiles that are compared.
var queueShares = []float64{0.50, 0.95, 0.99, 0.999}

func (r *queueRun) truth() []float64 {
	return []float64{r.stated.P50, r.stated.P95, r.stated.P99, r.stated.P999}
}

func (r *queueRun) measured() []float64 {
	t := r.said.Times
	return []float64{t.P50, t.P95, t.P99, t.P999}
}

// off says whether a percentile is further from the truth than promised.
func off(measured, truth float64) bool {
	return !(math.Abs(measured-truth) <= max(queueShare*truth, queueMS)) // NaN is off
}

const queueText = `The server simulates a queue: it computes when a request leaves from when it was read and from those before it (Lindley's
recursion), with a mean service time of %v, and answers then. Nothing is computed meanwhile, so it takes no processor. It
measures by its own clock what each request really spent in it, and states the percentiles of all. shakedown sends Poisson
arrivals for 8, 10 and 16 s, the others what they have, for 5, 6 and 8 s; each is compared with what the server stated in its
own run.`

const theoryText = `What the server stated in shakedown's runs, in ms, and in brackets the formula's value and where a run of that length may lie:
%g standard deviations to each side, by %d simulated runs that begin, like the real ones, with an empty queue.`

func queueSection(runs []queueRun) (benchmark.Section, error) {
	said := benchmark.Table{
		Caption: "What a generator says, less what the server stated, in ms; in brackets the share of it.",
		Head:    []string{"generator", "queue", "load", "answered", "p50", "p95", "p99", "p99.9"},
	}
	theory := benchmark.Table{
		Caption: fmt.Sprintf(theoryText, queueing.Sigmas, bandRuns),
		Head:    []string{"queue", "load", "p50", "p95", "p99", "p99.9"},
	}
	compared, far, outside := 0, 0, 0
	for _, r := range runs {
		cells, off := r.errors()
		queue, load := r.q.String(), fmt.Sprintf("%.0f %%", 100*r.load)
		said.Rows = append(said.Rows, append([]string{r.p.Name, queue, load, strconv.FormatInt(r.said.OK, 10)}, cells...))
		if r.p.Name != own.Name {
			continue
		}
		cells, out, err := r.beside()
		if err != nil {
			return benchmark.Section{}, err
		}
		theory.Rows = append(theory.Rows, append([]string{queue, load}, cells...))
		compared += len(queueShares)
		far += off
		outside += out
	}
	within := func(n int) string { return fmt.Sprintf("%d of %d", compared-n, compared) }
	s := benchmark.Section{Title: "Servers that are queues", Text: fmt.Sprintf(queueText, service), Tables: []benchmark.Table{said, theory}}
	s.Promise(fmt.Sprintf("queues, percentiles within %.0f %% or %g ms of what the server stated", 100*queueShare, queueMS), within(far), far == 0)
	s.Promise("queues, percentiles that the server stated within sampling error of theory", within(outside), outside == 0)
	return s, nil
}

// errors are the distances of what the generator says from the truth; far is how many of them are more than promised.
func (r *queueRun) errors() (cells []string, far int) {
	for i, truth := range r.truth() {
		d := r.measured()[i] - truth
		cells = append(cells, fmt.Sprintf("%+.2f (%+.1f %%)", d, 100*d/truth))
		if off(r.measured()[i], truth) {
			far++
		}
	}
	return cells, far
}

// beside are the percentiles that the server stated beside those of the theory; out is how many of them are too far from these.
func (r *queueRun) beside() (cells []string, out int, err error) {
	bands := queueing.Bands(r.q, r.load, r.length.Seconds(), queueShares, bandRuns)
	for i, truth := range r.truth() {
		formula, err := r.q.Quantile(r.load, queueShares[i])
		if err != nil {
			return nil, 0, err
		}
		if !bands[i].Holds(truth / 1e3) {
			out++
		}
		cells = append(cells, fmt.Sprintf("%s (%s; %s–%s)", ms(truth), ms(1e3*formula), ms(1e3*bands[i].Low), ms(1e3*bands[i].High)))
	}
	return cells, out, nil
}
