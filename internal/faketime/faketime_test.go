package faketime

import (
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"shakedown/internal/roottest"
)

// book is a journal in memory.
type book map[int][]string

func (b book) Fault(text, undo string, args ...string) (int, error) {
	b[1] = append([]string{text, undo}, args...)
	return 1, nil
}

func (b book) Healed(fault int) error {
	delete(b, fault)
	return nil
}

func testClock(t *testing.T) (*Clock, book) {
	t.Helper()
	_, err := Find()
	roottest.Needs(t, err)
	j := book{}
	c, err := New(j, "test-"+strconv.Itoa(os.Getpid()), filepath.Join(t.TempDir(), "clock"), -1, -1)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Close(); err != nil || len(j) != 0 {
			t.Errorf("closing: %v; journal %v", err, j)
		}
	})
	return c, j
}

// date asks date(1) for the time by the clock, in seconds, and says how far that is ahead at least and at most.
func date(t *testing.T, c *Clock) (least, most float64) {
	t.Helper()
	if err := c.Ready(); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("date", "+%s.%N")
	cmd.Env = c.Env()
	asked := time.Now()
	out, err := cmd.Output()
	heard := time.Now()
	if err != nil {
		t.Fatal(err)
	}
	sec, ns, _ := strings.Cut(strings.TrimSpace(string(out)), ".")
	s, err1 := strconv.ParseInt(sec, 10, 64)
	n, err2 := strconv.ParseInt(ns, 10, 64)
	if err1 != nil || err2 != nil {
		t.Fatalf("date says %q", out)
	}
	says := time.Unix(s, n)
	return says.Sub(heard).Seconds(), says.Sub(asked).Seconds()
}

func TestAClockIsALineThroughRealTime(t *testing.T) {
	c, _ := testClock(t)
	for _, tc := range []struct {
		offset time.Duration
		rate   float64
	}{{0, 1}, {time.Hour, 1}, {-90 * time.Second, 1}, {0, 2}, {time.Minute, 0.5}, {0, 1.01}, {-time.Hour, 1.0 / 3}} {
		since := time.Now().Add(-10 * time.Second) // each process finds where the clock has got to, and none begins anew
		if err := c.Set(tc.offset, tc.rate, since); err != nil {
			t.Fatal(err)
		}
		least, most := date(t, c)
		lag := time.Since(since).Seconds()
		want := tc.offset.Seconds() + (tc.rate-1)*lag
		slack := math.Abs(tc.rate-1)*(most-least) + 0.001
		if want < least-slack || want > most+slack {
			t.Errorf("%v at rate %g: ahead by %.4f to %.4f s, want %.4f", tc.offset, tc.rate, least, most, want)
		}
	}
}

func TestWhatAKilledRunLeftInSharedMemoryIsRemovedAndNothingElse(t *testing.T) {
	c, j := testClock(t)
	if err := c.Ready(); err != nil {
		t.Fatal(err)
	}
	for _, path := range paths(c.name) {
		if _, err := os.Stat(path); err != nil {
			t.Error(err)
		}
	}
	args := j[1][2:]
	for range 2 {
		if err := Undo.Do(t.Context(), args); err != nil {
			t.Error(err)
		}
	}
	for _, path := range paths(c.name) {
		if _, err := os.Stat(path); !os.IsNotExist(err) {
			t.Errorf("%s is still there: %v", path, err)
		}
	}
	for _, name := range []string{"", "PostgreSQL.1", "shakedown-../../etc/passwd", "shakedown-"} {
		if err := Undo.Do(t.Context(), []string{name}); err == nil {
			t.Errorf("%q was removed", name)
		}
	}
}

func TestOnlyProgramsThatLoadTheCLibraryCanBeFooled(t *testing.T) {
	if err := CanFool("/bin/sh"); err != nil {
		t.Error(err)
	}
	script := filepath.Join(t.TempDir(), "script")
	if err := os.WriteFile(script, []byte("#!/bin/sh\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	static := filepath.Join(t.TempDir(), "static")
	build := exec.Command("go", "build", "-o", static, "./testdata/static")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	for _, path := range []string{script, static, "/nonexistent"} {
		if err := CanFool(path); err == nil {
			t.Errorf("%s can be fooled", path)
		}
	}
}
