package proxy

import (
	"errors"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"time"

	"shakedown/chaos"
)

// The directions of a connection, as indices.
const (
	up   = iota // from the client to the server
	down        // from the server to the client
)

// directions are the directions' names, for metrics and the key of the jitter.
var directions = [...]chaos.Direction{up: chaos.Upstream, down: chaos.Downstream}

// A plan is what all effects of a link add up to. It is immutable: a change makes a new one.
type plan struct {
	reset bool
	lanes [2]lane
}

// A lane is the part of a plan for one direction.
type lane struct {
	delay   time.Duration
	jitters []jitter
	rate    int64 // bytes per second; 0 is no limit
	hold    bool
}

type jitter struct {
	seed   uint64
	spread time.Duration
}

// compile adds the effects up: delays add, the smallest rate wins, any hold holds, any reset resets.
func compile(effects map[string]chaos.Effect) *plan {
	p := &plan{}
	for _, e := range effects {
		p.reset = p.reset || e.Reset
		for i, d := range directions {
			if e.Direction != chaos.Both && e.Direction != d {
				continue
			}
			l := &p.lanes[i]
			l.delay += e.Delay.D()
			if e.Jitter > 0 {
				l.jitters = append(l.jitters, jitter{e.Seed, e.Jitter.D()})
			}
			if r := e.BytesPerSecond; r > 0 && (l.rate == 0 || r < l.rate) {
				l.rate = r
			}
			l.hold = l.hold || e.Hold
		}
	}
	return p
}

// check says what is wrong with an effect.
func check(e chaos.Effect) error {
	switch e.Direction {
	case chaos.Both, chaos.Upstream, chaos.Downstream:
	default:
		return fmt.Errorf("unknown direction %q", e.Direction)
	}
	if e.Delay < 0 || e.Jitter < 0 || e.BytesPerSecond < 0 {
		return errors.New("delay, jitter and bytes_per_second must not be negative")
	}
	return nil
}

// passes says whether bytes may go straight through.
func (l *lane) passes() bool {
	return l.delay == 0 && len(l.jitters) == 0 && l.rate == 0 && !l.hold
}

// delays says whether the lane delays chunks.
func (l *lane) delays() bool { return l.delay > 0 || len(l.jitters) > 0 }

// lag is the delay of the nth chunk of a stream. It is a pure function of the effects' seeds, the stream's
// key and n, so that the jitter of a connection replays whatever happened to other connections.
func (l *lane) lag(key, n uint64) time.Duration {
	d := l.delay
	for _, j := range l.jitters {
		var pcg rand.PCG
		pcg.Seed(j.seed^key, n)
		d += time.Duration(pcg.Uint64()%uint64(2*j.spread+1)) - j.spread
	}
	return max(d, 0)
}

// streamKey names one direction of the nth connection of a link.
func streamKey(link string, conn uint64, direction chaos.Direction) uint64 {
	h := fnv.New64a()
	_, _ = fmt.Fprintf(h, "%s\x00%d\x00%s", link, conn, direction) // a hash never fails
	return h.Sum64()
}
