package bench

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"shakedown/internal/units"
)

// Clone is a deep copy in which every configuration has become a plain map, as if read from a file.
func (e Experiment) Clone() (Experiment, error) {
	raw, err := json.Marshal(e)
	if err != nil {
		return Experiment{}, fmt.Errorf("experiment %s: %w", e.Name, err)
	}
	var c Experiment
	if err := json.Unmarshal(raw, &c); err != nil {
		return Experiment{}, fmt.Errorf("experiment %s: %w", e.Name, err)
	}
	return c, nil
}

// Quicken leaves out what is marked Full and gives every phase its Quick length, and its schedule the same part of its
// times. It changes how much is measured, never what a check asks: checks on what was left out become unknown.
func (e *Experiment) Quicken() {
	e.Variants = slices.DeleteFunc(e.Variants, func(v Variant) bool { return v.Full })
	e.Levels = slices.DeleteFunc(e.Levels, func(l Level) bool { return l.Full })
	e.prune()
	quickenPhases(e.Phases)
	for _, l := range e.Levels {
		quickenPhases(l.Phases)
	}
}

func (e *Experiment) has(level string) bool {
	_, ok := e.Level(level)
	return ok
}

func quickenPhases(phases []Phase) {
	for i := range phases {
		if phases[i].Quick > 0 {
			phases[i].Schedule = scaled(phases[i].Schedule, phases[i].Quick.Seconds()/phases[i].For.Seconds())
			phases[i].For = phases[i].Quick
		}
	}
}

// scaled are entries whose times are a part of what they were.
func scaled(entries []Entry, part float64) []Entry {
	scale := func(d *units.Duration) { *d = units.Duration(float64(*d) * part) }
	entries = slices.Clone(entries)
	for i := range entries {
		e := &entries[i]
		for _, s := range []*Bounds{&e.At, &e.For, &e.Every} {
			scale(&s.From)
			scale(&s.To)
		}
		if e.Ramp != nil {
			r := *e.Ramp
			scale(&r.Over)
			e.Ramp = &r
		}
	}
	return entries
}

// Only keeps the named variants; the control always stays, because checks may need it.
func (e *Experiment) Only(names []string) error {
	for _, n := range names {
		if _, ok := e.Variant(n); !ok {
			return fmt.Errorf("%s has no variant %q; its variants are %s", e.Name, n, strings.Join(e.VariantNames(), ", "))
		}
	}
	control := e.Variants[0].Name
	e.Variants = slices.DeleteFunc(e.Variants, func(v Variant) bool {
		return v.Name != control && !slices.Contains(names, v.Name)
	})
	some := len(e.Levels) > 0
	if e.prune(); some && len(e.Levels) == 0 {
		return fmt.Errorf("%s: at no level does any of %s run", e.Name, strings.Join(e.VariantNames(), ", "))
	}
	return nil
}

// prune leaves out of the levels the variants that are no longer there, then the levels at which nothing would run, and then the
// columns of those: an empty list must not come to mean all.
func (e *Experiment) prune() {
	for i := range e.Levels {
		e.Levels[i].Variants = slices.DeleteFunc(e.Levels[i].Variants, func(name string) bool {
			_, ok := e.Variant(name)
			return !ok
		})
	}
	e.Levels = slices.DeleteFunc(e.Levels, func(l Level) bool { return l.Variants != nil && len(l.Variants) == 0 })
	e.Columns = slices.DeleteFunc(e.Columns, func(c Column) bool {
		return c.Levels != nil && !slices.ContainsFunc(c.Levels, e.has)
	})
	for i, c := range e.Columns {
		e.Columns[i].Levels = slices.DeleteFunc(c.Levels, func(name string) bool { return !e.has(name) })
	}
}

// Set sets a configuration field, "ttl", in every variant (and backend) that has it, or, as "VARIANT.ttl", in one variant.
// The value is JSON, or a bare string. fields lists what the given role's configuration may set.
func (e *Experiment) Set(key, value string, fields func(role string) []string) error {
	var v any
	if err := json.Unmarshal([]byte(value), &v); err != nil {
		v = value
	}
	only, field, one := strings.Cut(key, ".")
	if !one {
		only, field = "", key
	}
	known := fields(ServiceRole)
	found := false
	for i := range e.Variants {
		if slices.Contains(known, field) && (only == "" || only == e.Variants[i].Name) {
			e.Variants[i].Config = with(e.Variants[i].Config, field, v)
			found = true
		}
	}
	for i, b := range e.Backends {
		more := fields(b.Role)
		if slices.Contains(more, field) && !b.AsService && (only == "" || only == b.Role) {
			e.Backends[i].Config = with(b.Config, field, v)
			found = true
		}
		known = append(known, more...)
	}
	for _, l := range e.Levels {
		if _, overrides := l.Config[field]; overrides && found {
			l.Config[field] = v
		}
	}
	if !found {
		if only != "" && !slices.Contains(e.VariantNames(), only) {
			return fmt.Errorf("-p %s: %s has no variant %q; its variants are %s", key, e.Name, only, strings.Join(e.VariantNames(), ", "))
		}
		return fmt.Errorf("-p %s: %s has no parameter %q; its parameters are %s", key, e.Name, field, strings.Join(known, ", "))
	}
	return nil
}

func with(config any, field string, v any) map[string]any {
	m, _ := config.(map[string]any)
	m = maps.Clone(m)
	if m == nil {
		m = map[string]any{}
	}
	m[field] = v
	return m
}

// Variant is the variant with the given name.
func (e Experiment) Variant(name string) (Variant, bool) {
	i := slices.IndexFunc(e.Variants, func(v Variant) bool { return v.Name == name })
	if i < 0 {
		return Variant{}, false
	}
	return e.Variants[i], true
}

// VariantNames are the names of the variants, the control first.
func (e Experiment) VariantNames() []string {
	names := make([]string, len(e.Variants))
	for i, v := range e.Variants {
		names[i] = v.Name
	}
	return names
}

// LevelList is the levels, or the one unnamed level of an experiment without a factor.
func (e Experiment) LevelList() []Level {
	if len(e.Levels) == 0 {
		return []Level{{}}
	}
	return e.Levels
}

// Level is the level with the given name; the empty name is that of an experiment without levels.
func (e Experiment) Level(name string) (Level, bool) {
	levels := e.LevelList()
	i := slices.IndexFunc(levels, func(l Level) bool { return l.Name == name })
	if i < 0 {
		return Level{}, false
	}
	return levels[i], true
}

// PhasesAt are the phases that a trial at the given level goes through.
func (e Experiment) PhasesAt(l Level) []Phase {
	phases := e.Phases
	if len(l.Phases) > 0 {
		phases = l.Phases
	}
	if l.Closed == nil {
		return phases
	}
	phases = slices.Clone(phases)
	for i := range phases {
		phases[i].Closed = l.Closed
	}
	return phases
}

// WorkloadAt is the workload of a trial at the given level.
func (e Experiment) WorkloadAt(l Level) Workload {
	if l.Workload != nil {
		return *l.Workload
	}
	return e.Workload
}

// EnginesAt are the engines of a trial of the variant at the given level: the experiment's and the level's own, with the settings of
// level and variant merged in, the variant's last.
func (e Experiment) EnginesAt(l Level, v Variant) []EngineSpec {
	engines := slices.Clone(e.Engines)
	for _, over := range l.Engines {
		if i := indexOf(engines, over.Name); i < 0 {
			engines = append(engines, over)
		} else {
			engines[i] = engines[i].with(over)
		}
	}
	for _, over := range v.Engines {
		if i := indexOf(engines, over.Name); i >= 0 {
			engines[i] = engines[i].with(over)
		}
	}
	return engines
}

func indexOf(engines []EngineSpec, name string) int {
	return slices.IndexFunc(engines, func(s EngineSpec) bool { return s.Name == name })
}

// AllEngines are the engines of which some trial has one, each once: the experiment's, and then those of its levels.
func (e Experiment) AllEngines() []EngineSpec {
	engines := slices.Clone(e.Engines)
	for _, l := range e.Levels {
		for _, spec := range l.Engines {
			if indexOf(engines, spec.Name) < 0 {
				engines = append(engines, spec)
			}
		}
	}
	return engines
}

// with is the engine with what another says of it merged in.
func (s EngineSpec) with(over EngineSpec) EngineSpec {
	settings := map[string]string{}
	maps.Copy(settings, s.Settings)
	maps.Copy(settings, over.Settings)
	s.Settings, s.Replicas, s.Disk = settings, cmp.Or(over.Replicas, s.Replicas), s.Disk || over.Disk
	s.Members = cmp.Or(over.Members, s.Members)
	if over.Pooler != nil {
		pooler := map[string]string{}
		maps.Copy(pooler, s.Pooler)
		maps.Copy(pooler, over.Pooler)
		s.Pooler = pooler
	}
	return s
}

// Runs says whether a variant runs at a level.
func (l Level) Runs(variant string) bool {
	return l.Variants == nil || slices.Contains(l.Variants, variant)
}
