package main

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"shakedown/bench/load/loadbench/peer"
)

// A rig is what experiments share: where programs are, and how much time there is.
type rig struct {
	quick     bool
	progress  io.Writer
	shakedown string            // its path
	peers     map[string]string // paths by name, of those that are installed
	versions  []string          // of all
	missing   []string
	doubts    []string // why open loops of shakedown may not be believed, by its own account
	sent      int      // open loops of shakedown
}

// own is the generator that the others are compared with.
var own = peer.Shakedown("auto")

// The cores that are used where processes are pinned.
const (
	clientCore = 0
	serverCore = 1
)

// find looks for shakedown, which must be there, and for its peers, which need not.
func (g *rig) find(bin string, tools []string) error {
	path, version, err := own.Find(bin)
	if err != nil {
		return fmt.Errorf("%w; run make build", err)
	}
	g.shakedown, g.peers, g.versions = path, map[string]string{}, []string{version}
	for _, p := range peer.All() {
		path, version, err := p.Find(tools...)
		if err != nil {
			g.missing = append(g.missing, p.Name)
			continue
		}
		g.peers[p.Name] = path
		g.versions = append(g.versions, p.Name+" "+version)
	}
	return nil
}

// send has a peer send a load, if it is installed. A shakedown is at its own place.
func (g *rig) send(ctx context.Context, p peer.Peer, l peer.Load, core int, prefix ...string) (peer.Result, error) {
	path, ok := g.peers[p.Name]
	if !ok {
		path = g.shakedown
	}
	if l.Timeout == 0 {
		l.Timeout = 2 * time.Second
	}
	r, err := p.Run(ctx, path, l, core, prefix...)
	if err == nil && r.Own != nil && l.Rate > 0 { // in closed loop a generator at its end is what is wanted
		g.sent++
		if len(r.Own.Reasons) > 0 {
			g.doubts = append(g.doubts, strings.Join(r.Own.Reasons, ", "))
		}
	}
	return r, err
}

// has says whether the generator is installed.
func (g *rig) has(p peer.Peer) bool {
	return slices.ContainsFunc(peer.All(), func(o peer.Peer) bool { return o.Name == p.Name }) == (g.peers[p.Name] != "")
}

// say tells whoever waits.
func (g *rig) say(format string, args ...any) {
	fmt.Fprintf(g.progress, format+"\n", args...)
}

// pick is the first, or the second when there is little time.
func pick[T any](g *rig, full, quick T) T {
	if g.quick {
		return quick
	}
	return full
}

// measure runs the experiments, one after another.
func (g *rig) measure(ctx context.Context, chosen []experiment) (*document, error) {
	d := &document{Quick: g.quick, Missing: g.missing}
	var err error
	if d.Machine, err = thisMachine(g.versions); err != nil {
		return nil, err
	}
	before, err := readTimes()
	if err != nil {
		return nil, err
	}
	for _, e := range chosen {
		g.say("%s: %s", e.name, e.about)
		s, err := e.run(ctx, g)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", e.name, err)
		}
		s.Name, s.Doubts, s.Sent = e.name, g.doubts, g.sent
		g.doubts, g.sent = nil, 0
		d.Sections = append(d.Sections, s)
	}
	after, err := readTimes()
	if err != nil {
		return nil, err
	}
	d.Steal, d.Took = after.stealSince(before), time.Since(d.Machine.Began).Round(time.Second)
	return d, nil
}
