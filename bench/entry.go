package bench

import (
	"bytes"
	"encoding/json"
	"fmt"

	"shakedown/chaos"
	"shakedown/internal/units"
)

// An Entry of a phase's schedule puts faults in force at times of its own. Package schedule says when, from the trial's seed.
type Entry struct {
	// Name is what After refers to.
	Name string `json:"name,omitempty"`
	// Faults take effect in this order, and are healed in the reverse one.
	Faults chaos.Faults `json:"faults"`
	// At is when they first take effect, from the start of the phase.
	At Bounds `json:"at,omitzero"`
	// For is how long they stay; until the phase ends when it is left out.
	For Bounds `json:"for,omitzero"`
	// Every is the time from one beginning to the next. Left out, there is one.
	Every Bounds `json:"every,omitzero"`
	// Times bounds how often they take effect; with Every and without Times, as often as the phase allows.
	Times int `json:"times,omitempty"`
	// Ramp changes a field of the only fault in steps.
	Ramp *FieldRamp `json:"ramp,omitempty"`
	// After names another entry of the phase. Each time that one has landed, this one takes effect, At later, and is healed
	// before it.
	After string `json:"after,omitempty"`
}

// A FieldRamp takes a numeric field of a fault from one value to another in steps of equal length. Each step is an injection of
// its own: it is proved and healed for itself.
type FieldRamp struct {
	// Field is the field's name as it is written, "delay"; within a field, "rule.delay".
	Field string `json:"field"`
	// From and To are its values at the first and at the last step: numbers, or durations such as "20ms".
	From any `json:"from"`
	To   any `json:"to"`
	// Steps is how many there are, 2 at least.
	Steps int `json:"steps"`
	// Over is how long they take together; the last value then stays. Left out, they take as long as the entry is in force.
	Over units.Duration `json:"over,omitempty"`
}

// Bounds are a time, or those between which the seed draws one. It is written "2s", or {from: 1s, to: 3s}.
type Bounds struct {
	From, To units.Duration
}

// Exactly is a time that is not drawn.
func Exactly(d units.Duration) Bounds { return Bounds{d, d} }

func (b Bounds) String() string {
	if b.From == b.To {
		return b.From.String()
	}
	return b.From.String() + " to " + b.To.String()
}

// drawn is how Bounds that differ are written.
type drawn struct {
	From units.Duration `json:"from"`
	To   units.Duration `json:"to"`
}

// MarshalJSON writes the shorter form where it says all.
func (b Bounds) MarshalJSON() ([]byte, error) {
	if b.From == b.To {
		return json.Marshal(b.From)
	}
	return json.Marshal(drawn(b))
}

// UnmarshalJSON reads both forms.
func (b *Bounds) UnmarshalJSON(raw []byte) error {
	if !bytes.HasPrefix(raw, []byte("{")) {
		var d units.Duration
		if err := json.Unmarshal(raw, &d); err != nil {
			return fmt.Errorf("%s is no time; write 2s, or from and to", raw)
		}
		*b = Exactly(d)
		return nil
	}
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.DisallowUnknownFields()
	return dec.Decode((*drawn)(b))
}

// An Abort says when a trial is given up before its end: its faults are healed and what it recorded is kept, but not
// judged. It keeps an experiment that got out of hand from going on, for hours on somebody's own server.
type Abort struct {
	// Goodput is the least share of scheduled arrivals that must be answered within the SLO over any Window within a phase.
	Goodput float64        `json:"goodput,omitempty"`
	Window  units.Duration `json:"window,omitempty"`
	// Deadline is how long the trial may take from its first arrival on, or the phase from its start, faults healed.
	Deadline units.Duration `json:"deadline,omitempty"`
}
