package bench

import (
	"errors"
	"fmt"
	"math"
	"regexp"
	"slices"
	"strings"

	"shakedown/chaos"
	"shakedown/internal/units"
)

var (
	experimentName = regexp.MustCompile(`^[a-z][a-z0-9-]*(/[a-z][a-z0-9-]*){2}$`)
	claimID        = regexp.MustCompile(`^[a-z][a-z0-9-]*/[a-z][a-z0-9-]*#[0-9]+$`)
)

// Validate says what is wrong with the experiment, and where. What a metric is called is package measure's business.
func (e Experiment) Validate() error {
	if !experimentName.MatchString(e.Name) {
		return fmt.Errorf("name: %q must read family/pattern/question", e.Name)
	}
	var errs []error
	fail := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	if e.Question == "" {
		fail("question: is empty")
	}
	if len(e.Variants) == 0 {
		fail("variants: needs at least one; the first is the control")
	}
	if dup := duplicate(e.VariantNames()); dup != "" {
		fail("variants: the name %q stands twice", dup)
	}
	for _, v := range e.Variants {
		if v.Name == "" {
			fail("variants: every variant needs a name")
		}
		if v.Instances < 0 {
			fail("variants[%s].instances: must be ≥ 0, got %d", v.Name, v.Instances)
		}
	}
	levels := make([]string, len(e.Levels))
	for i, l := range e.Levels {
		levels[i] = l.Name
		for _, v := range l.Variants {
			if _, ok := e.Variant(v); !ok {
				fail("levels[%s].variants: there is no variant %q", l.Name, v)
			}
		}
	}
	if dup := duplicate(levels); dup != "" {
		fail("levels: the name %q stands twice", dup)
	}
	if len(e.Levels) > 0 && e.Factor == "" {
		fail("factor: levels need the name of what they vary")
	}
	for _, c := range e.Columns {
		for _, l := range c.Levels {
			if !slices.Contains(levels, l) {
				fail("columns[%s].levels: there is no level %q", c.Title, l)
			}
		}
	}
	errs = append(errs, e.Abort.validate())
	errs = append(errs, e.validateLevels()...)
	errs = append(errs, e.validateIsolation())
	for i, b := range e.Backends {
		if b.AsService && b.Config != nil {
			fail("backends[%d]: %s is built as the service is, and has a configuration of its own; leave one of them out", i, b.Role)
		}
	}
	if err := e.validateEngines(); err != nil {
		errs = append(errs, err)
	}
	for i, c := range e.Checks {
		if err := c.validate(); err != nil {
			fail("checks[%d]: %w", i, err)
		}
	}
	return errors.Join(errs...)
}

// validateEngines looks at the engines of every trial.
func (e Experiment) validateEngines() error {
	all := e.AllEngines()
	for _, v := range e.Variants {
		for _, spec := range v.Engines {
			if indexOf(all, spec.Name) < 0 {
				return fmt.Errorf("variants[%s].engines: there is no engine %q", v.Name, spec.Name)
			}
		}
		for _, l := range e.LevelList() {
			for _, engine := range e.EnginesAt(l, v) {
				if engine.Replicas < 0 || engine.Replicas > 8 {
					return fmt.Errorf("engines[%s].replicas: must be 0 to 8, got %d", engine.Name, engine.Replicas)
				}
				if engine.Members < 0 || engine.Members > 7 {
					return fmt.Errorf("engines[%s].members: must be 0 to 7, got %d", engine.Name, engine.Members)
				}
			}
		}
	}
	return nil
}

func (e Experiment) validateLevels() []error {
	var errs []error
	if e.Probes() {
		return []error{e.validateProbe()}
	}
	for _, l := range e.LevelList() {
		at := ""
		if l.Name != "" {
			at = fmt.Sprintf("level %s: ", l.Name)
		}
		if err := e.WorkloadAt(l).Validate(); err != nil {
			errs = append(errs, fmt.Errorf("%s%w", at, err))
		}
		phases := e.PhasesAt(l)
		if len(phases) == 0 {
			errs = append(errs, fmt.Errorf("%sphases: needs at least one", at))
		}
		var names []string
		judged := false
		for _, p := range phases {
			names = append(names, p.Name)
			judged = judged || p.Judged
			if err := p.validate(e.Capacity != nil); err != nil {
				errs = append(errs, fmt.Errorf("%sphases[%s].%w", at, p.Name, err))
			}
		}
		if dup := duplicate(names); dup != "" {
			errs = append(errs, fmt.Errorf("%sphases: the name %q stands twice", at, dup))
		}
		if !judged {
			errs = append(errs, fmt.Errorf("%sphases: none is judged, so there would be nothing to decide", at))
		}
	}
	return errs
}

func (p Phase) validate(hasCapacity bool) error {
	switch {
	case p.Name == "":
		return errors.New("name: is empty")
	case p.For <= 0:
		return fmt.Errorf("for: must be positive, got %v", p.For)
	case p.For > units.Duration(24*3600*1e9):
		return fmt.Errorf("for: at most 24h, got %v", p.For)
	}
	for name, r := range map[string]Rate{"rate": p.Rate, "peak": p.Peak} {
		for _, v := range []float64{r.PerSecond, r.OfCapacity} {
			if v < 0 || math.IsNaN(v) || math.IsInf(v, 0) {
				return fmt.Errorf("%s: must be a number ≥ 0, got %v", name, v)
			}
		}
		if r.PerSecond > 1e6 {
			return fmt.Errorf("%s: at most 1000000 per second, got %v", name, r.PerSecond)
		}
		if r.OfCapacity > 0 && !hasCapacity {
			return fmt.Errorf("%s: is relative to capacity, but the experiment does not measure one", name)
		}
	}
	if c := p.Closed; c != nil && (c.Users <= 0 || c.Users > 100_000 || c.Think < 0) {
		return fmt.Errorf("closed: needs 1 to 100000 users and think ≥ 0, got %d and %v", c.Users, c.Think)
	}
	for _, err := range []error{validateFaults(p.Faults), p.validateSchedule(), p.Abort.validate()} {
		if err != nil {
			return err
		}
	}
	return nil
}

func validateFaults(fs chaos.Faults) error {
	for i, f := range fs {
		if err := f.Validate(); err != nil {
			return fmt.Errorf("faults[%d] (%s): %w", i, f.Kind(), err)
		}
	}
	return nil
}

func (c Check) validate() error {
	switch {
	case !claimID.MatchString(c.Claim):
		return fmt.Errorf("claim: %q must read family/pattern#n", c.Claim)
	case c.Text == "":
		return fmt.Errorf("%s: text: is empty", c.Claim)
	case c.Of.Metric == "":
		return fmt.Errorf("%s: of.metric: is empty", c.Claim)
	case math.IsNaN(c.Bound) || math.IsInf(c.Bound, 0):
		return fmt.Errorf("%s: bound: must be a number, got %v", c.Claim, c.Bound)
	case c.Rel == Equal && c.Band <= 0:
		return fmt.Errorf("%s: band: equal needs the tolerated deviation, as a fraction of the bound", c.Claim)
	case c.By != Ratio && c.By != Difference:
		return fmt.Errorf("%s: by: unknown comparison %q", c.Claim, c.By)
	}
	return nil
}

// ValidClaim says what is wrong with a claim's own fields.
func ValidClaim(c Claim) error {
	switch {
	case !claimID.MatchString(c.ID):
		return fmt.Errorf("claim id %q must read family/pattern#n", c.ID)
	case strings.TrimSpace(c.Text) == "":
		return fmt.Errorf("claim %s has no text", c.ID)
	case c.Expect == DependsOn && c.On == "":
		return fmt.Errorf("claim %s is expected to depend, but does not say on what", c.ID)
	}
	return nil
}

func duplicate(names []string) string {
	for i, n := range names {
		if slices.Contains(names[:i], n) {
			return n
		}
	}
	return ""
}
