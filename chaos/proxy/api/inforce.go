package api

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"shakedown/chaos"
)

var _ chaos.Lister = (*Link)(nil)

// InForce lists the ids of the effects in force.
func (l *Link) InForce(ctx context.Context) ([]string, error) {
	all, err := l.client.Links(ctx)
	if err != nil {
		return nil, err
	}
	for _, info := range all {
		if info.Name == l.name {
			return slices.Collect(maps.Keys(info.Effects)), nil
		}
	}
	return nil, fmt.Errorf("no link %s", l.name)
}
