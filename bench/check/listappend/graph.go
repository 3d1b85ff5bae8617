package listappend

import "slices"

// A dep is why one transaction must come before another.
type dep uint8

const (
	ww   dep = iota // it appended what the other appended to next
	wr              // it appended the last of what the other read
	rw              // it did not see what the other appended (anti-dependency)
	free            // from a junction: see graph
)

// An edge leads to a node. Value and key are what the dependency is about.
type edge struct {
	to    int32
	kind  dep
	key   int64
	value int64 // of rw and ww: the later one; of wr: the one that was read
}

// A graph has a node for each transaction, and behind them junctions. Everybody who saw the last of what was read of a key comes before
// all whose appends to it nobody read, but for themselves. So that n of the one and m of the other need n + m edges and not n × m, those
// m have two chains of junctions, forth and back, with free edges from one to the next and to the transaction that it stands for.
type graph struct {
	txns  int
	edges [][]edge
}

func newGraph(o *orders) *graph {
	g := &graph{txns: len(o.h), edges: make([][]edge, len(o.h))}
	for _, k := range o.keys {
		g.overwrites(o, k)
	}
	for t := range o.h {
		if o.h[t].committed() {
			g.reads(o, int32(t))
		}
	}
	return g
}

func (g *graph) add(from int32, e edge) {
	if from != e.to {
		g.edges[from] = append(g.edges[from], e)
	}
}

// writer of a value; ok only when it took place.
func (o *orders) writer(k *keyOrder, value int64) (t int32, ok bool) {
	w, ok := k.wrote[value]
	return w.txn, ok && o.real[w.txn]
}

// overwrites adds the order of a key's appends.
func (g *graph) overwrites(o *orders, k *keyOrder) {
	last, has := int32(0), false
	for _, v := range k.list {
		t, ok := o.writer(k, v)
		if !ok {
			continue
		}
		if has {
			g.add(last, edge{t, ww, k.key, v})
		}
		last, has = t, true
	}
	if has && len(k.unseen) > 0 {
		g.toUnseen(last, k, ww)
	}
}

// reads adds what a transaction has seen and what it has not.
func (g *graph) reads(o *orders, t int32) {
	touched := map[int64]bool{}
	for _, op := range o.h[t].Ops {
		k := o.of[op.Key]
		if !op.Reads {
			touched[op.Key] = true
			continue
		}
		n := len(op.List)
		for n > 0 && touched[op.Key] { // its own appends tell nothing
			if w, ok := k.wrote[op.List[n-1]]; !ok || w.txn != t {
				break
			}
			n--
		}
		if n > 0 {
			if w, ok := o.writer(k, op.List[n-1]); ok {
				g.add(w, edge{t, wr, op.Key, op.List[n-1]})
			}
		}
		if n == len(op.List) && !touched[op.Key] { // else it has overwritten what it saw, and its append has the edges
			g.misses(o, t, k, op.List)
		}
	}
}

// misses adds the edge to whoever came first after what was read.
func (g *graph) misses(o *orders, t int32, k *keyOrder, list []int64) {
	next := 0
	if n := len(list); n > 0 {
		at, ok := k.at[list[n-1]]
		if !ok {
			return
		}
		next = int(at) + 1
	}
	for ; next < len(k.list); next++ {
		if w, ok := o.writer(k, k.list[next]); ok && w != t {
			g.add(t, edge{w, rw, k.key, k.list[next]})
			return
		} else if ok {
			return // its own: what follows is the append's to say
		}
	}
	if len(k.unseen) > 0 {
		g.toUnseen(t, k, rw)
	}
}

// toUnseen leads to all whose appends to a key nobody read, but for the transaction that it leads from.
func (g *graph) toUnseen(from int32, k *keyOrder, kind dep) {
	n := int32(len(k.unseen))
	at, among := slices.BinarySearchFunc(k.unseen, from, func(u unseen, t int32) int { return int(u.txn - t) })
	if n == 1 {
		u := k.unseen[0]
		g.add(from, edge{u.txn, kind, k.key, u.value})
		return
	}
	if k.chain == 0 {
		g.makeChains(k)
	}
	switch {
	case !among:
		g.add(from, edge{k.chain, kind, k.key, 0})
	default:
		if i := int32(at); i+1 < n {
			g.add(from, edge{k.chain + i + 1, kind, k.key, 0})
		}
		if i := int32(at); i > 0 {
			g.add(from, edge{k.chain + n + i - 1, kind, k.key, 0})
		}
	}
}

// makeChains makes junctions chain to chain+n-1, each of which leads to the next, and chain+n to chain+2n-1, each of which leads to
// the one before.
func (g *graph) makeChains(k *keyOrder) {
	n := int32(len(k.unseen))
	k.chain = int32(len(g.edges))
	for back := range int32(2) {
		for i, u := range k.unseen {
			out := []edge{{u.txn, free, k.key, u.value}}
			switch i := int32(i); {
			case back == 0 && i+1 < n:
				out = append(out, edge{k.chain + i + 1, free, k.key, 0})
			case back == 1 && i > 0:
				out = append(out, edge{k.chain + n + i - 1, free, k.key, 0})
			}
			g.edges = append(g.edges, out)
		}
	}
}

// components are the strongly connected components with a cycle, of the nodes that next leads through, each in ascending order
// (R. Tarjan, "Depth-first search and linear graph algorithms", 1972; iterative, for graphs that are deep).
func components(n int, next func(v int32, i int) (w int32, ok bool)) [][]int32 {
	s := scc{next: next, low: make([]int32, n), index: make([]int32, n), on: make([]bool, n), place: make([]int, n)}
	for v := range n {
		if s.index[v] == 0 {
			s.visit(int32(v))
		}
	}
	slices.SortFunc(s.found, func(a, b []int32) int { return int(a[0] - b[0]) })
	return s.found
}

type scc struct {
	next       func(v int32, i int) (w int32, ok bool)
	low, index []int32 // index is 0 for what was not visited
	on         []bool
	place      []int // of the next edge to look at
	stack      []int32
	calls      []int32
	count      int32
	found      [][]int32
}

func (s *scc) enter(v int32) {
	s.count++
	s.index[v], s.low[v], s.on[v] = s.count, s.count, true
	s.stack, s.calls = append(s.stack, v), append(s.calls, v)
}

func (s *scc) visit(root int32) {
	s.enter(root)
	for len(s.calls) > 0 {
		v := s.calls[len(s.calls)-1]
		w, ok := s.next(v, s.place[v])
		if !ok {
			s.leave(v)
			continue
		}
		s.place[v]++
		switch {
		case w < 0: // an edge that does not count
		case s.index[w] == 0:
			s.enter(w)
		case s.on[w]:
			s.low[v] = min(s.low[v], s.index[w])
		}
	}
}

func (s *scc) leave(v int32) {
	s.calls = s.calls[:len(s.calls)-1]
	if n := len(s.calls); n > 0 {
		s.low[s.calls[n-1]] = min(s.low[s.calls[n-1]], s.low[v])
	}
	if s.low[v] != s.index[v] {
		return
	}
	at := len(s.stack)
	for {
		at--
		s.on[s.stack[at]] = false
		if s.stack[at] == v {
			break
		}
	}
	if len(s.stack)-at > 1 {
		c := slices.Clone(s.stack[at:])
		slices.Sort(c)
		s.found = append(s.found, c)
	}
	s.stack = s.stack[:at]
}
