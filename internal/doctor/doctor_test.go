package doctor

import (
	"bytes"
	"os"
	"strings"
	"testing"

	"shakedown/internal/needs"
	"shakedown/internal/stack"
)

// cacheDir is a folder that engines, which run as another user, may enter.
func cacheDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("/tmp", "skdr") //nolint:usetesting // t.TempDir is closed to other users
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	return dir
}

func examine(t *testing.T) (lines map[string]string, lacking bool) {
	t.Helper()
	var out bytes.Buffer
	lacking, err := Examine(&out)
	if err != nil {
		t.Fatal(err)
	}
	lines = map[string]string{}
	for line := range strings.Lines(out.String()) {
		thing, says, ok := strings.Cut(strings.TrimSpace(line), "  ")
		if !ok {
			t.Errorf("not a thing and what is said of it: %q", line)
		}
		if _, twice := lines[thing]; twice {
			t.Errorf("%s has two lines", thing)
		}
		lines[thing] = strings.TrimSpace(says)
	}
	return lines, lacking
}

func TestEveryThingHasALine(t *testing.T) {
	t.Setenv("SHAKEDOWN_CACHE", cacheDir(t))
	lines, lacking := examine(t)
	things := []string{
		"machine", "processor", "memory", "timer", "containment", "cache folder", "engines run as",
	}
	for _, n := range needs.All() {
		things = append(things, string(n))
	}
	missing := false
	for _, k := range stack.Kinds() {
		things = append(things, k.Name())
		_, err := k.Find()
		missing = missing || err != nil
	}
	for _, thing := range things {
		if lines[thing] == "" {
			t.Errorf("nothing is said of %s", thing)
		}
	}
	if len(lines) != len(things) {
		t.Errorf("%d lines for %d things: %v", len(lines), len(things), lines)
	}
	if lacking != missing {
		t.Errorf("lacking is %v, although engines missing is %v", lacking, missing)
	}
}

func TestACacheFolderThatCannotBeUsedIsLacking(t *testing.T) {
	t.Setenv("SHAKEDOWN_CACHE", "/proc/none")
	lines, lacking := examine(t)
	if !lacking || !strings.Contains(lines["cache folder"], "/proc/none") {
		t.Errorf("lacking is %v; cache folder: %s", lacking, lines["cache folder"])
	}
}

func TestAdvice(t *testing.T) {
	if coresAdvice(1) == "" || coresAdvice(2) != "" {
		t.Error("advice is for machines with fewer than 2 cores")
	}
	if timerAdvice(501) == "" || timerAdvice(60) != "" {
		t.Error("advice is for coarse timers")
	}
}
