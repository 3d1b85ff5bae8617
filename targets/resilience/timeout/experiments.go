package timeout

import (
	"shakedown/bench"
	"shakedown/chaos"
	"shakedown/internal/units"
)

const (
	keys    = 100
	rate    = 20
	timeout = 500 * units.Millisecond
)

var vanished = bench.Experiment{
	Name:     "resilience/timeout/vanished",
	Question: "Does the kernel end calls to a host that has vanished?",
	Note: "The service and Redis are on hosts of their own, and the network between them drops every packet for a while: no RST, no " +
		"ICMP. What TCP then does is Linux's: it sends again after 200 ms, and each time after twice as long, up to 15 times, which takes " +
		"15.4 minutes; a partition of seconds can show that it has not given up, and that it does when told to try fewer times. Load " +
		"and scraper reach the service past the partition.",
	Engines:   []bench.EngineSpec{{Name: "redis"}},
	Isolation: bench.Namespaces,
	Direct:    true,
	Variants: []bench.Variant{
		{Name: "no-timeout", About: "waits until the kernel gives up", Config: Config{Keys: keys}},
		{Name: "timeout", About: "500 ms for every call", Config: Config{Timeout: timeout, Keys: keys}},
		{
			Name: "user-timeout", About: "waits, and has told the kernel to give up after 2 s (TCP_USER_TIMEOUT)",
			Config: Config{UserTimeout: 2 * units.Second, Keys: keys}, Full: true,
		},
	},
	Factor: "the kernel's patience",
	Levels: []bench.Level{
		{Name: "default", About: "tcp_retries2 = 15, tcp_syn_retries = 6"},
		{
			Name: "short", About: "tcp_retries2 = 3, tcp_syn_retries = 1: it gives up after about 6 s", Variants: []string{"no-timeout"},
			Sysctl: map[string]string{"net.ipv4.tcp_retries2": "3", "net.ipv4.tcp_syn_retries": "1"},
		},
	},
	Workload: bench.Workload{
		Ops:     []bench.Op{{Name: "item", Weight: 1, Path: "/item/{key}", Keys: bench.Keys{Dist: "uniform", N: keys}}},
		SLO:     250 * units.Millisecond,
		Timeout: 120 * units.Second, // the user's patience is not what is asked about
	},
	Phases: []bench.Phase{
		{Name: "warmup", For: 2 * units.Second, Quick: units.Second, Rate: bench.PerSecond(rate)},
		{Name: "baseline", For: 3 * units.Second, Quick: units.Second, Rate: bench.PerSecond(rate), Judged: true},
		{
			Name: "vanished", For: 30 * units.Second, Quick: 10 * units.Second, Rate: bench.PerSecond(rate), Judged: true,
			Faults: chaos.Faults{&chaos.Partition{Groups: [][]string{{"service"}, {"redis"}}}},
		},
		{Name: "back", For: 20 * units.Second, Quick: 3 * units.Second, Rate: bench.PerSecond(rate), Judged: true},
	},
	Columns: []bench.Column{
		{Title: "ended by an error", Unit: "share", Of: vanishedIn("failed", "")},
		{Title: "wait for it, p50", Unit: "ms", Of: vanishedIn("response_ms", "p50")},
		{Title: "longest wait", Unit: "ms", Of: vanishedIn("response_ms", "max")},
		{Title: "most in flight", Of: inFlight()},
	},
	Checks: []bench.Check{
		{
			Claim: "resilience/timeout#3",
			Text:  "by default the kernel ends at least half as many calls to a vanished host as when it is told to give up early",
			Of:    vanishedIn("failed", "").In("no-timeout", "default"), Versus: new(vanishedIn("failed", "").In("no-timeout", "short")),
			Rel: bench.AtLeast, Bound: 0.5, MinOps: 50,
		},
		{
			Claim: "resilience/timeout#1", Text: "a host that vanished: without a timeout at least 5 times as many requests in flight as with 500 ms",
			Of: inFlight().In("no-timeout", "default"), Versus: new(inFlight().In("timeout", "default")), Rel: bench.AtLeast, Bound: 5,
		},
	},
}

func vanishedIn(metric, stat string) bench.Query {
	return bench.Query{Phase: "vanished", Metric: metric, Stat: stat}
}

func inFlight() bench.Query {
	return bench.Query{Phase: "vanished", Metric: "series", Name: "shakedown_in_flight_requests", Stat: "max"}
}
