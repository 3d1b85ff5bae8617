package run

import (
	"errors"
	"os"
	"path/filepath"
	"syscall"
)

// undoDir looks at the place of a run directory that is about to be made, and returns what puts the place back as it was.
func undoDir(dir string) (undo func() error) {
	var made []string // the directories that are not there yet, the deepest first
	for d := filepath.Clean(dir); ; d = filepath.Dir(d) {
		if _, err := os.Lstat(d); err == nil || d == filepath.Dir(d) {
			break
		}
		made = append(made, d)
	}
	return func() error {
		entries, err := os.ReadDir(dir)
		if errors.Is(err, os.ErrNotExist) {
			err = nil
		}
		errs := []error{err}
		for _, e := range entries { // it was empty, or was not there
			errs = append(errs, os.RemoveAll(filepath.Join(dir, e.Name())))
		}
		for _, d := range made {
			if err := os.Remove(d); err != nil && !errors.Is(err, os.ErrNotExist) && !errors.Is(err, syscall.ENOTEMPTY) {
				errs = append(errs, err) // not empty: somebody else has put something there
			}
		}
		return errors.Join(errs...)
	}
}

// neverBegan says whether an error lies with the input or the machine: the run was not possible, so nothing is worth keeping.
func neverBegan(err error) bool {
	var input *InputError
	var environment *EnvironmentError
	return errors.As(err, &input) || errors.As(err, &environment) || errors.Is(err, syscall.ENOSPC)
}
