package chaos

import (
	"context"
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"
)

const (
	// pings is how many datagrams a look sends in one direction; one that arrives shows the way open.
	pings = 3
	// openTime is how long a way that should be open is waited for, and cutTime one that should not.
	openTime = 2 * time.Second
	cutTime  = 200 * time.Millisecond
	// lookers is how many probes are under way at a time.
	lookers = 32
)

// reach is what was seen of one direction between two hosts.
type reach struct {
	arrives   bool // a datagram did, one way
	handshake Handshake
	// hidden: other faults act on this direction or the one back, so that a probe that fails shows nothing.
	hidden bool
}

// reachability is what was seen of all directions between some hosts.
type reachability map[pair]reach

// look tries every pair. Those that should be cut are given up soon; that they are cut is shown by the kernel's counters too.
func look(ctx context.Context, pairs []pair, cut map[pair]bool) (reachability, error) {
	before, err := others(ctx, pairs)
	if err != nil {
		return nil, err
	}
	seen := make([]reach, len(pairs))
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(lookers)
	for i, p := range pairs {
		way, both := openTime, openTime
		if cut[p] {
			way = cutTime
		}
		if cut[p] || cut[p.back()] {
			both = cutTime
		}
		g.Go(func() error {
			n, err := p.from.Ping(gctx, p.to, pings, way)
			seen[i].arrives = n > 0
			return err
		})
		g.Go(func() (err error) {
			seen[i].handshake, err = p.from.Connect(gctx, p.to, both)
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return nil, err
	}
	after, err := others(ctx, pairs)
	if err != nil {
		return nil, err
	}
	all := reachability{}
	for i, p := range pairs {
		seen[i].hidden = after.hides(before, p) || after.hides(before, p.back())
		all[p] = seen[i]
	}
	return all, nil
}

// differs says where a reachability is not the one expected, in a few words, or nothing. What was not open before can show
// nothing, and is left out; seen counts the directions that were cut, as wanted.
func (r reachability) differs(before reachability, cut map[pair]bool) (seen int, where string) {
	for p, now := range r {
		if !before[p].arrives {
			continue
		}
		switch {
		case cut[p] && now.arrives:
			where = fmt.Sprintf("%s is not cut", p)
		case cut[p]:
			seen++
		case !now.arrives && !now.hidden:
			where = fmt.Sprintf("%s is cut", p)
		}
		open := !cut[p] && !cut[p.back()]
		connected := now.handshake == Connected
		if before[p].handshake == Connected && open != connected && (connected || !now.hidden) {
			where = fmt.Sprintf("connecting %s: %s", p, now.handshake)
		}
	}
	return seen, where
}

// doings is what all faults together have done to probes on some pairs, by the kernel's word.
type doings map[pair]doing

type doing struct {
	filtered int64 // probes, so far
	limited  bool  // the rate is limited, and a full queue drops
}

// others reads what faults do on the pairs.
func others(ctx context.Context, pairs []pair) (doings, error) {
	all := doings{}
	filtered := map[Host][]Filtered{}
	limited := map[Host]map[Direction]bool{}
	for _, p := range pairs {
		for _, h := range []Host{p.from, p.to} {
			if _, known := limited[h]; known {
				continue
			}
			met, err := h.Filtered(ctx, "")
			if err != nil {
				return nil, err
			}
			filtered[h], limited[h] = met, map[Direction]bool{}
			for _, d := range []Direction{Upstream, Downstream} {
				now, err := h.Limited(ctx, d)
				if err != nil {
					return nil, err
				}
				limited[h][d] = now.BytesPerSecond > 0
			}
		}
		for _, w := range []pair{p, p.back()} {
			var d doing
			for _, f := range filtered[w.to] {
				if f.From == w.from.Name() {
					d.filtered += f.Probes
				}
			}
			d.limited = limited[w.from][Upstream] || limited[w.to][Downstream]
			all[w] = d
		}
	}
	return all, nil
}

// hides says whether faults have acted on probes of the pair since an earlier look. A fault that went meanwhile has taken its
// counters with it.
func (d doings) hides(before doings, p pair) bool {
	return d[p].filtered != before[p].filtered || d[p].limited || before[p].limited
}
