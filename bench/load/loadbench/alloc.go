package main

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"regexp"
	"strconv"

	"shakedown/bench/load/loadbench/peer"
	"shakedown/internal/benchmark"
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
func allocations(ctx context.Context, g *rig) (benchmark.Section, error) {
	args := []string{"test", "-run", "^$", "-bench", "^BenchmarkWire$", "-benchtime", benchmark.Pick(g.Options, "3x", "1x"), "./bench/load"}
	g.Say("go test -bench BenchmarkWire")
	out, err := peer.Command(ctx, peer.Anywhere, nil, "go", args...).Output()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		err = fmt.Errorf("%w: %s%s", err, out, exit.Stderr)
	}
	if err != nil {
		return benchmark.Section{}, fmt.Errorf("go test: %w", err)
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

func allocSection(found []allocation) (benchmark.Section, error) {
	s := benchmark.Section{Title: "Allocations", Text: allocText}
	if len(found) == 0 {
		return s, errors.New("the benchmark said nothing of allocations")
	}
	t := benchmark.Table{Head: []string{"back end", "allocations/request", "CPU ns/request"}}
	for _, a := range found {
		n := fmt.Sprintf("%.5f", a.perRequest)
		t.Rows = append(t.Rows, []string{a.name, n, a.nsOfRequest})
		s.Promise("allocations per request, "+a.name+": none", n, a.perRequest < fewAllocations)
	}
	s.Tables = []benchmark.Table{t}
	return s, nil
}
