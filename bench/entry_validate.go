package bench

import (
	"cmp"
	"errors"
	"fmt"

	"shakedown/internal/units"
)

// validateSchedule says what is wrong with the first bad entry of the phase's schedule. What a ramp makes of a fault is
// package schedule's business.
func (p Phase) validateSchedule() error {
	byName := map[string]Entry{}
	for i, e := range p.Schedule {
		at := fmt.Sprintf("schedule[%d]", i)
		if e.Name != "" {
			at = fmt.Sprintf("schedule[%s]", e.Name)
			if _, twice := byName[e.Name]; twice {
				return fmt.Errorf("schedule: the name %q stands twice", e.Name)
			}
		}
		if err := e.validate(p, byName); err != nil {
			return fmt.Errorf("%s.%w", at, err)
		}
		if e.Name != "" {
			byName[e.Name] = e
		}
	}
	return nil
}

// validate looks at one entry; before are the named ones that stand above it.
func (e Entry) validate(p Phase, before map[string]Entry) error {
	if len(e.Faults) == 0 {
		return errors.New("faults: needs at least one")
	}
	if err := validateFaults(e.Faults); err != nil {
		return err
	}
	for _, s := range []struct {
		name string
		Bounds
	}{{"at", e.At}, {"for", e.For}, {"every", e.Every}} {
		if s.From < 0 || s.To < s.From {
			return fmt.Errorf("%s: is %v; it must not be negative, and from not above to", s.name, s.Bounds)
		}
	}
	switch {
	case e.At.To >= p.For:
		return fmt.Errorf("at: is %v, and the phase lasts %v", e.At, p.For)
	case e.For != Bounds{} && e.For.From == 0:
		return fmt.Errorf("for: is %v; a fault must be in force for some time", e.For)
	case e.Every != Bounds{} && (e.For == Bounds{} || e.For.To >= e.Every.From):
		return fmt.Errorf("for: is %v, and must be set and below every, %v: it cannot be in force twice at once", e.For, e.Every)
	case e.Times < 0 || e.Times > 1 && e.Every == Bounds{}:
		return fmt.Errorf("times: is %d; it must not be negative, and more than once needs every", e.Times)
	}
	return cmp.Or(e.validateAfter(before), e.validateRamp())
}

func (e Entry) validateAfter(before map[string]Entry) error {
	if e.After == "" {
		return nil
	}
	other, ok := before[e.After]
	switch {
	case !ok:
		return fmt.Errorf("after: there is no entry %q above it", e.After)
	case other.Ramp != nil:
		return fmt.Errorf("after: %s is a ramp, which is healed between its steps", e.After)
	case e.Every != Bounds{} || e.Times > 1:
		return fmt.Errorf("every: it takes effect each time that %s does; leave every and times out", e.After)
	}
	return nil
}

func (e Entry) validateRamp() error {
	r := e.Ramp
	switch {
	case r == nil:
		return nil
	case len(e.Faults) != 1:
		return fmt.Errorf("ramp: needs one fault, and there are %d", len(e.Faults))
	case r.Field == "" || r.From == nil || r.To == nil:
		return errors.New("ramp: needs a field, and its values from and to")
	case r.Steps < 2 || r.Steps > 1000:
		return fmt.Errorf("ramp.steps: is %d; it must be from 2 to 1000", r.Steps)
	case r.Over < 0 || e.For != Bounds{} && r.Over > e.For.From:
		return fmt.Errorf("ramp.over: is %v; it must not be negative, and not above for, %v", r.Over, e.For)
	}
	for step := range r.Steps {
		if _, err := r.At(e.Faults[0], step); err != nil {
			return fmt.Errorf("ramp: %w", err)
		}
	}
	return nil
}

func (a *Abort) validate() error {
	switch {
	case a == nil:
		return nil
	case *a == Abort{}:
		return errors.New("abort: needs a goodput or a deadline")
	case !(a.Goodput >= 0 && a.Goodput <= 1):
		return fmt.Errorf("abort.goodput: is %v; it must be from 0 to 1", a.Goodput)
	case a.Goodput > 0 && a.Window < 500*units.Millisecond:
		return fmt.Errorf("abort.window: is %v; a goodput needs a window of at least 500ms", a.Window)
	case a.Goodput == 0 && a.Window != 0:
		return errors.New("abort.window: is of a goodput, and there is none")
	case a.Deadline < 0:
		return fmt.Errorf("abort.deadline: is %v; it must not be negative", a.Deadline)
	}
	return nil
}
