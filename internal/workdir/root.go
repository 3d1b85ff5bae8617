package workdir

import (
	"crypto/rand"
	"encoding/base32"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// CacheEnv is the environment variable that names the cache folder.
const CacheEnv = "SHAKEDOWN_CACHE"

// systemCache is where root keeps its cache when the engines' user may not look into root's home.
const systemCache = "/var/cache/shakedown"

// Root is the cache folder. It holds templates/, kept between runs, and work/<run id>/, one directory for each live run.
type Root struct {
	dir string
}

// Open finds and makes the cache folder: $SHAKEDOWN_CACHE, else $XDG_CACHE_HOME/shakedown, else ~/.cache/shakedown. Root
// runs engines as an ordinary user; where that user may not enter the folder, root uses /var/cache/shakedown.
// A folder that cannot be written to is an error that says how to choose another.
func Open() (*Root, error) {
	if dir := os.Getenv(CacheEnv); dir != "" {
		return OpenAt(dir)
	}
	dir, err := os.UserCacheDir()
	if err == nil {
		dir = filepath.Join(dir, "shakedown")
		if user, drops := EngineUser(); !drops || user.mayEnter(dir) == nil {
			return OpenAt(dir)
		}
	}
	if os.Geteuid() == 0 {
		return OpenAt(systemCache)
	}
	return nil, fmt.Errorf("no cache folder: %w; set %s", err, CacheEnv)
}

// Programs are the folders, below the cache folders that Open may choose, in which scripts/setup puts programs that no system packages.
func Programs() []string {
	var dirs []string
	if dir := os.Getenv(CacheEnv); dir != "" {
		dirs = append(dirs, dir)
	}
	dirs = append(dirs, systemCache)
	if dir, err := os.UserCacheDir(); err == nil {
		dirs = append(dirs, filepath.Join(dir, "shakedown"))
	}
	for i, dir := range dirs {
		dirs[i] = filepath.Join(dir, "programs")
	}
	return dirs
}

// OpenAt makes and opens the cache folder at the given path.
func OpenAt(dir string) (*Root, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, fmt.Errorf("cache folder: %w", err)
	}
	r := &Root{dir: dir}
	for _, d := range []string{dir, r.work(), r.Templates()} {
		if err := os.MkdirAll(d, 0o755); err != nil {
			return nil, explain("making the cache folder", d, err)
		}
	}
	if user, drops := EngineUser(); drops {
		if err := user.mayEnter(r.work()); err != nil {
			return nil, fmt.Errorf("cache folder %s: engines run as user %s, who %w; set %s to another folder", dir, user.Name, err, CacheEnv)
		}
	}
	// The lock doubles as the proof that the folder can be written to.
	unlock, err := r.lock()
	if err != nil {
		return nil, err
	}
	unlock()
	return r, nil
}

// Dir is the path of the cache folder.
func (r *Root) Dir() string { return r.dir }

// Templates is the folder whose content is kept between runs.
func (r *Root) Templates() string { return filepath.Join(r.dir, "templates") }

func (r *Root) work() string { return filepath.Join(r.dir, "work") }

// lock takes the lock on the list of runs. Making a run's directory and claiming a dead one both happen under it, so a
// sweep never sees a directory whose maker has not locked it yet.
func (r *Root) lock() (unlock func(), err error) {
	path := filepath.Join(r.work(), ".lock")
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return nil, explain("opening", path, err)
	}
	if err := flock(f, syscall.LOCK_EX); err != nil {
		_ = f.Close()
		return nil, fmt.Errorf("locking %s: %w", path, err)
	}
	return func() { _ = f.Close() }, nil
}

func flock(f *os.File, how int) error {
	for {
		if err := syscall.Flock(int(f.Fd()), how); !errors.Is(err, syscall.EINTR) {
			return err
		}
	}
}

// NewID makes a run id: short, because the paths of unix sockets are, and random, because runs are many.
func NewID() string {
	var b [5]byte
	_, _ = rand.Read(b[:]) // never fails
	return strings.ToLower(base32.StdEncoding.EncodeToString(b[:]))
}

// explain says in one line why a file or folder could not be written, and what to do about it.
func explain(doing, path string, err error) error {
	switch {
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		return fmt.Errorf("%s: %w: free some space, or set %s to a folder on another disk", doing, bare(path, err), CacheEnv)
	case errors.Is(err, fs.ErrPermission), errors.Is(err, syscall.EROFS), errors.Is(err, syscall.ENOTDIR):
		return fmt.Errorf("%s: %w: set %s to a folder that you can write to", doing, bare(path, err), CacheEnv)
	}
	return fmt.Errorf("%s: %w", doing, bare(path, err))
}

// bare names the path once: most errors of package os name it already.
func bare(path string, err error) error {
	var pathErr *fs.PathError
	if errors.As(err, &pathErr) {
		return err
	}
	return fmt.Errorf("%s: %w", path, err)
}
