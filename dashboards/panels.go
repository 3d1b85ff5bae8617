package dashboards

// A Feature is something that not every pattern has; a run without it has no data for the panels that need it.
type Feature string

// The features. The zero Feature is what every run has.
const (
	Always       Feature = ""
	Dependencies Feature = "dependencies"
	Pools        Feature = "pools"
	Breakers     Feature = "breakers"
	Caches       Feature = "caches"
	Faults       Feature = "faults"
)

// Kind is how Grafana draws a panel, by its name for the plug-in.
type Kind string

// The kinds of panel.
const (
	TimeSeries    Kind = "timeseries"
	Stat          Kind = "stat"
	StateTimeline Kind = "state-timeline"
)

// Unit is a unit by the name that Grafana gives it.
type Unit string

// The units of the panels.
const (
	PerSecond Unit = "reqps"
	Seconds   Unit = "s"
	Count     Unit = "short"
	Fraction  Unit = "percentunit"
	Bytes     Unit = "bytes"
)

// A Panel is one picture of the dashboard.
type Panel struct {
	Title   string
	About   string // what to look for
	Kind    Kind
	Unit    Unit
	Width   int // of 24 columns
	Queries []Query
	Needs   Feature
}

// A Query is an expression of PromQL, in which $variant and $level stand for regular expressions and $__rate_interval
// for a span, and the legend of the series it gives.
type Query struct {
	Expr   string
	Legend string
}

// A Section is a titled row of panels.
type Section struct {
	Title  string
	Panels []Panel
}

// Annotation marks the moments at which Expr has a value.
type Annotation struct {
	Name, Expr, Title, Text string
	Needs                   Feature
}

// FaultAnnotation shades the time in which a fault is in force.
var FaultAnnotation = Annotation{
	Name: "faults", Expr: FaultActive + " == 1", Title: "{{kind}}", Text: "{{fault}}", Needs: Faults,
}

// A harness series has no variant; it is shown while a trial of the chosen variants and levels is in progress.
const (
	during = ` and on (instance) ` + TrialInfo + `{variant=~"$variant",level=~"$level"}`
	chosen = `{variant=~"$variant",level=~"$level"}`
	span   = `[$__rate_interval]`
)

func loadRate(metric string) string    { return `(rate(` + metric + span + `)` + during + `)` }
func serviceRate(metric string) string { return `rate(` + metric + chosen + span + `)` }
func quantile(q, sum string) string    { return `histogram_quantile(` + q + `, ` + sum + `)` }
func responseQuantile(q string) string {
	return quantile(q, `sum by (le) `+loadRate(LoadResponse+"_bucket"))
}

func pool(metric string) string          { return `sum by (service, pool) (` + metric + chosen + `)` }
func perCache(metric string) string      { return `sum by (cache) (` + serviceRate(metric) + `)` }
func perDependency(metric string) string { return `sum by (dependency) (` + serviceRate(metric) + `)` }

// Sections are the dashboard of a run, from what the user sees down to what causes it.
func Sections() []Section {
	return []Section{
		{"The trial", trialPanels()},
		{"What users get", userPanels()},
		{"Dependencies", dependencyPanels()},
		{"Pools", poolPanels()},
		{"Breakers and caches", protectionPanels()},
		{"Is the measurement sound?", soundnessPanels()},
	}
}

func trialPanels() []Panel {
	return []Panel{
		{
			Title: "Trial", About: "The experiment, variant, level and phase in progress.", Kind: Stat, Unit: Count, Width: 12,
			Queries: []Query{{TrialInfo + chosen, "{{experiment}} · {{variant}} · {{level}} · {{phase}}"}},
		},
		{
			Title: "Active faults", About: "1 while a fault is in force.", Kind: StateTimeline, Unit: Count, Width: 12, Needs: Faults,
			Queries: []Query{{FaultActive, "{{fault}}"}},
		},
	}
}

func userPanels() []Panel {
	return []Panel{
		{
			Title: "Offered load and goodput", About: "Goodput is ok within the SLO; the gap is what users lose.",
			Kind: TimeSeries, Unit: PerSecond, Width: 12,
			Queries: []Query{
				{`sum(` + loadRate(LoadScheduled) + `)`, "offered"},
				{`sum(` + loadRate(LoadGood) + `)`, "goodput"},
			},
		},
		{
			Title: "Response time", About: "From when a request was due, so a stall is charged to all who waited for it.",
			Kind: TimeSeries, Unit: Seconds, Width: 12,
			Queries: []Query{
				{responseQuantile("0.5"), "p50"},
				{responseQuantile("0.9"), "p90"},
				{responseQuantile("0.99"), "p99"},
				{responseQuantile("0.999"), "p99.9"},
			},
		},
		{
			Title: "Goodput", About: "Good arrivals over scheduled arrivals.", Kind: TimeSeries, Unit: Fraction, Width: 8,
			Queries: []Query{{`sum by (op) ` + loadRate(LoadGood) + ` / sum by (op) ` + loadRate(LoadScheduled), "{{op}}"}},
		},
		{
			Title: "Outcomes", About: "Every arrival ends in exactly one.", Kind: TimeSeries, Unit: PerSecond, Width: 8,
			Queries: []Query{{`sum by (outcome) ` + loadRate(LoadOutcomes), "{{outcome}}"}},
		},
		{
			Title: "In flight", About: "An open loop lets this grow without bound when the service stalls.",
			Kind: TimeSeries, Unit: Count, Width: 8,
			Queries: []Query{
				{`sum(` + LoadInFlight + during + `)`, "generator"},
				{`sum by (service) (` + RequestsNow + chosen + `)`, "{{service}}"},
			},
		},
	}
}

func dependencyPanels() []Panel {
	return []Panel{
		{
			Title: "Amplification", About: "Attempts that reached a dependency for each user request. Above 1.5 it is a retry storm.",
			Kind: TimeSeries, Unit: Count, Width: 8, Needs: Dependencies,
			Queries: []Query{{
				perDependency(DepAttempts) + ` / on () group_left () sum(` + loadRate(LoadScheduled) + `)`, "{{dependency}}",
			}},
		},
		{
			Title: "Attempts", About: "Calls made to each dependency, and those that failed.", Kind: TimeSeries, Unit: PerSecond,
			Width: 8, Needs: Dependencies,
			Queries: []Query{
				{perDependency(DepAttempts), "{{dependency}}"},
				{`sum by (dependency, kind) (` + serviceRate(DepErrors) + `)`, "{{dependency}}: {{kind}}"},
			},
		},
		{
			Title: "Time of a call", About: "The 99th percentile, as the service sees it.", Kind: TimeSeries, Unit: Seconds,
			Width: 8, Needs: Dependencies,
			Queries: []Query{{
				quantile("0.99", `sum by (dependency, le) (`+serviceRate(DepSeconds+"_bucket")+`)`), "{{dependency}} p99",
			}},
		},
	}
}

func poolPanels() []Panel {
	return []Panel{
		{
			Title: "Pool members", About: "In use at max with callers waiting is exhaustion.", Kind: TimeSeries, Unit: Count,
			Width: 12, Needs: Pools,
			Queries: []Query{
				{pool(PoolInUse), "{{service}} {{pool}} in use"},
				{pool(PoolIdle), "{{service}} {{pool}} idle"},
				{pool(PoolWaiting), "{{service}} {{pool}} waiting"},
				{pool(PoolMax), "{{service}} {{pool}} max"},
			},
		},
		{
			Title: "Mean wait for a member", Kind: TimeSeries, Unit: Seconds, Width: 6, Needs: Pools,
			About: "Time spent acquiring, by acquisition.",
			Queries: []Query{{
				`sum by (service, pool) (` + serviceRate(PoolAcquireTime) + `) / sum by (service, pool) (` +
					serviceRate(PoolAcquires) + `)`, "{{service}} {{pool}}",
			}},
		},
		{
			Title: "Acquisitions that waited", Kind: TimeSeries, Unit: PerSecond, Width: 6, Needs: Pools,
			About:   "Acquisitions that found nothing idle.",
			Queries: []Query{{`sum by (service, pool) (` + serviceRate(PoolEmpty) + `)`, "{{service}} {{pool}}"}},
		},
	}
}

func protectionPanels() []Panel {
	return []Panel{
		{
			Title: "Breaker state", About: "1 for the state that a breaker is in.", Kind: StateTimeline, Unit: Count, Width: 12,
			Needs:   Breakers,
			Queries: []Query{{`max by (service, breaker, state) (` + BreakerState + chosen + `)`, "{{service}} {{breaker}} {{state}}"}},
		},
		{
			Title: "Cache hits", About: "Hits over look-ups.", Kind: TimeSeries, Unit: Fraction, Width: 6, Needs: Caches,
			Queries: []Query{{perCache(CacheHits) + ` / (` + perCache(CacheHits) + ` + ` + perCache(CacheMisses) + `)`, "{{cache}}"}},
		},
		{
			Title: "Cache rebuilds", About: "A burst at one expiry is a stampede.", Kind: TimeSeries, Unit: PerSecond, Width: 6,
			Needs:   Caches,
			Queries: []Query{{perCache(CacheRebuilds), "{{cache}}"}},
		},
	}
}

func soundnessPanels() []Panel {
	return []Panel{
		{
			Title: "Send lag", About: "How late the generator sends. When it grows, the machine is measured, not the pattern.",
			Kind: TimeSeries, Unit: Seconds, Width: 8,
			Queries: []Query{{quantile("0.99", `sum by (le) `+loadRate(LoadSendLag+"_bucket")), "p99"}},
		},
		{
			Title: "Processor", About: "Cores used by each process.", Kind: TimeSeries, Unit: Count, Width: 8,
			Queries: []Query{
				{`sum by (service) (` + serviceRate("process_cpu_seconds_total") + `)`, "{{service}}"},
				{`sum(` + loadRate("process_cpu_seconds_total") + `)`, "harness"},
			},
		},
		{
			Title: "Memory", About: "Resident memory of each process.", Kind: TimeSeries, Unit: Bytes, Width: 8,
			Queries: []Query{
				{`sum by (service) (process_resident_memory_bytes` + chosen + `)`, "{{service}}"},
				{`sum(process_resident_memory_bytes` + during + `)`, "harness"},
			},
		},
	}
}
