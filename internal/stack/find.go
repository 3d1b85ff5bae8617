package stack

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Program is an installed server.
type Program struct {
	Path    string // absolute
	Version string // "15.14", "7.0.15"
}

// MissingError says that an engine is not installed, and how to install it.
type MissingError struct {
	Engine   string
	Programs []string          // those looked for
	Packages map[string]string // the command that installs it, for each system
}

func (e *MissingError) Error() string {
	hints := make([]string, 0, len(e.Packages))
	for _, system := range []string{"Debian/Ubuntu", "Fedora", "Alpine", "macOS"} {
		if how := e.Packages[system]; how != "" {
			hints = append(hints, system+": "+how)
		}
	}
	return fmt.Sprintf("%s is not installed (no %s on PATH or in the usual folders); install it with %s, or give a server with --%s-url",
		e.Engine, strings.Join(e.Programs, ", "), strings.Join(hints, "; "), e.Engine)
}

// search looks for a program on PATH and then in folders, which may be patterns, newest version first. Its siblings must
// be in the same folder.
func search(name string, siblings []string, folders ...string) (string, bool) {
	var candidates []string
	if path, err := exec.LookPath(name); err == nil {
		candidates = append(candidates, path)
	}
	for _, pattern := range folders {
		dirs, _ := filepath.Glob(pattern) // the patterns are constants and well formed
		slices.SortFunc(dirs, newestFirst)
		for _, dir := range dirs {
			candidates = append(candidates, filepath.Join(dir, name))
		}
	}
	for _, path := range candidates {
		if whole(path, siblings) {
			return path, true
		}
		// A link on PATH may lead to a folder that has the siblings too.
		if target, err := filepath.EvalSymlinks(path); err == nil && filepath.Base(target) == name && whole(target, siblings) {
			return target, true
		}
	}
	return "", false
}

// whole says whether the program and its siblings are there. The path is used as it is: Debian's redis-server is a link to
// redis-check-rdb, which looks at the name that it is called by.
func whole(path string, siblings []string) bool {
	return filepath.IsAbs(path) && executable(path) && !slices.ContainsFunc(siblings, func(s string) bool {
		return !executable(filepath.Join(filepath.Dir(path), s))
	})
}

func executable(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular() && info.Mode().Perm()&0o111 != 0
}

var digits = regexp.MustCompile(`[0-9]+`)

// newestFirst orders folders by the numbers in their paths: /usr/lib/postgresql/17/bin before /usr/lib/postgresql/9.6/bin.
func newestFirst(a, b string) int {
	numbers := func(s string) (n []int) {
		for _, d := range digits.FindAllString(s, -1) {
			i, _ := strconv.Atoi(d) // a number too large for an int sorts as the largest
			n = append(n, i)
		}
		return n
	}
	return slices.Compare(numbers(b), numbers(a))
}

// askVersion runs the program with --version and picks the version out of its answer.
func askVersion(path string, pattern *regexp.Regexp) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	out, err := exec.CommandContext(ctx, path, "--version").Output()
	if err != nil {
		return "", fmt.Errorf("asking %s for its version: %w", path, err)
	}
	return parseVersion(string(out), pattern)
}

func parseVersion(text string, pattern *regexp.Regexp) (string, error) {
	m := pattern.FindStringSubmatch(text)
	if m == nil {
		return "", fmt.Errorf("no version in %q", strings.TrimSpace(text))
	}
	return m[1], nil
}
