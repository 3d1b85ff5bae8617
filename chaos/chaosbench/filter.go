package main

import (
	"context"
	"fmt"
	"net/http"

	"shakedown/internal/benchmark"
)

// unmatched is a rule that is held against every command, and matches none of redis-benchmark's.
var unmatched = map[string]any{"redis": map[string]any{"command": "GET", "key": "nobody:*", "error": "ERR injected"}}

// filters are routes through shakedown to Redis: one that moves bytes, one that follows the protocol, and one that has a rule to hold
// against each command.
func (g *rig) filters(ctx context.Context) ([]route, error) {
	filters := []route{
		{name: "bytes"}, {name: "protocol followed, no rule"}, {name: "protocol followed, a rule that matches nothing"},
	}
	for i := range filters {
		r := &filters[i]
		r.pid = g.routes[ours].pid
		link := fmt.Sprintf("%s/v1/links/filter-%d", g.routes[ours].toxics, i)
		spec := map[string]string{"network": "tcp", "address": g.routes[direct].redis}
		if i > 0 {
			spec["protocol"] = "redis"
		}
		var made struct {
			Addr string `json:"addr"`
		}
		if err := call(ctx, http.MethodPut, link, spec, &made); err != nil {
			return nil, err
		}
		r.redis = made.Addr
		if i == len(filters)-1 {
			if err := call(ctx, http.MethodPut, link+"/rules/unmatched", unmatched, nil); err != nil {
				return nil, err
			}
		}
	}
	return filters, nil
}

// filtered is what it costs to follow what a link's messages say.
func filtered(ctx context.Context, g *rig) (benchmark.Section, error) {
	filters, err := g.filters(ctx)
	if err != nil {
		return benchmark.Section{}, err
	}
	n := g.times(100_000)
	rps, cpu, err := g.rates(ctx, filters, n)
	if err != nil {
		return benchmark.Section{}, err
	}
	t := benchmark.Table{Head: []string{"link", "requests/s", "of bytes'", "processor time a request, µs", "of bytes'"}}
	for i, r := range filters {
		t.Rows = append(t.Rows, []string{
			r.name, benchmark.MiddleOf(rps[i]).In("%.0f"), benchmark.Ratio(rps[i], rps[0]).In("%.2f"),
			benchmark.MiddleOf(cpu[i]).In("%.1f"), benchmark.Ratio(cpu[i], cpu[0]).In("%.2f"),
		})
	}
	return benchmark.Section{
		Title: "Following a protocol",
		Text: fmt.Sprintf("`redis-benchmark -c 50 -t get -n %d` through three links of shakedown: one that only moves bytes, as links do unless a fault of the "+
			"experiment acts on messages; one that follows Redis' protocol and has no rule; and one with a rule about GET and a pattern of keys, which "+
			"is held against every command and never acts.", n),
		Tables: []benchmark.Table{t},
	}, nil
}
