package load

import (
	"sync"
	"sync/atomic"

	"shakedown/bench"
)

const shards = 16 // a power of two, well above the cores that a generator gets

// A recorder gathers samples from many goroutines and counts the ledger. Both are sharded by sequence number, so that
// recording hardly ever waits.
type recorder struct {
	scheduled atomic.Int64
	shards    [shards]shard
}

type shard struct {
	mu      sync.Mutex
	samples []bench.Sample
	ledger  bench.Ledger
	_       [64]byte // keeps the neighbours' locks off this cache line
}

func newRecorder() *recorder { return &recorder{} }

// schedule counts an arrival as due.
func (r *recorder) schedule() { r.scheduled.Add(1) }

// record takes what became of an arrival that was counted by schedule.
func (r *recorder) record(s bench.Sample) {
	sh := &r.shards[s.Seq%shards]
	sh.mu.Lock()
	sh.samples = append(sh.samples, s)
	sh.ledger.Add(s.Outcome)
	sh.mu.Unlock()
}

// take appends the samples recorded since the last call to b.
func (r *recorder) take(b []bench.Sample) []bench.Sample {
	for i := range r.shards {
		sh := &r.shards[i]
		sh.mu.Lock()
		b = append(b, sh.samples...)
		sh.samples = sh.samples[:0]
		sh.mu.Unlock()
	}
	return b
}

// ledger is the ledger up to now. While arrivals are in flight, it does not balance yet.
func (r *recorder) ledger() bench.Ledger {
	var l bench.Ledger
	for i := range r.shards {
		sh := &r.shards[i]
		sh.mu.Lock()
		l.OK += sh.ledger.OK
		l.Degraded += sh.ledger.Degraded
		l.Refused += sh.ledger.Refused
		l.Failed += sh.ledger.Failed
		l.Unsure += sh.ledger.Unsure
		l.Unsent += sh.ledger.Unsent
		sh.mu.Unlock()
	}
	l.Scheduled = r.scheduled.Load()
	return l
}
