package bench

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math"
	"strings"
	"time"

	"shakedown/chaos"
	"shakedown/internal/units"
)

// At is the fault with the field at its value of a step, which counts from 0. It is the fault's own Validate that says
// whether the value will do.
func (r FieldRamp) At(f chaos.Fault, step int) (chaos.Fault, error) {
	value, err := r.value(step)
	if err != nil {
		return nil, err
	}
	raw, err := json.Marshal(chaos.Faults{f})
	if err != nil {
		return nil, err
	}
	var written []map[string]any
	if err := json.Unmarshal(raw, &written); err != nil {
		return nil, err
	}
	fault, err := read(written[0], r.Field, value)
	if n, isNumber := value.(float64); err != nil && isNumber && n != math.Trunc(n) {
		fault, err = read(written[0], r.Field, math.Round(n)) // an integral field
	}
	if err != nil {
		return nil, fmt.Errorf("%s at %v: %w", r.Field, value, err)
	}
	return fault, nil
}

// value is the field's value at a step, as JSON has it.
func (r FieldRamp) value(step int) (any, error) {
	from, fromTime, err := quantity(r.From)
	if err != nil {
		return nil, fmt.Errorf("from: %w", err)
	}
	to, toTime, err := quantity(r.To)
	if err != nil {
		return nil, fmt.Errorf("to: %w", err)
	}
	if fromTime != toTime {
		return nil, fmt.Errorf("from is %v and to is %v; both must be numbers, or both durations", r.From, r.To)
	}
	v := from + (to-from)*float64(step)/float64(max(r.Steps-1, 1))
	if fromTime {
		return time.Duration(math.Round(v)).String(), nil
	}
	return v, nil
}

// quantity is a value as it was written in Go or read from JSON: a number, or a duration in ns.
func quantity(value any) (v float64, isTime bool, err error) {
	raw, err := json.Marshal(value)
	if err != nil {
		return 0, false, err
	}
	if json.Unmarshal(raw, &v) == nil {
		return v, false, nil
	}
	var d units.Duration
	if json.Unmarshal(raw, &d) == nil {
		return float64(d), true, nil
	}
	return 0, false, fmt.Errorf("%s is neither a number nor a duration", raw)
}

// read makes a fault of what was written, with a field, "rule.delay" say, replaced.
func read(written map[string]any, field string, value any) (chaos.Fault, error) {
	if field == "kind" {
		return nil, errors.New("kind is no field")
	}
	raw, err := json.Marshal([]any{replaced(written, strings.Split(field, "."), value)})
	if err != nil {
		return nil, err
	}
	var faults chaos.Faults
	if err := json.Unmarshal(raw, &faults); err != nil {
		return nil, err
	}
	return faults[0], nil
}

// replaced is a copy of the fields with the value at a path.
func replaced(fields map[string]any, path []string, value any) map[string]any {
	c := maps.Clone(fields)
	if c == nil {
		c = map[string]any{}
	}
	if len(path) == 1 {
		c[path[0]] = value
		return c
	}
	inner, _ := fields[path[0]].(map[string]any) // of an absent one, nothing
	c[path[0]] = replaced(inner, path[1:], value)
	return c
}
