package load

import (
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

	"shakedown/bench"
)

// The configuration of every histogram: nanoseconds, told apart to 64 ns and to 0.1 % of their value, up to an hour. It is
// fixed, so that merging two histograms is exact (G. Tene, HdrHistogram).
const (
	lowestNS  = 100
	highestNS = int64(time.Hour)
	digits    = 3
)

// NewHistogram is an empty histogram of times in nanoseconds, in the one configuration that all of them have.
func NewHistogram() *hdrhistogram.Histogram { return hdrhistogram.New(lowestNS, highestNS, digits) }

// Distributions are what users waited and how the generator kept time, of the arrivals that were due in the judged phases, or in
// all when none is judged. Histograms are in nanoseconds.
type Distributions struct {
	// Ledger is of those arrivals; while a load runs it does not balance.
	Ledger bench.Ledger
	// Response is from due to done, Service from sent to done; both of the ok, the degraded and the unsure. A user who gave up
	// counts with the time after which he did, which is a lower bound of what he would have waited.
	Response, Service *hdrhistogram.Histogram
	// Censored is how many of Response and Service are such lower bounds.
	Censored int64
	// Lag is from due to the moment the generator got to the request, of all that it got to.
	Lag *hdrhistogram.Histogram
	// Wait is from then until there was a connection to send the request on, of all that were sent.
	Wait *hdrhistogram.Histogram
	// Ops is the same by operation, when the plan has more than one.
	Ops []OpDistribution
	// Causes counts what was not ok, by cause, in the words of the client.
	Causes map[string]int64

	atOnce int64 // waits of 0 that are not in Wait yet: nearly all are
}

// OpDistribution is of the arrivals of one operation.
type OpDistribution struct {
	Ledger   bench.Ledger
	Response *hdrhistogram.Histogram
	Censored int64
}

func newDistributions(ops int) *Distributions {
	d := &Distributions{
		Response: NewHistogram(), Service: NewHistogram(), Lag: NewHistogram(), Wait: NewHistogram(), Causes: map[string]int64{},
	}
	if ops > 1 {
		d.Ops = make([]OpDistribution, ops)
		for i := range d.Ops {
			d.Ops[i].Response = NewHistogram()
		}
	}
	return d
}

// record takes one sample; wait is the part of due to sent that the request spent without a connection.
func (d *Distributions) record(s bench.Sample, wait time.Duration, cause string) {
	d.Ledger.Add(s.Outcome)
	if cause != "" && s.Outcome != bench.OK {
		d.Causes[cause]++
	}
	var op *OpDistribution
	if int(s.Op) < len(d.Ops) {
		op = &d.Ops[s.Op]
		op.Ledger.Add(s.Outcome)
	}
	if s.Outcome == bench.Unsent {
		return
	}
	add(d.Lag, s.Sent-wait-s.Due)
	if wait == 0 {
		d.atOnce++
	} else {
		add(d.Wait, wait)
	}
	if s.Outcome != bench.Unsure && !s.Outcome.Answered() {
		return
	}
	add(d.Response, s.Response())
	add(d.Service, s.Service())
	if op != nil {
		add(op.Response, s.Response())
	}
	if s.Outcome == bench.Unsure {
		d.Censored++
		if op != nil {
			op.Censored++
		}
	}
}

// add records a time; what is beyond the highest counts as the highest.
func add(h *hdrhistogram.Histogram, t time.Duration) {
	_ = h.RecordValue(min(max(int64(t), 0), highestNS)) // in range
}

// settle puts into Wait what is counted apart.
func (d *Distributions) settle() {
	if d.atOnce > 0 {
		_ = d.Wait.RecordValues(0, d.atOnce) // in range
		d.atOnce = 0
	}
}

// merge adds what o has.
func (d *Distributions) merge(o *Distributions) {
	o.settle()
	d.Ledger = plus(d.Ledger, o.Ledger)
	d.Response.Merge(o.Response)
	d.Service.Merge(o.Service)
	d.Lag.Merge(o.Lag)
	d.Wait.Merge(o.Wait)
	d.Censored += o.Censored
	for i := range o.Ops {
		d.Ops[i].Ledger = plus(d.Ops[i].Ledger, o.Ops[i].Ledger)
		d.Ops[i].Response.Merge(o.Ops[i].Response)
		d.Ops[i].Censored += o.Ops[i].Censored
	}
	for cause, n := range o.Causes {
		d.Causes[cause] += n
	}
}

// reset empties it.
func (d *Distributions) reset() {
	d.Ledger, d.Censored = bench.Ledger{}, 0
	for _, h := range []*hdrhistogram.Histogram{d.Response, d.Service, d.Lag, d.Wait} {
		h.Reset()
	}
	for i := range d.Ops {
		d.Ops[i].Ledger, d.Ops[i].Censored = bench.Ledger{}, 0
		d.Ops[i].Response.Reset()
	}
	clear(d.Causes)
}
