package proxy

import (
	"context"
	"maps"
	"slices"

	"shakedown/chaos"
)

var _ chaos.Lister = (*Link)(nil)

// InForce lists the ids of the effects in force.
func (l *Link) InForce(context.Context) ([]string, error) {
	return slices.Collect(maps.Keys(l.Effects())), nil
}

// Network is what the link carries: "tcp", "unix" or "udp".
func (l *Link) Network() string { return l.spec.network() }
