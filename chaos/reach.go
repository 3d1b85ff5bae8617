package chaos

import (
	"context"
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"
)

const (
	// datagrams is how many a look sends in one direction; one that arrives shows the way open.
	datagrams = 3
	// openTime is how long a way that should be open is waited for, and cutTime one that should not.
	openTime = 2 * time.Second
	cutTime  = 200 * time.Millisecond
	// lookers is how many directions are looked at at a time.
	lookers = 16
)

// reach is what was seen of one direction.
type reach struct {
	arrives   bool // a datagram did, one way
	handshake Handshake
}

// reachability is what was seen of all directions between some hosts.
type reachability map[pair]reach

// look tries every pair. Those that should be cut are given up soon; that they are cut is shown by the kernel's counters too.
func look(ctx context.Context, pairs []pair, cut map[pair]bool) (reachability, error) {
	seen := make([]reach, len(pairs))
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(2 * lookers)
	for i, p := range pairs {
		wait, handshake := openTime, openTime
		if cut[p] {
			wait = cutTime
		}
		if cut[p] || cut[p.back()] {
			handshake = cutTime
		}
		g.Go(func() error {
			n, err := p.from.Ping(ctx, p.to, datagrams, wait)
			seen[i].arrives = n > 0
			return err
		})
		g.Go(func() (err error) {
			seen[i].handshake, err = p.from.Connect(ctx, p.to, handshake)
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return nil, err
	}
	all := reachability{}
	for i, p := range pairs {
		all[p] = seen[i]
	}
	return all, nil
}

func (p pair) back() pair { return pair{p.to, p.from} }

// differs says where a reachability is not the one expected, in a few words, or nothing. What was not open before can show
// nothing, and is left out; seen counts the directions that were cut, as wanted.
func (r reachability) differs(before reachability, cut map[pair]bool) (seen int, where string) {
	for p, now := range r {
		switch {
		case !before[p].arrives:
			continue
		case cut[p] && now.arrives:
			where = fmt.Sprintf("%s is not cut", p)
		case !cut[p] && !now.arrives:
			where = fmt.Sprintf("%s is cut", p)
		case cut[p]:
			seen++
		}
		open := !cut[p] && !cut[p.back()]
		if before[p].handshake == Connected && open != (now.handshake == Connected) {
			where = fmt.Sprintf("connecting %s: %s", p, now.handshake)
		}
	}
	return seen, where
}
