package record

import (
	"time"

	"shakedown/bench"
	"shakedown/chaos"
)

// SchemaVersion is the version of the run directory's layout. A reader refuses a newer one.
const SchemaVersion = 1

// Status says how far a run or a trial came.
type Status string

// The states of a run or trial. One that still says Running when nothing runs was killed: it reads as Truncated.
const (
	Running   Status = "running"
	Complete  Status = "complete"
	Aborted   Status = "aborted"   // stopped by the user or by an error, in order
	Truncated Status = "truncated" // killed; only a reader says so
)

// Run is what run.json holds: all that is needed to understand the run and to run it again.
type Run struct {
	SchemaVersion int              `json:"schema_version"`
	ID            string           `json:"id"`
	Status        Status           `json:"status"`
	Error         string           `json:"error,omitempty"` // why it was aborted
	Started       time.Time        `json:"started"`
	Finished      time.Time        `json:"finished,omitzero"`
	Version       string           `json:"version"` // of shakedown
	Commit        string           `json:"commit,omitempty"`
	Command       []string         `json:"command"` // runs it again
	Seed          uint64           `json:"seed"`
	Repeats       int              `json:"repeats"`
	Quick         bool             `json:"quick"`
	Pattern       string           `json:"pattern"`
	Claims        []bench.Claim    `json:"claims"`     // of the pattern
	Experiment    bench.Experiment `json:"experiment"` // as it was run: overrides and --quick applied
	Host          Host             `json:"host"`
	Engines       []Engine         `json:"engines"`
	CapacityPerS  float64          `json:"capacity_per_s,omitempty"`
	// Planned is how many trials the run wanted; a truncated run has fewer.
	Planned int `json:"planned"`
}

// Host is the machine the run was made on.
type Host struct {
	OS           string  `json:"os"`
	Kernel       string  `json:"kernel"`
	Arch         string  `json:"arch"`
	CPU          string  `json:"cpu"`
	Cores        int     `json:"cores"`
	MemoryGiB    float64 `json:"memory_gib"`
	GoVersion    string  `json:"go_version"`
	Containment  string  `json:"containment"`  // how children are kept from being orphaned
	TimerSlackUS float64 `json:"timer_p99_us"` // overshoot of the pacing thread's sleep, p99
}

// Engine is a server of the run.
type Engine struct {
	Name     string            `json:"name"`
	Version  string            `json:"version"`
	Source   string            `json:"source"` // path of the program, or the address given by the user, without its password
	Settings map[string]string `json:"settings,omitempty"`
}

// Trial is what trial.json holds: one variant at one level, run once.
type Trial struct {
	Index   int          `json:"index"` // in the order of execution
	Variant string       `json:"variant"`
	Level   string       `json:"level,omitempty"`
	Repeat  int          `json:"repeat"` // 0-based; trials of one repeat are compared with each other
	Seed    uint64       `json:"seed"`
	Status  Status       `json:"status"`
	Error   string       `json:"error,omitempty"`
	Closed  bool         `json:"closed"`  // the load was a closed loop
	Started time.Time    `json:"started"` // the wall clock at the trial's monotonic zero
	Phases  []PhaseSpan  `json:"phases"`
	Ledger  bench.Ledger `json:"ledger"`
	Gen     Generator    `json:"generator"`
	// Network is what was in force on the links for the whole trial.
	Network []FaultSpan `json:"network,omitempty"`
	// Unhealthy lists the engines that failed a health check before or after the load.
	Unhealthy []string `json:"unhealthy,omitempty"`
	// Findings are things that happened to the system under test and that nobody asked for, such as a service that died.
	Findings []string `json:"findings,omitempty"`
	// Audit is what the pattern's audit found in the engines after the load.
	Audit *bench.Audit `json:"audit,omitempty"`
}

// PhaseSpan is a phase as it was run.
type PhaseSpan struct {
	Name   string        `json:"name"`
	Start  time.Duration `json:"start_ns"` // offsets from the trial's zero
	End    time.Duration `json:"end_ns"`
	RateS  float64       `json:"rate_per_s"` // the rate at its start; 0 in closed loop
	Users  int           `json:"users,omitempty"`
	Judged bool          `json:"judged"`
	Faults []FaultSpan   `json:"faults,omitempty"`
}

// FaultSpan is a fault as it was injected and healed.
type FaultSpan struct {
	Fault    string         `json:"fault"` // chaos.Fault.String
	Kind     string         `json:"kind"`
	Entry    string         `json:"entry,omitempty"`    // of the phase's schedule: its name, or "#" and its index
	Number   int            `json:"number,omitempty"`   // counts the times of the entry, from 0
	Asked    time.Duration  `json:"asked_ns,omitempty"` // when the schedule wanted it
	Began    time.Duration  `json:"began_ns,omitempty"` // when injecting began
	Injected time.Duration  `json:"injected_ns"`        // when it had taken effect, and was looked for
	Healed   time.Duration  `json:"healed_ns"`          // when it was gone
	Landed   chaos.Evidence `json:"landed"`
	Effect   chaos.Evidence `json:"effect"` // what it did to real traffic, as Heal said
}

// Generator says how well the generator kept its schedule, over the judged phases.
type Generator struct {
	WallS     float64 `json:"wall_s"`
	CPUS      float64 `json:"cpu_s"`       // user and system time of the harness process
	StealS    float64 `json:"steal_s"`     // CPU time the hypervisor took, all cores
	IdleS     float64 `json:"idle_s"`      // CPU time left idle, all cores
	GCPauseMS float64 `json:"gc_pause_ms"` // the longest stop-the-world pause
	MaxRSSMB  float64 `json:"max_rss_mb"`
	Users     int     `json:"users,omitempty"`
}

// An Event is a moment on the timeline of a trial.
type Event struct {
	At     time.Duration `json:"at_ns"`
	Kind   string        `json:"kind"` // "phase", "fault_injected", "fault_healed", "process_started", "process_died", "note"
	Name   string        `json:"name"` // of the phase, fault or process
	Detail string        `json:"detail,omitempty"`
}

// Series is one scraped time series of a trial.
type Series struct {
	Name   string            `json:"name"` // with its unit and suffix: "shakedown_pool_in_use"
	Labels map[string]string `json:"labels"`
	Type   string            `json:"type"` // "counter", "gauge", "histogram" (a _bucket, _sum or _count series), "untyped"
	Points []Point           `json:"points"`
}

// Point is one scraped value; At is an offset from the trial's zero.
type Point struct {
	At time.Duration `json:"at_ns"`
	V  float64       `json:"v"`
}

// InFlight is the number of requests in flight at one moment, as the generator's own ticker counted it; it is kept apart
// from the samples so that Little's law compares two independent observations.
type InFlight struct {
	At time.Duration
	N  int64
}

// Data is all that a trial left.
type Data struct {
	Trial    Trial
	Samples  []bench.Sample
	InFlight []InFlight
	Spans    []bench.Span
	Series   []Series
	Events   []Event
	// Truncated: the trial was killed; what is there is whole up to some moment.
	Truncated bool
}
