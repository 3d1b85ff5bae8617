package workdir

import (
	"context"
	"errors"
	"fmt"
	"slices"
)

// Undo takes back what runs change beside their processes: mounts, network namespaces, control groups. A run journals its
// kind and arguments before the change (Journal.Fault), and a sweep carries it out when the run is dead and its processes
// are gone.
type Undo struct {
	// Kind is the name that journals use.
	Kind string
	// Do carries it out. The change may never have been made, may have been taken back in part, and the arguments may come
	// from a damaged journal: what is not there is no error, and nothing that no run could have made is touched.
	Do func(ctx context.Context, args []string) error
}

// undo takes the changes back, the last first, and says which were. One that stays does not keep the others from going.
func undo(ctx context.Context, undos []Undo, changes []entry) (undone []string, err error) {
	var errs []error
	for _, c := range slices.Backward(changes) {
		if c.Undo == "" {
			continue // it ended with the processes of the run
		}
		at := slices.IndexFunc(undos, func(u Undo) bool { return u.Kind == c.Undo })
		if at < 0 {
			errs = append(errs, fmt.Errorf("undoing %s: this version knows no undo %q; clean with the version that made it", c.Text, c.Undo))
			continue
		}
		if err := undos[at].Do(ctx, c.Args); err != nil {
			errs = append(errs, fmt.Errorf("undoing %s: %w", c.Text, err))
			continue
		}
		undone = append(undone, c.Text)
	}
	return undone, errors.Join(errs...)
}
