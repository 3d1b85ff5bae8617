package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"shakedown/bench/load/loadbench/peer"
	"shakedown/internal/benchmark"
)

// A rig is what experiments share: where programs are, and how much time there is.
type rig struct {
	benchmark.Options

	shakedown string            // its path
	peers     map[string]string // paths by name, of those that are installed
	versions  []string          // of all
	missing   []string          // peers that are not installed
	sent      int               // open loops of shakedown in this experiment
	doubts    []string          // why, by its own account, those of them that it called void may not be believed
}

// own is the generator that the others are compared with.
var own = peer.Shakedown("auto")

// The cores that are used where processes are pinned.
const (
	clientCore = 0
	serverCore = 1
)

// start looks for shakedown, which must be there, and for its peers, which need not.
func start(_ context.Context, o benchmark.Options) (*rig, error) {
	path, version, err := own.Find(o.Bin)
	if err != nil {
		return nil, fmt.Errorf("%w; run make build", err)
	}
	g := &rig{Options: o, shakedown: path, peers: map[string]string{}, versions: []string{version}}
	for _, p := range peer.All() {
		path, version, err := p.Find(strings.Split(o.Tools, ":")...)
		if err != nil {
			g.missing = append(g.missing, p.Name)
			continue
		}
		g.peers[p.Name] = path
		g.versions = append(g.versions, p.Name+" "+version)
	}
	return g, nil
}

// Stop has nothing to end: every experiment ends what it starts.
func (*rig) Stop() error { return nil }

// Facts are the generators, those that are missing, and the servers.
func (g *rig) Facts() []benchmark.Fact {
	_, nginx, _ := strings.Cut(benchmark.FirstLine("nginx/not installed", "nginx", "-v"), "nginx/")
	facts := []benchmark.Fact{
		{Name: "generators", Text: strings.Join(g.versions, "; ")},
		{Name: "server", Text: "nginx " + nginx + ", and the benchmark's own"},
	}
	if len(g.missing) > 0 {
		facts = append(facts, benchmark.Fact{Name: "not installed here", Text: strings.Join(g.missing, ", ")})
	}
	return facts
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

// doubted is why loads of shakedown may not be believed, by its own account, as Markdown.
func (g *rig) doubted() string {
	if len(g.doubts) == 0 {
		return ""
	}
	return fmt.Sprintf("Of its %d loads in open loop here, shakedown called %d void:\n\n* %s", g.sent, len(g.doubts), strings.Join(g.doubts, "\n* "))
}

// has says whether the generator is installed.
func (g *rig) has(p peer.Peer) bool {
	return slices.ContainsFunc(peer.All(), func(o peer.Peer) bool { return o.Name == p.Name }) == (g.peers[p.Name] != "")
}
