package listappend

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"shakedown/bench"
)

// A store is a database in memory, on which transactions run step by step in a random interleaving, under rules of its own.
type store struct {
	rules     rules
	rng       *rand.Rand
	commits   int
	committed map[int64][]version // of a key, the last one last
	locks     map[int64]*running
	next      map[int64]int64
	keys      int
	perKey    int64
}

// A version is what a key's list was from some commit on.
type version struct {
	from int
	list []int64
}

type rules int

const (
	dirty    rules = iota // reads see what is not committed, writes are in place
	latest                // every read sees the last commit; writes take effect at commit, and lock until then
	snapshot              // reads see what was committed at the begin; the first to commit wins
	serial                // snapshot, and nothing that was read may have changed at commit
)

// A running transaction.
type running struct {
	at    int // its place in the history
	left  int
	from  int // the commits that its snapshot has
	wrote map[int64][]int64
	read  map[int64]bool
}

func newStore(r rules, seed uint64, keys int, perKey int64) *store {
	return &store{
		rules: r, rng: rand.New(rand.NewPCG(seed, 9)), committed: map[int64][]version{}, locks: map[int64]*running{},
		next: map[int64]int64{}, keys: keys, perKey: perKey,
	}
}

// run makes a history of n transactions, of which so many run at a time.
func (s *store) run(n, at int) History {
	h := make(History, 0, n)
	var open []*running
	for len(h) < n || len(open) > 0 {
		if len(h) < n && len(open) < at {
			h = append(h, Txn{Outcome: bench.Failed})
			open = append(open, s.begin(len(h)-1))
			continue
		}
		i := s.rng.IntN(len(open))
		if r := open[i]; r.left > 0 {
			r.left--
			h[r.at].Ops = append(h[r.at].Ops, s.step(r))
		} else {
			if s.commit(r) {
				h[r.at].Outcome = bench.OK
			}
			open = slices.Delete(open, i, i+1)
		}
	}
	return h
}

func (s *store) begin(at int) *running {
	return &running{at: at, left: 1 + s.rng.IntN(4), from: s.commits, wrote: map[int64][]int64{}, read: map[int64]bool{}}
}

// list is what a key's list was after so many commits.
func (s *store) list(key int64, commits int) []int64 {
	vs := s.committed[key]
	for i := len(vs) - 1; i >= 0; i-- {
		if vs[i].from <= commits {
			return vs[i].list
		}
	}
	return nil
}

func (s *store) changed(key int64, since int) bool {
	vs := s.committed[key]
	return len(vs) > 0 && vs[len(vs)-1].from > since
}

func (s *store) append(key int64, values ...int64) {
	s.committed[key] = append(s.committed[key], version{s.commits, slices.Concat(s.list(key, s.commits), values)})
}

// key is one that still takes appends; a key is full after so many, and another one takes its place.
func (s *store) key() int64 {
	k := int64(s.rng.IntN(s.keys))
	for s.next[k] >= s.perKey {
		k += int64(s.keys)
	}
	return k
}

func (s *store) step(r *running) Op {
	k := s.key()
	if s.rng.IntN(2) == 0 && (s.rules != latest || s.locks[k] == nil || s.locks[k] == r) {
		s.next[k]++
		v := s.next[k]
		if s.rules == dirty {
			s.append(k, v)
		} else {
			r.wrote[k] = append(r.wrote[k], v)
		}
		s.locks[k] = r
		return Append(k, v)
	}
	r.read[k] = true
	commits := s.commits
	if s.rules >= snapshot {
		commits = r.from
	}
	return Read(k, slices.Concat(s.list(k, commits), r.wrote[k])...)
}

func (s *store) commit(r *running) bool {
	ok := s.rng.IntN(20) > 0 // some give up; the dirty store cannot take back what it wrote
	for k := range r.wrote {
		ok = ok && (s.rules < snapshot || !s.changed(k, r.from))
		delete(s.locks, k)
	}
	for k := range r.read {
		ok = ok && (s.rules != serial || !s.changed(k, r.from))
	}
	if !ok {
		return false
	}
	s.commits++
	for k, vs := range r.wrote {
		s.append(k, vs...)
	}
	return true
}

func TestStoresAreOfTheLevelThatTheirRulesGive(t *testing.T) {
	for r, c := range map[rules]struct {
		of    Level
		shows []Anomaly // over all seeds: those that the rules allow are there to be found
	}{
		dirty:    {"", []Anomaly{G1a, G1c}},
		latest:   {ReadCommitted, []Anomaly{GSingle}},
		snapshot: {Snapshot, []Anomaly{G2Item}},
		serial:   {Serializable, nil},
	} {
		had := map[Anomaly]bool{}
		for seed := range uint64(40) {
			j := judge(t, newStore(r, seed, 3, 30).run(60, 5))
			for _, a := range found(j) {
				had[a] = true
			}
			if c.of != "" && j.Of(c.of) != bench.Holds {
				t.Fatalf("rules %d, seed %d: not of %s: %v", r, seed, c.of, j.Findings)
			}
		}
		for _, a := range c.shows {
			if !had[a] {
				t.Errorf("rules %d never show %s", r, a)
			}
		}
	}
}

// An operation costs the same however long the history is: go test -bench Judge ./bench/check/listappend
func BenchmarkJudge(b *testing.B) {
	for _, r := range []rules{serial, snapshot, latest} {
		h := newStore(r, 1, 100, 100).run(400_000, 16)
		ops := 0
		for _, t := range h {
			ops += len(t.Ops)
		}
		b.Run(fmt.Sprintf("rules=%d", r), func(b *testing.B) {
			for b.Loop() {
				start := time.Now()
				j, err := Judge(b.Context(), h, Options{})
				if err != nil {
					b.Fatal(err)
				}
				b.ReportMetric(float64(ops), "ops")
				b.ReportMetric(float64(time.Since(start).Nanoseconds())/float64(ops), "ns/judged")
				b.ReportMetric(float64(len(j.Open)), "open")
			}
		})
	}
}
