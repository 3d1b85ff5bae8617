package main

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"regexp"
	"strconv"

	"shakedown/bench/load/loadbench/peer"
)

// fewAllocations is what counts as none: the ticks that sample and flush allocate some hundred times a second, however many requests
// there are.
const fewAllocations = 0.01

// An allocation is what a benchmark of Go says.
type allocation struct {
	name        string
	perRequest  float64
	nsOfRequest string
}

// allocations asks Go's own benchmarks.
func allocations(ctx context.Context, g *rig) (section, error) {
	args := []string{"test", "-run", "^$", "-bench", "^BenchmarkWire$", "-benchtime", pick(g, "3x", "1x"), "./bench/load"}
	g.say("  go test -bench BenchmarkWire")
	out, err := peer.Command(ctx, peer.Anywhere, nil, "go", args...).Output()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		err = fmt.Errorf("%w: %s%s", err, out, exit.Stderr)
	}
	if err != nil {
		return section{}, fmt.Errorf("go test: %w", err)
	}
	return allocSection(parseAllocations(string(out)))
}

var (
	benchLine    = regexp.MustCompile(`(?m)^BenchmarkWire/(\S+?)(?:-\d+)?\s.*$`)
	benchAllocs  = regexp.MustCompile(`\s([0-9.e+-]+) allocs/request`)
	benchRequest = regexp.MustCompile(`\s([0-9.e+-]+) cpu-ns/request`)
)

func parseAllocations(out string) []allocation {
	var found []allocation
	for _, m := range benchLine.FindAllStringSubmatch(out, -1) {
		allocs, cpu := benchAllocs.FindStringSubmatch(m[0]), benchRequest.FindStringSubmatch(m[0])
		if allocs == nil || cpu == nil {
			continue
		}
		v, err := strconv.ParseFloat(allocs[1], 64)
		if err != nil {
			continue
		}
		found = append(found, allocation{m[1], v, cpu[1]})
	}
	return found
}

const allocText = "`go test -bench BenchmarkWire ./bench/load`" + `: a closed loop of 64 users, with a server in the same process, everything on.
A load of one second is taken from one of two, so that what a load allocates before its first request does not count; what is
left are the ticks that sample and flush. The CPU time is that of generator and server together.`

func allocSection(found []allocation) (section, error) {
	s := section{Title: "Allocations", Text: allocText}
	if len(found) == 0 {
		return s, errors.New("the benchmark said nothing of allocations")
	}
	t := table{Head: []string{"back end", "allocations/request", "CPU ns/request"}}
	for _, a := range found {
		n := fmt.Sprintf("%.5f", a.perRequest)
		t.Rows = append(t.Rows, []string{a.name, n, a.nsOfRequest})
		s.Bounds = append(s.Bounds, bound{"allocations per request, " + a.name + ": none", n, a.perRequest < fewAllocations})
	}
	s.Tables = []table{t}
	return s, nil
}
