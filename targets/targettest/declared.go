package targettest

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"shakedown/bench"
)

// Names become file names, labels, flags and anchors, so they are plain.
var (
	patternName = regexp.MustCompile(`^[a-z0-9-]+/[a-z0-9-]+$`)
	wordName    = regexp.MustCompile(`^[a-zA-Z0-9][a-zA-Z0-9 ._+%×:=-]*$`)
	slugName    = regexp.MustCompile(`^[a-z0-9-]+$`)
)

// declared are the promises that need nothing to run: what the pattern says about itself fits together.
func declared(p bench.Pattern, others ...bench.Pattern) []promise {
	known := map[string]bool{} // claims that a check may decide
	for _, o := range append(others, p) {
		for _, c := range o.Claims {
			known[c.ID] = true
		}
	}
	static := func(name string, check func() error) promise {
		return promise{name, func(context.Context) error { return check() }}
	}
	list := make([]promise, 0, 3+len(p.Experiments))
	list = append(list,
		static("the pattern is described", func() error { return described(p) }),
		static("claims are unique and well-formed", func() error { return claims(p) }),
		static("experiment names are unique", func() error {
			return unique("experiments", p.Experiments, func(e bench.Experiment) string { return e.Name })
		}),
	)
	for _, e := range p.Experiments {
		list = append(list, static("the experiment "+e.Name+" is consistent", func() error { return consistent(p, e, known) }))
	}
	return list
}

func described(p bench.Pattern) error {
	var errs []error
	if !patternName.MatchString(p.Name) {
		errs = append(errs, fmt.Errorf("the name %q is not of the form group/pattern", p.Name))
	}
	for what, text := range map[string]string{"title": p.Title, "summary": p.Summary} {
		if strings.TrimSpace(text) == "" {
			errs = append(errs, fmt.Errorf("it has no %s", what))
		}
	}
	if len(p.Experiments) == 0 && len(p.Claims) == 0 {
		errs = append(errs, errors.New("it has no experiment and no claim"))
	}
	for name, role := range p.Roles {
		if role.New == nil {
			errs = append(errs, fmt.Errorf("the role %s has no New", name))
		}
	}
	loaded := slices.ContainsFunc(p.Experiments, func(e bench.Experiment) bool { return !e.Probes() })
	if loaded && p.Roles[bench.ServiceRole].New == nil {
		errs = append(errs, fmt.Errorf("it has no role %q for load to drive", bench.ServiceRole))
	}
	return errors.Join(errs...)
}

func claims(p bench.Pattern) error {
	errs := []error{unique("claims", p.Claims, func(c bench.Claim) string { return c.ID })}
	id := regexp.MustCompile("^" + regexp.QuoteMeta(p.Name) + "#[0-9]+[a-z]?$")
	for _, c := range p.Claims {
		if !id.MatchString(c.ID) {
			errs = append(errs, fmt.Errorf("the id of claim %q is not of the form %s#1", c.ID, p.Name))
		}
		if strings.TrimSpace(c.Text) == "" {
			errs = append(errs, fmt.Errorf("claim %s says nothing", c.ID))
		}
		if (c.Expect == bench.DependsOn) != (c.On != "") {
			errs = append(errs, fmt.Errorf("claim %s: On names a condition exactly when it is expected to depend on one", c.ID))
		}
	}
	return errors.Join(errs...)
}

func unique[T any](what string, list []T, name func(T) string) error {
	seen := map[string]bool{}
	var errs []error
	for _, item := range list {
		if seen[name(item)] {
			errs = append(errs, fmt.Errorf("two %s are called %q", what, name(item)))
		}
		seen[name(item)] = true
	}
	return errors.Join(errs...)
}

// consistent says which parts of an experiment refer to what is not there, or could never run.
func consistent(p bench.Pattern, e bench.Experiment, known map[string]bool) error {
	var errs []error
	bad := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	if slug, ok := strings.CutPrefix(e.Name, p.Name+"/"); !ok || !slugName.MatchString(slug) {
		bad("the name %q is not of the form %s/question", e.Name, p.Name)
	}
	if strings.TrimSpace(e.Question) == "" {
		bad("it asks no question")
	}
	if len(e.Variants) == 0 {
		bad("it has no variant, and so no control")
	}
	if (e.Factor == "") != (len(e.Levels) == 0) {
		bad("it has %d levels of the factor %q; levels need a factor's name and a factor needs levels", len(e.Levels), e.Factor)
	}
	errs = append(errs,
		unique("variants", e.Variants, func(v bench.Variant) string { return v.Name }),
		unique("levels", e.Levels, func(l bench.Level) string { return l.Name }))
	for _, v := range e.Variants {
		if !wordName.MatchString(v.Name) {
			bad("the variant's name %q is not plain", v.Name)
		}
	}
	for _, b := range e.Backends {
		if _, ok := p.Roles[b.Role]; !ok || b.Role == bench.ServiceRole {
			bad("the backend %q is not a further role of the pattern", b.Role)
		}
	}
	errs = append(errs, asked(p, e))
	for _, f := range e.Network {
		if err := f.Validate(); err != nil {
			bad("its network: %w", err)
		}
	}
	for _, l := range e.Levels {
		errs = append(errs, levelFits(e, l))
	}
	for _, c := range e.Columns {
		errs = append(errs, wrap("column "+c.Title, asks(e, c.Of)))
	}
	for i, c := range e.Checks {
		errs = append(errs, wrap(fmt.Sprintf("check %d (%s)", i, c.Text), checkFits(e, c, known)))
	}
	return errors.Join(errs...)
}

// asked says what is wrong with what the trials do: their load, or their probe.
func asked(p bench.Pattern, e bench.Experiment) error {
	if !e.Probes() {
		return errors.Join(phases("its phases", e, e.Phases), e.Workload.Validate())
	}
	if p.Probes[e.Probe].Run == nil {
		return fmt.Errorf("the pattern has no probe %q", e.Probe)
	}
	return e.Validate()
}

func wrap(at string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", at, err)
}

func levelFits(e bench.Experiment, l bench.Level) error {
	var errs []error
	if !wordName.MatchString(l.Name) {
		errs = append(errs, fmt.Errorf("the level's name %q is not plain", l.Name))
	}
	for _, name := range l.Variants {
		if !hasVariant(e, name) {
			errs = append(errs, fmt.Errorf("there is no variant %q", name))
		}
	}
	if l.Workload != nil {
		errs = append(errs, l.Workload.Validate())
	}
	if l.Phases != nil {
		errs = append(errs, phases("its phases", e, l.Phases))
	}
	for _, f := range l.Network {
		errs = append(errs, f.Validate())
	}
	return wrap("level "+l.Name, errors.Join(errs...))
}

func phases(what string, e bench.Experiment, list []bench.Phase) error {
	errs := []error{unique("phases", list, func(p bench.Phase) string { return p.Name })}
	if !slices.ContainsFunc(list, func(p bench.Phase) bool { return p.Judged }) {
		errs = append(errs, fmt.Errorf("none of %s is judged, so nothing could be said", what))
	}
	for _, p := range list {
		if p.For <= 0 || p.Quick < 0 {
			errs = append(errs, fmt.Errorf("phase %s lasts %v (quick: %v)", p.Name, p.For, p.Quick))
		}
		if (p.Rate.OfCapacity != 0 || p.Peak.OfCapacity != 0) && e.Capacity == nil {
			errs = append(errs, fmt.Errorf("phase %s has a rate relative to a capacity that nothing measures", p.Name))
		}
		for _, f := range p.AllFaults() {
			errs = append(errs, wrap("phase "+p.Name, f.Validate()))
		}
	}
	return errors.Join(errs...)
}

func checkFits(e bench.Experiment, c bench.Check, known map[string]bool) error {
	var errs []error
	if !known[c.Claim] {
		errs = append(errs, fmt.Errorf("there is no claim %q", c.Claim))
	}
	if strings.TrimSpace(c.Text) == "" {
		errs = append(errs, errors.New("it says nothing"))
	}
	if c.By != bench.Ratio && c.By != bench.Difference {
		errs = append(errs, fmt.Errorf("it compares by %q", c.By))
	}
	if c.Rel == bench.Equal && c.Band <= 0 {
		errs = append(errs, errors.New("it wants equality without a band; measured numbers are never equal"))
	}
	errs = append(errs, asks(e, c.Of))
	if c.Versus != nil {
		errs = append(errs, wrap("versus", asks(e, *c.Versus)))
	}
	return errors.Join(errs...)
}

// asks says whether all that a query names is there to be asked about.
func asks(e bench.Experiment, q bench.Query) error {
	var errs []error
	if q.Metric == "" {
		errs = append(errs, errors.New("it asks for no metric"))
	}
	if q.Variant != "" && !hasVariant(e, q.Variant) {
		errs = append(errs, fmt.Errorf("there is no variant %q", q.Variant))
	}
	if q.Level != "" && !slices.ContainsFunc(e.Levels, func(l bench.Level) bool { return l.Name == q.Level }) {
		errs = append(errs, fmt.Errorf("there is no level %q", q.Level))
	}
	if q.Phase != "" && !hasPhase(e, q.Phase) {
		errs = append(errs, fmt.Errorf("there is no phase %q", q.Phase))
	}
	if q.Op != "" && !hasOp(e, q.Op) {
		errs = append(errs, fmt.Errorf("there is no operation %q", q.Op))
	}
	if q.Tail < 0 || q.Tail > 1 {
		errs = append(errs, fmt.Errorf("its tail %v is not a fraction", q.Tail))
	}
	return errors.Join(errs...)
}

func hasVariant(e bench.Experiment, name string) bool {
	return slices.ContainsFunc(e.Variants, func(v bench.Variant) bool { return v.Name == name })
}

func hasPhase(e bench.Experiment, name string) bool {
	list := slices.Clone(e.Phases)
	for _, l := range e.Levels {
		list = append(list, l.Phases...)
	}
	return slices.ContainsFunc(list, func(p bench.Phase) bool { return p.Name == name })
}

func hasOp(e bench.Experiment, name string) bool {
	if _, ok := e.Workload.OpIndex(name); ok {
		return true
	}
	return slices.ContainsFunc(e.Levels, func(l bench.Level) bool {
		if l.Workload == nil {
			return false
		}
		_, ok := l.Workload.OpIndex(name)
		return ok
	})
}
