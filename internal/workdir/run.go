package workdir

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"syscall"
)

const (
	lockFile    = "lock"
	journalFile = "journal.ndjson"
	// A unix socket's path has at most 107 bytes (unix(7)); below the run's directory an engine needs room for
	// "/postgres-2/.s.PGSQL.5432" and the like.
	socketPathMax = 99
	socketRoom    = 32
)

var runID = regexp.MustCompile(`^[a-z0-9][a-z0-9-]{0,31}$`)

// Run is the working directory of one live run. Its lock is held for as long as this process lives, and by no child.
type Run struct {
	root    *Root
	id, dir string
	lock    *os.File
	journal *Journal
}

// NewRun makes work/<id>, locks it and starts its journal. The id consists of lower-case letters, digits and dashes; it is
// an error when the id is taken, or when the path is too long for unix sockets below it.
func (r *Root) NewRun(id string) (*Run, error) {
	if !runID.MatchString(id) {
		return nil, fmt.Errorf("run id %q: use up to 32 lower-case letters, digits and dashes", id)
	}
	dir := filepath.Join(r.work(), id)
	if len(dir)+socketRoom > socketPathMax {
		return nil, fmt.Errorf("the path %s has %d bytes; unix sockets below it allow %d: set %s to a shorter path",
			dir, len(dir), socketPathMax-socketRoom, CacheEnv)
	}
	unlock, err := r.lock()
	if err != nil {
		return nil, err
	}
	defer unlock()
	if err := os.Mkdir(dir, 0o755); err != nil {
		if errors.Is(err, fs.ErrExist) {
			return nil, fmt.Errorf("run %s: %s is taken; another run has this id, or died with it (`shakedown clean` removes what is dead)", id, dir)
		}
		return nil, explain("making the run's directory", dir, err)
	}
	run := &Run{root: r, id: id, dir: dir}
	if err := run.begin(); err != nil {
		return nil, errors.Join(err, run.Close())
	}
	return run, nil
}

func (run *Run) begin() error {
	path := filepath.Join(run.dir, lockFile)
	lock, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o644) // close-on-exec, as all files of package os
	if err != nil {
		return explain("making the run's lock", path, err)
	}
	run.lock = lock
	if err := flock(lock, syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		return fmt.Errorf("locking %s: %w", path, err)
	}
	run.journal, err = newJournal(run.dir)
	return err
}

// ID is the run's id.
func (run *Run) ID() string { return run.id }

// Dir is the run's directory, an absolute path short enough for unix sockets below it.
func (run *Run) Dir() string { return run.dir }

// Root is the cache folder that the run is in.
func (run *Run) Root() *Root { return run.root }

// Journal is where the run notes what it is about to do.
func (run *Run) Journal() *Journal { return run.journal }

// Close removes the run's directory and gives up its lock. Everything that the run started must have ended. Closing
// twice is no error.
func (run *Run) Close() error {
	var errs []error
	if run.journal != nil {
		errs = append(errs, run.journal.close())
		run.journal = nil
	}
	if err := remove(run.dir); err != nil {
		errs = append(errs, fmt.Errorf("removing the run's directory: %w", err))
	}
	if run.lock != nil {
		errs = append(errs, run.lock.Close())
		run.lock = nil
	}
	return errors.Join(errs...)
}

// deadPrefix marks a directory that is being removed; no run id starts like this.
const deadPrefix = ".dead-"

// remove takes the directory out of the list of runs in one step before it empties it: nobody sees half a run.
func remove(dir string) error {
	dead := filepath.Join(filepath.Dir(dir), deadPrefix+filepath.Base(dir)+"-"+NewID())
	if err := os.Rename(dir, dead); err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		return err
	}
	return os.RemoveAll(dead)
}
