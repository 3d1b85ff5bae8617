package listappend

import (
	"context"
	"slices"
)

// A state is a transaction or junction, and whether the last dependency was an anti-dependency: twice its number, plus one when it
// was not. In the graph of states no anti-dependency follows another, so that a cycle of states is one that no snapshot explains
// (A. Cerone, A. Gotsman, "Analysing Snapshot Isolation", JACM 65(2), 2018: with D the dependencies and A the anti-dependencies,
// a history is of snapshot isolation when D∘A? has no cycle).
type state = int32

func before(v int32, anti bool) state {
	if anti {
		return 2 * v
	}
	return 2*v + 1
}

// A rule says which state an edge leads to; ok is false when it must not be taken.
type rule func(from state, e *edge) (to state, ok bool)

// The rules.
var (
	// overwriting follows overwrites only.
	overwriting rule = func(_ state, e *edge) (state, bool) { return before(e.to, false), e.kind == ww || e.kind == free }
	// depending follows overwrites and reads.
	depending rule = func(_ state, e *edge) (state, bool) { return before(e.to, false), e.kind != rw }
	// snapshotting follows everything, but no anti-dependency after another.
	snapshotting rule = func(from state, e *edge) (state, bool) {
		switch e.kind {
		case free:
			return before(e.to, from&1 == 0), true
		case rw:
			return before(e.to, true), from&1 == 1
		default:
			return before(e.to, false), true
		}
	}
	// returning follows what depending does, among the states of snapshotting.
	returning rule = func(from state, e *edge) (state, bool) {
		if e.kind == rw {
			return 0, false
		}
		return snapshotting(from, e)
	}
	// unbound follows everything.
	unbound rule = func(_ state, e *edge) (state, bool) { return before(e.to, false), true }
)

// A search looks for cycles in what one rule leads through.
type search struct {
	g    *graph
	rule rule
	// comps are the strongly connected components of states, and in says which one a state is in; -1 is none.
	comps [][]state
	in    []int32

	round int32
	seen  []int32 // round in which a state was reached
	by    []hop   // how
}

// A hop is one edge of a walk.
type hop struct {
	from state
	e    *edge
}

func (g *graph) search(r rule) *search {
	n := 2 * len(g.edges)
	s := &search{g: g, rule: r, in: make([]int32, n)}
	s.comps = components(n, func(v state, i int) (state, bool) {
		edges := g.edges[v>>1]
		if i >= len(edges) {
			return 0, false
		}
		w, ok := r(v, &edges[i])
		if !ok {
			return -1, true
		}
		return w, true
	})
	for i := range s.in {
		s.in[i] = -1
	}
	for i, c := range s.comps {
		for _, v := range c {
			s.in[v] = int32(i)
		}
	}
	if len(s.comps) > 0 {
		s.seen, s.by = make([]int32, n), make([]hop, n)
	}
	return s
}

// starts are the hops within a component whose edges are of a kind.
func (s *search) starts(comp []state, kind dep, yield func(hop) bool) {
	for _, v := range comp {
		edges := s.g.edges[v>>1]
		for i := range edges {
			e := &edges[i]
			if w, ok := s.rule(v, e); ok && e.kind == kind && s.in[w] == s.in[v] && !yield(hop{v, e}) {
				return
			}
		}
	}
}

// around is a shortest walk that begins with a hop and leads back to where it began by a rule, which allows no more than the search's;
// nil when there is none.
func (s *search) around(first hop, r rule) []hop {
	start, _ := s.rule(first.from, first.e)
	s.round++
	s.seen[start], s.by[start] = s.round, first
	// States are visited in the order of the edges to them that are not free.
	now, next := []state{start}, []state(nil)
	for len(now) > 0 {
		for i := 0; i < len(now); i++ {
			v := now[i]
			if v == first.from {
				return s.walk(start, v, first)
			}
			edges := s.g.edges[v>>1]
			for j := range edges {
				e := &edges[j]
				w, ok := r(v, e)
				if !ok || s.in[w] != s.in[start] || s.seen[w] == s.round {
					continue
				}
				s.seen[w], s.by[w] = s.round, hop{v, e}
				if e.kind == free {
					now = append(now, w)
				} else {
					next = append(next, w)
				}
			}
		}
		now, next = next, now[:0]
	}
	return nil
}

func (s *search) walk(start, end state, first hop) []hop {
	var w []hop
	for v := end; v != start; v = s.by[v].from {
		w = append(w, s.by[v])
	}
	w = append(w, first)
	slices.Reverse(w)
	return w
}

// A link is a dependency between two transactions, with junctions passed over.
type link struct {
	from, to   int32
	kind       dep
	key, value int64
}

// links are a walk without its junctions.
func (g *graph) links(walk []hop) []link {
	for walk[0].from>>1 >= int32(g.txns) { // begin at a transaction
		walk = append(walk[1:], walk[0])
	}
	var out []link
	for _, h := range walk {
		if h.e.kind != free {
			out = append(out, link{from: h.from >> 1, to: h.e.to, kind: h.e.kind, key: h.e.key, value: h.e.value})
			continue
		}
		last := &out[len(out)-1]
		last.to, last.value = h.e.to, h.e.value
	}
	return out
}

// simple is a cycle within a closed walk in which no transaction is met twice. Where the walk has no two anti-dependencies in a row, the
// cycle has none either: of the two parts that a transaction splits a walk into, one at least does not join two of them there.
func simple(c []link) []link {
	at := map[int32]int{}
	for i, l := range c {
		j, met := at[l.from]
		if !met {
			at[l.from] = i
			continue
		}
		inner, outer := slices.Clone(c[j:i]), slices.Concat(c[:j], c[i:])
		if adjacent(inner) && !adjacent(outer) {
			return simple(outer)
		}
		return simple(inner)
	}
	return c
}

// adjacent says whether two anti-dependencies follow each other on a cycle.
func adjacent(c []link) bool {
	for i, l := range c {
		if l.kind == rw && c[(i+1)%len(c)].kind == rw && len(c) > 1 {
			return true
		}
	}
	return false
}

// sort is which anomaly a simple cycle is.
func sort(c []link) Anomaly {
	anti, reads := 0, 0
	for _, l := range c {
		switch l.kind {
		case rw:
			anti++
		case wr:
			reads++
		}
	}
	switch {
	case anti > 1 && adjacent(c):
		return G2Item
	case anti > 1:
		return GNonadjacent
	case anti == 1:
		return GSingle
	case reads > 0:
		return G1c
	default:
		return G0
	}
}

// tries is how many cycles of one component are looked at for the shortest.
const tries = 64

// examples finds a shortest cycle of each component through an edge of a kind, and passes it on when it is of a sort that is wanted.
func (s *search) examples(ctx context.Context, kind dep, found func(c []link), wanted ...Anomaly) {
	for _, comp := range s.comps {
		best := map[Anomaly][]link{}
		left := tries
		s.starts(comp, kind, func(first hop) bool {
			c := simple(s.g.links(s.around(first, s.rule)))
			if was, ok := best[sort(c)]; !ok || len(c) < len(was) {
				best[sort(c)] = c
			}
			left--
			return left > 0 && (len(best) == 0 || ctx.Err() == nil) // a component is never without an example
		})
		for _, a := range wanted {
			if c, ok := best[a]; ok {
				found(c)
			}
		}
	}
}

// single looks for a cycle with one anti-dependency among all there are; done is false when the time was up before.
func (s *search) single(ctx context.Context, found func(c []link)) (done bool) {
	done = true
	for _, comp := range s.comps {
		had := false
		s.starts(comp, rw, func(first hop) bool {
			if done = ctx.Err() == nil; !done {
				return false
			}
			if walk := s.around(first, returning); walk != nil {
				had = true
				found(simple(s.g.links(walk)))
			}
			return !had
		})
		if had || !done {
			return done
		}
	}
	return true
}

// findCycles passes on examples of every sort of cycle there is, and returns the sorts that there was no time to look for.
func (g *graph) findCycles(ctx context.Context, found func(c []link)) (open []Anomaly) {
	had := map[Anomaly]bool{}
	note := func(c []link) { had[sort(c)] = true; found(c) }
	for _, step := range []struct {
		rule   rule
		with   dep
		wanted []Anomaly
	}{
		{overwriting, ww, []Anomaly{G0}},
		{depending, wr, []Anomaly{G1c}},
		{snapshotting, rw, []Anomaly{GSingle, GNonadjacent}},
		{unbound, rw, []Anomaly{G2Item}},
	} {
		if ctx.Err() != nil {
			open = append(open, step.wanted...)
			continue
		}
		s := g.search(step.rule)
		s.examples(ctx, step.with, note, step.wanted...)
		if slices.Contains(step.wanted, GSingle) && !had[GSingle] && !s.single(ctx, note) {
			open = append(open, GSingle)
		}
	}
	return open
}
