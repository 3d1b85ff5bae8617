package bench

import (
	"encoding/json"
	"fmt"
	"slices"

	"shakedown/chaos"
	"shakedown/internal/units"
)

// An Experiment asks one question of one pattern. It is data: it can be printed as YAML, edited and run.
type Experiment struct {
	Name     string `json:"name"`     // "cache/aside/stampede"
	Question string `json:"question"` // the title of the report
	// Note tells a reader what to look at, and what the model leaves out.
	Note    string       `json:"note,omitempty"`
	Engines []EngineSpec `json:"engines,omitempty"`
	// Isolation is what keeps the processes of a trial apart.
	Isolation Isolation `json:"isolation,omitempty"`
	// Direct lets processes on hosts dial each other without the proxy between: there are no links then, and only faults of hosts
	// and processes can act.
	Direct bool `json:"direct,omitempty"`
	// Sysctl are settings of every host's kernel, below net: "net.ipv4.tcp_retries2".
	Sysctl   map[string]string `json:"sysctl,omitempty"`
	Backends []Backend         `json:"backends,omitempty"` // services that the service depends on, started before it
	Variants []Variant         `json:"variants"`           // [0] is the control
	// Factor names what Levels vary on purpose beside the variant. Without levels there is one, unnamed.
	Factor string  `json:"factor,omitempty"`
	Levels []Level `json:"levels,omitempty"`
	// Network is in force on the links for the whole trial: the distance to a dependency, say.
	Network  chaos.Faults `json:"network,omitempty"`
	Workload Workload     `json:"workload,omitzero"`
	// Probe names what the trials ask of the engines, of the pattern's probes. Such an experiment has no workload and no phases.
	Probe string `json:"probe,omitempty"`
	// Capacity, when set, is measured before the first trial; phases may then state rates OfCapacity.
	Capacity *Capacity `json:"capacity,omitempty"`
	Phases   []Phase   `json:"phases,omitempty"`
	// Abort ends a trial that goes worse than that.
	Abort *Abort `json:"abort,omitempty"`
	// Columns are the deciding figures that the table of variants shows.
	Columns []Column `json:"columns"`
	// Sweeps ask for the smallest variant, by its X, that is good enough: a pool size, say.
	Sweeps []Sweep `json:"sweeps,omitempty"`
	Checks []Check `json:"checks"`
	_      struct{}
}

// EngineSpec asks for a real server, tuned for the question.
type EngineSpec struct {
	Name     string            `json:"name"` // "postgres", "redis"
	Settings map[string]string `json:"settings,omitempty"`
	// Replicas is how many servers follow this one: "postgres-replica-0" and so on. What they receive runs through links of its
	// own, "postgres-replica-0→postgres". A level's replaces the experiment's unless it is 0.
	Replicas int `json:"replicas,omitempty"`
	// Members is how many servers form one group that decides by majority, each on a host of its own (isolation: namespaces): "etcd",
	// "etcd-member-1" and so on. Left out, there is one. A level's replaces the experiment's unless it is 0.
	Members int `json:"members,omitempty"`
	// Pooler, where it is set, puts a pooler of connections before the server, "postgres-pooler", with these settings: PgBouncer before
	// PostgreSQL. It reaches the server through a link of its own, "postgres-pooler→postgres". What a level and a variant set is merged in.
	Pooler map[string]string `json:"pooler,omitempty"`
	// Disk keeps the server's data on a disk of its own, which faults of disks act on: power_loss, disk_full and the like. Its
	// replicas have none. A level's true is added to the experiment's.
	Disk bool `json:"disk,omitempty"`
}

// Backend is a role of the pattern that runs behind the service. Services reach it through the proxy under
// the role's name; it reaches the engines through the proxy too.
type Backend struct {
	Role      string `json:"role"`
	Instances int    `json:"instances,omitempty"` // 0 means 1
	Config    any    `json:"config,omitempty"`
	// AsService builds it from the service's configuration, that of the variant at its level; Config is left out then.
	AsService bool `json:"as_service,omitempty"`
}

// ConfigAt is what the backend is built from in a trial of the variant at the level.
func (b Backend) ConfigAt(l Level, v Variant) (json.RawMessage, error) {
	if b.AsService {
		return MarshalConfig(v.Config, l.Config)
	}
	return MarshalConfig(b.Config, nil)
}

// A Variant is one way to build the service.
type Variant struct {
	Name      string `json:"name"`
	About     string `json:"about,omitempty"` // what is different about it, in a few words
	Config    any    `json:"config,omitempty"`
	Instances int    `json:"instances,omitempty"` // 0 means 1
	Full      bool   `json:"full,omitempty"`      // left out by --quick
	// Engines' settings are merged into those of the experiment and the level, where they have the engine.
	Engines []EngineSpec `json:"engines,omitempty"`
	// X is the variant's place on the axis of a sweep, such as its pool size; 0 means that it has none.
	X float64 `json:"x,omitempty"`
}

// A Level is one setting of the experiment's factor. What it sets replaces what the experiment says.
type Level struct {
	Name  string `json:"name"`
	About string `json:"about,omitempty"`
	Full  bool   `json:"full,omitempty"` // left out by --quick
	// Variants that run at this level; nil means all.
	Variants []string `json:"variants,omitempty"`
	// Config is merged into every variant's configuration.
	Config map[string]any `json:"config,omitempty"`
	// Engines' settings are merged into those of the experiment. One that the experiment has not is there at this level only.
	Engines []EngineSpec `json:"engines,omitempty"`
	// Sysctl is merged into that of the experiment.
	Sysctl   map[string]string `json:"sysctl,omitempty"`
	Network  chaos.Faults      `json:"network,omitempty"`
	Workload *Workload         `json:"workload,omitempty"`
	Phases   []Phase           `json:"phases,omitempty"`
	// Closed runs every phase of this level in closed loop.
	Closed *Closed `json:"closed,omitempty"`
}

// Closed is a closed loop: a fixed number of users, each of whom waits for an answer, thinks, and asks again.
type Closed struct {
	Users int            `json:"users"`
	Think units.Duration `json:"think,omitempty"` // the mean of an exponential distribution
}

// A Phase is a span of a trial with one load and one set of active faults.
type Phase struct {
	Name  string         `json:"name"`
	For   units.Duration `json:"for"`
	Quick units.Duration `json:"quick,omitempty"` // its length under --quick; 0 means For
	// Rate of arrivals; Closed replaces it by a closed loop. A phase with neither is silent.
	Rate    Rate    `json:"rate,omitzero"`
	Peak    Rate    `json:"peak,omitzero"` // the other rate of a ramp, step or spike
	Arrival Arrival `json:"arrival,omitempty"`
	Closed  *Closed `json:"closed,omitempty"`
	// Faults take effect when the phase starts and are healed when it ends.
	Faults chaos.Faults `json:"faults,omitempty"`
	// Schedule puts more faults in force, within the phase.
	Schedule []Entry `json:"schedule,omitempty"`
	// Abort ends the trial when the phase goes worse than that; what it sets replaces what the experiment says.
	Abort  *Abort `json:"abort,omitempty"`
	Judged bool   `json:"judged,omitempty"` // part of the verdict and of the validity rules
}

// AllFaults are those of the whole phase, and those of its schedule as they are written: what the phase may put in force.
func (p Phase) AllFaults() chaos.Faults {
	all := slices.Clone(p.Faults)
	for _, e := range p.Schedule {
		all = append(all, e.Faults...)
	}
	return all
}

// Rate is a number of arrivals per second, absolute or relative to the measured capacity.
type Rate struct {
	PerSecond  float64 `json:"per_s,omitempty"`
	OfCapacity float64 `json:"of_capacity,omitempty"`
}

// PerSecond is an absolute rate.
func PerSecond(r float64) Rate { return Rate{PerSecond: r} }

// OfCapacity is a rate relative to the measured capacity: 0.8 is 80 %.
func OfCapacity(f float64) Rate { return Rate{OfCapacity: f} }

// At is the rate in arrivals per second, given the measured capacity (0 when none was measured).
func (r Rate) At(capacity float64) float64 { return r.PerSecond + r.OfCapacity*capacity }

func (r Rate) String() string {
	if r.OfCapacity != 0 {
		return fmt.Sprintf("%.0f%% of capacity", 100*r.OfCapacity)
	}
	return fmt.Sprintf("%g/s", r.PerSecond)
}

// Capacity says how the capacity of the system is measured: the goodput of a closed loop on the control.
type Capacity struct {
	Closed Closed         `json:"closed"`
	For    units.Duration `json:"for"`
}

// A Column is one deciding figure of the table of variants.
type Column struct {
	Title string `json:"title"` // "rebuilds per expiry"
	Unit  string `json:"unit,omitempty"`
	Of    Query  `json:"of"` // its Variant and Level are left empty: the row says them
	// Levels that the column is shown at; nil means all.
	Levels []string `json:"levels,omitempty"`
}

// At says whether the column is shown at a level.
func (c Column) At(level string) bool { return c.Levels == nil || slices.Contains(c.Levels, level) }

// A Sweep asks, at every level, for the variant with the smallest X whose value of Of satisfies the bound.
type Sweep struct {
	Title string  `json:"title"` // "smallest pool with 99 % of 400/s within the SLO"
	Unit  string  `json:"unit,omitempty"`
	Of    Query   `json:"of"` // its Variant and Level are left empty
	Rel   Rel     `json:"rel"`
	Bound float64 `json:"bound"`
	// Formula is what folklore would have answered: PerCore × cores + Plus.
	Formula *Formula `json:"formula,omitempty"`
}

// A Formula is a rule of thumb in the number of cores.
type Formula struct {
	Name    string  `json:"name"` // "cores × 2 + spindles"
	PerCore float64 `json:"per_core"`
	Plus    float64 `json:"plus"`
}

// At is the formula's answer for a machine.
func (f Formula) At(cores int) float64 { return f.PerCore*float64(cores) + f.Plus }

// A Query asks one number of one trial.
type Query struct {
	Variant string `json:"variant,omitempty"`
	Level   string `json:"level,omitempty"`
	Phase   string `json:"phase,omitempty"` // empty: all judged phases together
	// Tail, when set, restricts the query to the last part of the phase, as a fraction: 0.5 is its second half.
	Tail float64 `json:"tail,omitempty"`
	Op   string  `json:"op,omitempty"` // empty: all operations together
	// Metric names what is asked; package measure lists and documents the metrics.
	Metric string `json:"metric"`
	// Name is the dependency, series, span or baseline phase that the metric is about, where it needs one.
	Name string `json:"name,omitempty"`
	Stat string `json:"stat,omitempty"` // "p99", "mean", "max" …
}

// In is the query asked of one variant at one level.
func (q Query) In(variant, level string) Query {
	q.Variant, q.Level = variant, level
	return q
}

// Against says what the value of a check is when it has a Versus.
type Against string

// The comparisons of a check. The zero value is a ratio.
const (
	Ratio      Against = ""           // Of ÷ Versus
	Difference Against = "difference" // Of − Versus
)

// A Check is written before the run, and decides a claim together with the claim's other checks. It asserts
// what the claim asserts; where folklore is expected to be wrong, the check is expected to fail.
type Check struct {
	Claim  string  `json:"claim"`          // "cache/aside#5"
	Text   string  `json:"text"`           // the assertion in words
	When   string  `json:"when,omitempty"` // the condition it speaks of, for claims that depend on it
	Of     Query   `json:"of"`
	Versus *Query  `json:"versus,omitempty"` // nil: the value of Of itself is compared
	By     Against `json:"by,omitempty"`
	Rel    Rel     `json:"rel"`
	Bound  float64 `json:"bound"`
	Band   float64 `json:"band,omitempty"` // for Equal: the tolerated deviation as a fraction of Bound
	Unit   string  `json:"unit,omitempty"`
	// MinOps is the least number of observations on either side; with fewer the verdict is unknown.
	MinOps int `json:"min_ops,omitempty"`
	// Never: a single repeat beyond the bound fails the check, whatever the others say: for what must never happen. That it did not
	// happen in a few repeats says how seldom it is at most, not that it cannot.
	Never bool `json:"never,omitempty"`
	// ControlFails: the same check must fail on the control, or it proves nothing.
	ControlFails bool `json:"control_fails,omitempty"`
}

// MarshalConfig is the variant's configuration with the level's merged into it, as JSON.
func MarshalConfig(config any, merge map[string]any) (json.RawMessage, error) {
	if config == nil {
		config = struct{}{}
	}
	raw, err := json.Marshal(config)
	if err != nil {
		return nil, fmt.Errorf("configuration: %w", err)
	}
	if len(merge) == 0 {
		return raw, nil
	}
	fields := map[string]any{}
	if err := json.Unmarshal(raw, &fields); err != nil {
		return nil, fmt.Errorf("configuration: %w", err)
	}
	for k, v := range merge {
		fields[k] = v
	}
	return json.Marshal(fields)
}

// InstanceName is the name of the nth process of a role: "service-0".
func InstanceName(role string, n int) string { return fmt.Sprintf("%s-%d", role, n) }
