// Package faketime owns clocks that lie to servers: it finds libfaketime, says what a server has to be started with, and
// changes the clock while the server runs. It never starts a server, and knows none. Only programs that ask libc for the time
// can be lied to.
package faketime

import (
	"context"
	"debug/elf"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"

	"shakedown/internal/workdir"
)

// Find finds the library, in the build for programs with several threads.
func Find() (string, error) {
	for _, pattern := range []string{"/usr/lib/*/faketime", "/usr/lib/faketime", "/usr/lib64/faketime", "/usr/local/lib/faketime"} {
		found, _ := filepath.Glob(pattern + "/libfaketimeMT.so.1") // the patterns are constants and well formed
		if len(found) > 0 {
			return found[0], nil
		}
	}
	return "", errors.New("libfaketime is not installed; on Debian and Ubuntu, apt-get install faketime")
}

// CanFool says why the clock of a program cannot be changed; nil when the program loads the C library.
func CanFool(program string) error {
	f, err := elf.Open(program)
	if err != nil {
		return fmt.Errorf("%s: %w", program, err)
	}
	defer func() { _ = f.Close() }()
	libs, err := f.ImportedLibraries()
	if err != nil {
		return fmt.Errorf("%s: %w", program, err)
	}
	for _, lib := range libs {
		if strings.HasPrefix(lib, "libc.so") {
			return nil
		}
	}
	return fmt.Errorf("%s does not ask the C library for the time, so that nothing can lie to it", filepath.Base(program))
}

// Journal is told of each clock before it is made. *workdir.Journal is one.
type Journal interface {
	Fault(text, undo string, args ...string) (int, error)
	Healed(fault int) error
}

// Clock is a clock that one server is started with, and with it all that the server starts.
//
// The library reads a file once a second, when somebody asks for the time. It counts from a start that its users share in
// shared memory, under a semaphore (shm_overview(7), sem_overview(7)). It would make both itself, under a name that has
// the pid in it, of which every pid namespace has the same; and would leave them behind when it is killed. So they are made here,
// and with the epoch for a start, which makes the clock a line through real time that any number of processes agree on.
type Clock struct {
	journal  Journal
	entry    int
	lib      string
	file     string // what the library reads
	name     string // of the semaphore and the memory
	uid, gid int
}

// shm is where Linux keeps named semaphores and memory.
const shm = "/dev/shm"

const prefix = "shakedown-"

var validName = regexp.MustCompile(`^` + prefix + `[a-z0-9.-]+$`)

// paths are the files that outlive the processes that use them.
func paths(name string) []string {
	return []string{filepath.Join(shm, "sem."+name), filepath.Join(shm, name)}
}

// undoKind is what journals call the removal of a clock.
const undoKind = "faketime"

// Undo removes what clocks of a run that was killed left in shared memory. Its arguments are their names.
var Undo = workdir.Undo{Kind: undoKind, Do: func(_ context.Context, names []string) error {
	for _, name := range names {
		if !validName.MatchString(name) {
			return fmt.Errorf("%q is not the clock of a run", name)
		}
		if err := remove(name); err != nil {
			return err
		}
	}
	return nil
}}

func remove(name string) error {
	var errs []error
	for _, path := range paths(name) {
		if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// New makes a clock that is right. The file is one that the server may read and that nobody else uses; the name, of lower-case
// letters, digits and dashes, must be the run's own; uid and gid are those of the server.
func New(j Journal, name, file string, uid, gid int) (*Clock, error) {
	lib, err := Find()
	if err != nil {
		return nil, err
	}
	c := &Clock{journal: j, lib: lib, file: file, name: prefix + name, uid: uid, gid: gid}
	if !validName.MatchString(c.name) {
		return nil, fmt.Errorf("clock %q: use lower-case letters, digits and dashes", name)
	}
	if c.entry, err = j.Fault("clock of "+name, undoKind, c.name); err != nil {
		return nil, err
	}
	return c, c.Set(0, 1, time.Time{})
}

// Env is what a server that is to run by the clock needs in its environment. Its monotonic clocks stay right, and so do the
// times of files. It allocates as the C library does: jemalloc, which Redis would bring, asks for the time before it can
// allocate, and the library allocates before it can tell it, so that they wait for each other for ever.
func (c *Clock) Env() []string {
	return []string{
		"LD_PRELOAD=" + c.lib + " libc.so.6", "FAKETIME_TIMESTAMP_FILE=" + c.file, "FAKETIME_SHARED=/" + c.name + " /" + c.name,
		"FAKETIME_CACHE_DURATION=0", // whole seconds: the file is read when a new one has begun
		"FAKETIME_DONT_FAKE_MONOTONIC=1", "NO_FAKE_STAT=1",
	}
}

// Ready has to be called before each start: a server that was killed may have held the semaphore.
func (c *Clock) Ready() error {
	if err := remove(c.name); err != nil {
		return err
	}
	const page = 4096
	for i, path := range paths(c.name) {
		content := make([]byte, page) // of the memory: the start of all clocks is 0
		if i == 0 {
			content = semaphore()
		}
		err := os.WriteFile(path, content, 0o600)
		if err == nil && os.Geteuid() == 0 {
			err = os.Chown(path, c.uid, c.gid)
		}
		if err != nil {
			return fmt.Errorf("making a clock: %w", err)
		}
	}
	return nil
}

// semaphore is one that nobody holds, as glibc keeps it in a file on machines of 64 bits (sem_t, nptl/sem_open.c): its value,
// the number of those who wait, and the flag that says it is shared between processes.
func semaphore() []byte {
	const shared = 128 // FUTEX_PRIVATE_FLAG, which glibc's LLL_SHARED is
	raw := binary.NativeEndian.AppendUint64(nil, 1)
	raw = binary.NativeEndian.AppendUint32(raw, shared)
	return append(raw, make([]byte, 32-len(raw))...)
}

// Set makes the clock run at the rate, from the offset that it has at the moment since. A server may take a second to notice.
func (c *Clock) Set(offset time.Duration, rate float64, since time.Time) error {
	line := c.line(offset, rate, since)
	next := c.file + ".next"
	if err := os.WriteFile(next, []byte(line), 0o644); err != nil {
		return fmt.Errorf("setting a clock: %w", err)
	}
	if err := os.Rename(next, c.file); err != nil { // whoever reads finds one line or the other
		return fmt.Errorf("setting a clock: %w", err)
	}
	return nil
}

// line is what the library reads, "+3600.000000 x1": it adds the first number to the time since the start, which is the epoch,
// multiplied by the second.
func (*Clock) line(offset time.Duration, rate float64, since time.Time) string {
	constant := offset.Seconds()
	if rate != 1 {
		constant += (1 - rate) * float64(since.UnixMicro()) / 1e6
	}
	return fmt.Sprintf("%+.6f x%s\n", constant, strconv.FormatFloat(rate, 'f', -1, 64))
}

// Close removes the clock. The server must have ended.
func (c *Clock) Close() error {
	if err := remove(c.name); err != nil {
		return err
	}
	return c.journal.Healed(c.entry)
}
