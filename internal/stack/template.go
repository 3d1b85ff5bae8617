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

// A mould says how the data is made that the servers of one kind begin with.
type mould struct {
	name  string   // of the template: the kind and the version
	of    []string // all that decides what is in it: programs and options
	whole []string // files that must be there
	// fill makes the data, in dir/data, with the tools of the engine.
	fill func(ctx context.Context, dir, data, password string) error
}

// template is data that was made once and is copied for each server. It is locked while it is copied.
type template struct {
	mould
	dir      string
	password string
	lock     *os.File
}

// passwordFile holds the password of the harness's user, in the folder of a template.
const passwordFile = "password"

func (t template) data() string { return filepath.Join(t.dir, "data") }

func (t template) release() { _ = t.lock.Close() }

// openMould finds the template of a mould, and makes it when it is missing or broken. One maker works at a time; the others wait for
// its result.
func openMould(ctx context.Context, templates string, m mould) (template, error) {
	// What differs in anything that it is made of is another template.
	sum := sha256.Sum256([]byte(strings.Join(m.of, "\x00")))
	t := template{mould: m, dir: filepath.Join(templates, m.name+"-"+hex.EncodeToString(sum[:4]))}
	var err error
	if t.lock, err = lockFile(ctx, t.dir+".lock"); err != nil {
		return template{}, err
	}
	if err := t.load(); err == nil {
		return t, nil
	}
	if err := t.make(ctx); err != nil {
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
	for _, file := range t.whole {
		if _, err := os.Stat(filepath.Join(t.data(), file)); err != nil {
			return err
		}
	}
	password, err := os.ReadFile(filepath.Join(t.dir, passwordFile))
	if err != nil {
		return err
	}
	if t.password = strings.TrimSpace(string(password)); t.password == "" {
		return errors.New("its password is empty")
	}
	return nil
}

// make builds the template beside its place and moves it there in one step.
func (t *template) make(ctx context.Context) (err error) {
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
	file, password := filepath.Join(dir, passwordFile), rand.Text()
	if err := os.WriteFile(file, []byte(password+"\n"), 0o600); err != nil {
		return err
	}
	if err := errors.Join(giveAway(dir), giveAway(file)); err != nil {
		return err
	}
	if err := t.fill(ctx, dir, filepath.Join(dir, "data"), password); err != nil {
		return err
	}
	if err := os.Rename(dir, t.dir); err != nil {
		return err
	}
	return t.load()
}

// A tool is a program of an engine that runs to an end.
type tool struct {
	dir, path string
	args, env []string
	stdin     *os.File
	words     func(lines []string) string // what it says is wrong
	failed    string                      // in its log also when it ends with status 0
}

// runTool runs it as the engines' user.
func runTool(ctx context.Context, k *proc.Keeper, t tool) error {
	name := filepath.Base(t.path)
	log := filepath.Join(t.dir, name+".log")
	p, err := k.Start(ctx, proc.Spec{
		Name: name, Path: t.path, Args: t.args, Dir: t.dir, Credential: credential(), Env: t.env,
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
	said := p.Tail(20)
	if p.Err() != nil || strings.Contains(strings.Join(said, "\n"), t.failed) {
		return fmt.Errorf("%s (%s): %s", name, p.ExitState(), t.words(said))
	}
	return os.Remove(log)
}
