package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

// templates are shared by all tests: making one takes longer than all that is done with it.
var templates = sync.OnceValues(func() (string, error) { return openDir("skt") })

func TestMain(m *testing.M) {
	testscript.Main(cleaning{m}, map[string]func(){"shakedown": main})
}

// cleaning removes the templates after the last test.
type cleaning struct{ m *testing.M }

func (c cleaning) Run() int {
	code := c.m.Run()
	if dir, err := templates(); err == nil {
		_ = os.RemoveAll(dir)
	}
	return code
}

// openDir makes a directory with a short path that other users may enter, because engines run as one.
func openDir(prefix string) (string, error) {
	dir, err := os.MkdirTemp("/tmp", prefix)
	if err != nil {
		return "", err
	}
	return dir, os.Chmod(dir, 0o755)
}

func TestScripts(t *testing.T) {
	root, err := openDir("sks")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(root) })
	testscript.Run(t, testscript.Params{
		Dir: "testdata/script", WorkdirRoot: root, RequireExplicitExec: true, RequireUniqueNames: true,
		Setup: func(e *testscript.Env) error {
			e.Setenv("SHAKEDOWN_CACHE", filepath.Join(e.WorkDir, "cache"))
			e.Setenv("NO_COLOR", "1")
			path, err := exec.LookPath("shakedown")
			if err != nil {
				return err
			}
			e.Setenv("SHAKEDOWN", path) // for scripts that empty PATH
			return os.Chmod(e.WorkDir, 0o755)
		},
	})
}

// sandbox is a place of a test's own to run the program in.
type sandbox struct {
	t     *testing.T
	dir   string // the working directory
	cache string
	mark  string // in the environment of all that runs in it
	env   []string
}

func newSandbox(t *testing.T) *sandbox {
	t.Helper()
	base, err := openDir("skd")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(base) })
	shared, err := templates()
	if err != nil {
		t.Fatal(err)
	}
	s := &sandbox{t: t, dir: filepath.Join(base, "w"), cache: filepath.Join(base, "c"), mark: "SHAKEDOWN_TEST=" + filepath.Base(base)}
	for _, dir := range []string{s.dir, s.cache} {
		if err := os.Mkdir(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink(shared, filepath.Join(s.cache, "templates")); err != nil {
		t.Fatal(err)
	}
	s.env = append(os.Environ(), "SHAKEDOWN_CACHE="+s.cache, s.mark, "NO_COLOR=1")
	s.write("tiny.yaml", tiny(t))
	return s
}

func tiny(t *testing.T) string {
	t.Helper()
	raw, err := os.ReadFile("testdata/tiny.yaml")
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

// write writes a file below the working directory.
func (s *sandbox) write(name, content string) {
	s.t.Helper()
	path := filepath.Join(s.dir, name)
	if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(content), 0o644)); err != nil {
		s.t.Fatal(err)
	}
}

// command is the program, not started yet. Runs get no default port, because they stand beside other runs, and are as short as
// runs can be where a test does not say otherwise.
func (s *sandbox) command(args ...string) *exec.Cmd {
	s.t.Helper()
	path, err := exec.LookPath("shakedown")
	if err != nil {
		s.t.Fatal(err)
	}
	if len(args) > 0 && args[0] == "run" {
		args = append([]string{"run", "--telemetry", "off", "--repeats", "1", "--again", "0"}, args[1:]...)
	}
	cmd := exec.Command(path, args...)
	cmd.Dir, cmd.Env = s.dir, s.env
	return cmd
}

// ended is how one invocation came out.
type ended struct {
	code        int
	out, stderr string
}

func (s *sandbox) run(args ...string) ended {
	s.t.Helper()
	var out, stderr bytes.Buffer
	cmd := s.command(args...)
	cmd.Stdout, cmd.Stderr = &out, &stderr
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		s.t.Fatal(err)
	}
	return ended{cmd.ProcessState.ExitCode(), out.String(), stderr.String()}
}

func (e ended) String() string { return fmt.Sprintf("exit code %d\n%s%s", e.code, e.out, e.stderr) }
