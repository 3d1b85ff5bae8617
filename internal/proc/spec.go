package proc

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// Spec says what to start.
type Spec struct {
	// Name is what reports and errors call the process: "postgres", "service-1".
	Name string
	// Path is the program, absolute or relative to the harness's directory; Args are its arguments without the program.
	Path string
	Args []string
	// Env is the whole environment, NAME=value; nil means the harness's own. The run's marker is added.
	Env []string
	// Dir is the working directory; empty means the harness's own.
	Dir string
	// Credential is the user to run as; nil means the harness's own.
	Credential *syscall.Credential
	// Log is the file that the output is appended to: standard output and error, or only the error when Stdout is set.
	// Empty means that output is thrown away.
	Log string
	// Stdout, when set, gets standard output. It is written to by one goroutine, until the process is done.
	Stdout io.Writer
	// Stdin is standard input; nil means the null device.
	Stdin *os.File
	// Admit, when set, is told of the process before the program begins, so that all it starts is where it was put: in a
	// control group, say. The program does not begin when it returns an error.
	Admit func(pid int) error
	// ExtraFiles are inherited as descriptors 3, 4 …; at most six.
	ExtraFiles []*os.File
	// Network is the network namespace that the process runs in (network_namespaces(7)); nil means the harness's own. It needs
	// root. Sockets that it inherits stay in the namespace that they were made in.
	Network *os.File
	_       struct{}
}

// Environment is what the process gets without the markers: Env, or the harness's own.
func (s Spec) Environment() []string {
	if s.Env == nil {
		return os.Environ()
	}
	return s.Env
}

// check finds, before anything is started, what would keep the program from starting.
func (s Spec) check() error {
	if s.Name == "" || s.Path == "" {
		return errors.New("a process needs a name and a program")
	}
	if len(s.ExtraFiles) > maxExtraFiles {
		return fmt.Errorf("%d extra files; at most %d can be inherited", len(s.ExtraFiles), maxExtraFiles)
	}
	info, err := os.Stat(s.Path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("there is no program %s", s.Path)
	case err != nil:
		return err
	case info.IsDir():
		return fmt.Errorf("%s is a directory", s.Path)
	case info.Mode().Perm()&0o111 == 0:
		return fmt.Errorf("%s may not be executed (mode %04o)", s.Path, info.Mode().Perm())
	}
	if s.Dir == "" {
		return nil
	}
	if info, err := os.Stat(s.Dir); err != nil || !info.IsDir() {
		return fmt.Errorf("its working directory %s is not there", s.Dir)
	}
	return nil
}

func (s Spec) openLog() (*os.File, error) {
	if s.Log == "" {
		return os.OpenFile(os.DevNull, os.O_WRONLY, 0)
	}
	if err := os.MkdirAll(filepath.Dir(s.Log), 0o755); err != nil {
		return nil, fmt.Errorf("its log: %w", err)
	}
	f, err := os.OpenFile(s.Log, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o644)
	if err != nil {
		return nil, fmt.Errorf("its log: %w", err)
	}
	return f, nil
}

// LastLines are the last n lines of a text file that are not blank, oldest first; it reads no more than the last 64 KiB.
// A file that cannot be read has none.
func LastLines(path string, n int) []string { return lastLines(path, 0, n) }

// lastLines leaves out what was in the file before the given offset.
func lastLines(path string, from int64, n int) []string {
	f, err := os.Open(path)
	if err != nil {
		return nil
	}
	defer func() { _ = f.Close() }()
	const most = 64 << 10
	info, err := f.Stat()
	if err != nil {
		return nil
	}
	cut := info.Size()-most > from // the first line may be the end of one
	from = max(from, info.Size()-most)
	raw, err := io.ReadAll(io.NewSectionReader(f, from, most))
	if err != nil {
		return nil
	}
	var lines []string
	for i, line := range strings.Split(string(raw), "\n") {
		if (i > 0 || !cut) && strings.TrimSpace(line) != "" {
			lines = append(lines, strings.TrimRight(line, "\r"))
		}
	}
	return lines[max(0, len(lines)-n):]
}
