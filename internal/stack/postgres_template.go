package stack

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"shakedown/internal/proc"
)

// initdbArgs make the template. The data is synced when a server writes to it, not when it is copied.
var initdbArgs = []string{
	"--username=" + pgUser, "--auth=scram-sha-256", "--encoding=UTF8", "--locale=C", "--no-sync", "--no-instructions",
}

// template is a database cluster that was made once and is copied for each server. It is locked while it is copied.
type template struct {
	dir      string
	password string
	lock     *os.File
}

func (t template) data() string { return filepath.Join(t.dir, "data") }

func (t template) release() { _ = t.lock.Close() }

// openTemplate finds the template of this version and these options, and makes it when it is missing or broken. One maker
// works at a time; the others wait for its result.
func openTemplate(ctx context.Context, k *proc.Keeper, templates string, program Program) (template, error) {
	// The version and the options name the template: what differs in either is another template.
	sum := sha256.Sum256([]byte(strings.Join(append([]string{program.Path, pgDB}, initdbArgs...), "\x00")))
	t := template{dir: filepath.Join(templates, "postgres-"+program.Version+"-"+hex.EncodeToString(sum[:4]))}
	var err error
	if t.lock, err = lockFile(ctx, t.dir+".lock"); err != nil {
		return template{}, err
	}
	if err := t.load(); err == nil {
		return t, nil
	}
	if err := t.make(ctx, k, program); err != nil {
		t.release()
		return template{}, fmt.Errorf("making the template: %w", err)
	}
	return t, nil
}

// lockFile takes a lock that ends with this process, giving up when the context ends.
func lockFile(ctx context.Context, path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	for {
		err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		switch {
		case err == nil:
			return f, nil
		case !errors.Is(err, syscall.EWOULDBLOCK) && !errors.Is(err, syscall.EINTR):
			_ = f.Close()
			return nil, fmt.Errorf("locking %s: %w", path, err)
		}
		select {
		case <-ctx.Done():
			_ = f.Close()
			return nil, fmt.Errorf("waiting for another run that holds %s: %w", path, context.Cause(ctx))
		case <-time.After(askEvery):
		}
	}
}

// load checks that the template is whole: the rename that finishes it is atomic, but a user may have tidied in it.
func (t *template) load() error {
	for _, file := range []string{"PG_VERSION", "global/pg_control", "base", "pg_wal"} {
		if _, err := os.Stat(filepath.Join(t.data(), file)); err != nil {
			return err
		}
	}
	password, err := os.ReadFile(filepath.Join(t.dir, "password"))
	if err != nil {
		return err
	}
	if t.password = strings.TrimSpace(string(password)); t.password == "" {
		return errors.New("its password is empty")
	}
	return nil
}

// make builds the template beside its place and moves it there in one step.
func (t *template) make(ctx context.Context, k *proc.Keeper, program Program) (err error) {
	dir := t.dir + ".new"
	// The lock is held: what is here was left by a maker that died, and the template itself is broken or missing.
	if err := errors.Join(os.RemoveAll(dir), os.RemoveAll(t.dir)); err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.RemoveAll(dir))
		}
	}()
	if err := os.Mkdir(dir, 0o700); err != nil {
		return err
	}
	password := filepath.Join(dir, "password")
	if err := os.WriteFile(password, []byte(rand.Text()+"\n"), 0o600); err != nil {
		return err
	}
	if err := errors.Join(giveAway(dir), giveAway(password)); err != nil {
		return err
	}
	data := filepath.Join(dir, "data")
	if err := runTool(ctx, k, tool{
		dir: dir, path: filepath.Join(filepath.Dir(program.Path), "initdb"),
		args: append([]string{"--pgdata=" + data, "--pwfile=" + password}, initdbArgs...),
	}); err != nil {
		return err
	}
	if err := createDatabase(ctx, k, dir, data, program); err != nil {
		return err
	}
	if err := os.Rename(dir, t.dir); err != nil {
		return err
	}
	return t.load()
}

// createDatabase makes the run's database in single-user mode, and drops "postgres": that much less is copied at each start.
func createDatabase(ctx context.Context, k *proc.Keeper, dir, data string, program Program) error {
	script := filepath.Join(dir, "create.sql")
	if err := os.WriteFile(script, []byte("CREATE DATABASE "+pgDB+"\nDROP DATABASE postgres\n"), 0o600); err != nil {
		return err
	}
	in, err := os.Open(script)
	if err != nil {
		return err
	}
	defer func() { _ = in.Close() }()
	return errors.Join(runTool(ctx, k, tool{
		dir: dir, path: program.Path, stdin: in, args: []string{"--single", "-D", data, "-c", "fsync=off", "template1"},
	}), os.Remove(script))
}

// A tool is one of PostgreSQL's programs that runs to an end.
type tool struct {
	dir, path string
	args, env []string // env in addition to the harness's own
	stdin     *os.File
}

// runTool runs it as the engines' user.
func runTool(ctx context.Context, k *proc.Keeper, t tool) error {
	name := filepath.Base(t.path)
	log := filepath.Join(t.dir, name+".log")
	p, err := k.Start(ctx, proc.Spec{
		Name: name, Path: t.path, Args: t.args, Dir: t.dir, Credential: credential(), Env: append(pgEnv(os.Environ()), t.env...),
		Stdin: t.stdin, Log: log,
	})
	if err != nil {
		return err
	}
	select {
	case <-p.Done():
	case <-ctx.Done():
		clean, cancel := context.WithTimeout(context.WithoutCancel(ctx), startWait)
		defer cancel()
		return errors.Join(context.Cause(ctx), p.Kill(clean))
	}
	// Single-user mode ends with status 0 also when a statement fails.
	said := p.Tail(20)
	if p.Err() != nil || strings.Contains(strings.Join(said, "\n"), "ERROR:") {
		return fmt.Errorf("%s (%s): %s", name, p.ExitState(), pgWords(said))
	}
	return os.Remove(log)
}
