package proxy

import (
	"context"
	"maps"
	"slices"
	"time"

	"shakedown/chaos"
	"shakedown/internal/clock"
)

var _ chaos.Lister = (*Link)(nil)

// InForce lists the ids of the effects in force.
func (l *Link) InForce(context.Context) ([]string, error) {
	return slices.Collect(maps.Keys(l.Effects())), nil
}

// Ages says how long each effect has been in force, by id.
func (l *Link) Ages() map[string]time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	now, ages := clock.Now(), make(map[string]time.Duration, len(l.effects))
	for id, e := range l.effects {
		ages[id] = now - e.since
	}
	return ages
}

// Network is what the link carries: "tcp", "unix" or "udp".
func (l *Link) Network() string { return l.spec.network() }
