// Package undo owns the list of all that a sweep can take back beside processes. It knows the packages that make such
// changes, and none of their callers; `shakedown clean` and each new run hand the list to package workdir's sweep.
// A package that changes something writes an Undo and journals its kind and arguments before the change; here it is one line.
package undo

import (
	"slices"

	"shakedown/chaos/disk"
	"shakedown/internal/cgroup"
	"shakedown/internal/faketime"
	"shakedown/internal/workdir"
)

var kinds = []workdir.Undo{
	cgroup.Undo,
	{Kind: disk.UndoKind, Do: disk.Unmount},
	faketime.Undo,
}

// Kinds are all undos.
func Kinds() []workdir.Undo { return slices.Clone(kinds) }
