package measure

import (
	"fmt"
	"slices"
	"strings"

	"shakedown/bench"
)

// Validate says what is wrong with a query of the experiment: a metric, stat, phase, operation, variant or level that
// does not exist, or a part that the metric does not take. An empty Variant or Level is left to the caller.
func Validate(q bench.Query, e bench.Experiment) error {
	m, ok := find(q.Metric)
	if !ok {
		return unknownMetric(q.Metric)
	}
	if err := m.check(q); err != nil {
		return err
	}
	if e.Probes() && q.Metric != "audit" {
		return fmt.Errorf("metric %s needs a load; of a probe only audit can be asked", q.Metric)
	}
	if _, ok := e.Variant(q.Variant); q.Variant != "" && !ok {
		return missing("variant", q.Variant, e.VariantNames())
	}
	levels, err := levelsOf(q, e)
	if err != nil {
		return err
	}
	var phases, ops []string
	for _, l := range levels {
		for _, p := range e.PhasesAt(l) {
			phases = append(phases, p.Name)
		}
		for _, op := range e.WorkloadAt(l).Ops {
			ops = append(ops, op.Name)
		}
	}
	if q.Phase != "" && !slices.Contains(phases, q.Phase) {
		return missing("phase", q.Phase, phases)
	}
	if m.Named == "baseline phase" && !slices.Contains(phases, q.Name) {
		return missing("baseline phase", q.Name, phases)
	}
	if q.Op != "" && !slices.Contains(ops, q.Op) {
		return missing("operation", q.Op, ops)
	}
	return nil
}

// levelsOf are the levels that the query may speak of.
func levelsOf(q bench.Query, e bench.Experiment) ([]bench.Level, error) {
	if q.Level == "" {
		return e.LevelList(), nil
	}
	l, ok := e.Level(q.Level)
	if !ok {
		var names []string
		for _, l := range e.Levels {
			names = append(names, l.Name)
		}
		return nil, missing("level", q.Level, names)
	}
	if q.Variant != "" && !l.Runs(q.Variant) {
		return nil, fmt.Errorf("variant %q does not run at level %q; there run %s", q.Variant, q.Level, strings.Join(l.Variants, ", "))
	}
	return []bench.Level{l}, nil
}

// check says what is wrong with the query's own form.
func (m metric) check(q bench.Query) error {
	switch {
	case !(q.Tail >= 0 && q.Tail <= 1):
		return fmt.Errorf("tail must be between 0 and 1, got %v", q.Tail)
	case len(m.Stats) == 0 && q.Stat != "":
		return fmt.Errorf("metric %s is one number and takes no stat, got %q", m.Name, q.Stat)
	case len(m.Stats) > 0 && !slices.Contains(m.Stats, q.Stat):
		return fmt.Errorf("metric %s has no stat %q; its stats are %s", m.Name, q.Stat, strings.Join(m.Stats, ", "))
	case m.Named == "" && q.Name != "":
		return fmt.Errorf("metric %s takes no name, got %q", m.Name, q.Name)
	case m.Named != "" && q.Name == "":
		return fmt.Errorf("metric %s needs the name of a %s", m.Name, m.Named)
	case !m.ByOp && q.Op != "":
		return fmt.Errorf("metric %s is not kept by operation, got %q", m.Name, q.Op)
	}
	return m.checkName(q)
}

func (m metric) checkName(q bench.Query) error {
	switch m.Name {
	case "flag":
		if bench.ParseFlags(q.Name).String() != q.Name {
			return missing("flag", q.Name, strings.Split(bench.Flags(0xff).String(), ","))
		}
		if strings.Contains(q.Name, ",") {
			return fmt.Errorf("metric flag asks for one flag, got %q", q.Name)
		}
	case "series":
		_, err := ParseSelector(q.Name)
		return err
	case "recover_s", "detect_s":
		if q.Phase == "" || q.Tail != 0 {
			return fmt.Errorf("metric %s needs a phase and takes no tail", m.Name)
		}
	}
	return nil
}

func unknownMetric(name string) error {
	var names []string
	for _, m := range Metrics() {
		names = append(names, m.Name)
	}
	return missing("metric", name, names)
}

// missing names what exists in place of what was asked for, each once.
func missing(what, name string, have []string) error {
	var once []string
	for _, h := range have {
		if !slices.Contains(once, h) {
			once = append(once, h)
		}
	}
	if len(once) == 0 {
		return fmt.Errorf("there is no %s %q; there is none at all", what, name)
	}
	return fmt.Errorf("there is no %s %q; there is %s", what, name, strings.Join(once, ", "))
}
