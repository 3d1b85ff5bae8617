// Package doctor looks at a machine and says what shakedown can do on it: engines, cores, timers, containment, and what
// faults need. It changes nothing.
package doctor

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"

	"golang.org/x/sys/unix"

	"shakedown/bench/run"
	"shakedown/chaos"
	"shakedown/internal/needs"
	"shakedown/internal/proc"
	"shakedown/internal/stack"
	"shakedown/internal/workdir"
)

// Examine prints what it finds, a line each, and says whether something is missing that experiments need.
func Examine(out io.Writer) (lacking bool, err error) {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	var containments []string
	for _, c := range proc.Containments() {
		containments = append(containments, string(c))
	}
	host := run.Host(containments[0])
	fmt.Fprintf(w, "machine\t%s, kernel %s, %s\n", host.OS, host.Kernel, host.Arch)
	fmt.Fprintf(w, "processor\t%s, %d cores%s\n", host.CPU, host.Cores, coresAdvice(host.Cores))
	fmt.Fprintf(w, "memory\t%.1f GiB\n", host.MemoryGiB)
	fmt.Fprintf(w, "timer\twakes %.0f µs late at p99%s\n", host.TimerSlackUS, timerAdvice(host.TimerSlackUS))
	fmt.Fprintf(w, "containment\t%s (of %s)\n", containments[0], strings.Join(containments, ", "))
	for _, k := range stack.Kinds() {
		found, err := k.Find()
		if err != nil {
			lacking = true
			fmt.Fprintf(w, "%s\tmissing: %v\n", k.Name(), err)
			continue
		}
		fmt.Fprintf(w, "%s\t%s, %s\n", k.Name(), found.Version, found.Path)
	}
	root, err := workdir.Open()
	if err != nil {
		lacking = true
		fmt.Fprintf(w, "cache folder\t%s\n", strings.TrimPrefix(err.Error(), "cache folder: "))
	} else {
		fmt.Fprintf(w, "cache folder\t%s, %s free\n", root.Dir(), freeSpace(root.Dir()))
	}
	if user, drops := workdir.EngineUser(); drops {
		fmt.Fprintf(w, "engines run as\t%s\n", user.Name)
	} else {
		fmt.Fprintf(w, "engines run as\tyou\n")
	}
	for _, n := range needs.All() {
		fmt.Fprintf(w, "%s\t%s\n", n, look(n))
	}
	return lacking, w.Flush()
}

// look says whether there is what faults need, or why not and which of them cannot act here.
func look(n chaos.Need) string {
	found, err := needs.Look(n)
	if err == nil {
		return found
	}
	var without []string
	for _, kind := range chaos.Kinds() {
		if f, ok := chaos.New(kind); ok && slices.Contains(chaos.NeedsOf(f), n) {
			without = append(without, kind)
		}
	}
	if without == nil {
		return "no: " + err.Error()
	}
	return fmt.Sprintf("no: %v (faults that cannot act: %s)", err, strings.Join(without, ", "))
}

func coresAdvice(n int) string {
	if n < 2 {
		return "; with fewer than 2, load and services disturb each other"
	}
	return ""
}

func timerAdvice(us float64) string {
	if us > 500 {
		return "; that is coarse, and short delays will be longer than asked for"
	}
	return ""
}

func freeSpace(dir string) string {
	var s unix.Statfs_t
	if err := unix.Statfs(dir, &s); err != nil {
		return "unknown"
	}
	return fmt.Sprintf("%.1f GiB", float64(s.Bavail)*float64(s.Bsize)/(1<<30))
}
