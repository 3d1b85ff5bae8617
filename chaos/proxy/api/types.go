package api

import (
	"encoding/json"
	"errors"
	"regexp"
	"slices"
	"time"

	"shakedown/chaos"
	"shakedown/chaos/proxy"
	"shakedown/internal/units"
)

// LinkSpec says where a link listens and where it leads.
type LinkSpec = proxy.Spec

// LinkInfo is a link as the API shows it.
type LinkInfo struct {
	LinkSpec
	Addr    string                  `json:"addr"` // what the link listens on
	Effects map[string]chaos.Effect `json:"effects,omitempty"`
	// Since says when each effect came into force, or was last changed.
	Since map[string]time.Time `json:"since,omitempty"`
}

// Hello is the line that the proxy process prints once it listens.
type Hello struct {
	Control string `json:"control"` // "http://127.0.0.1:PORT"
	Token   string `json:"token"`
}

type probeRequest struct {
	GiveUp units.Duration `json:"give_up"`
}

type errorBody struct {
	Error  string `json:"error"`
	Status int    `json:"status"`
}

// FaultInfo is a fault that is in force, or was.
type FaultInfo struct {
	ID    string    `json:"id"`
	Fault Fault     `json:"fault"`
	Text  string    `json:"text"` // the fault in a few words
	Since time.Time `json:"since"`
	// Effects are what it put in force on links.
	Effects []EffectRef `json:"effects,omitempty"`
	// Until is when it heals by itself; zero means never.
	Until  time.Time      `json:"until,omitzero"`
	Landed chaos.Evidence `json:"landed"`
	// Delays are those that chunks of real traffic achieved on its links so far; nil when none was delayed, or it is healed.
	Delays *Delays `json:"delays,omitempty"`
	// Healed is when it was; zero while it is in force.
	Healed time.Time `json:"healed,omitzero"`
	// Met is what it did to real traffic, known once it is healed.
	Met chaos.Evidence `json:"met,omitzero"`
	// Problem is why the last attempt at healing it failed.
	Problem string `json:"problem,omitempty"`
}

// Delays say how a number of delays were asked to be spread, and were.
type Delays struct {
	Count    int64     `json:"count"`
	Asked    Quantiles `json:"asked"`
	Achieved Quantiles `json:"achieved"`
}

// Quantiles are a few figures of a distribution of durations.
type Quantiles struct {
	P50 units.Duration `json:"p50"`
	P99 units.Duration `json:"p99"`
	Max units.Duration `json:"max"`
}

// An EffectRef is an effect on a link.
type EffectRef struct {
	Link string `json:"link"`
	ID   string `json:"id"`
}

// InForce says whether the fault is in force.
func (f FaultInfo) InForce() bool { return f.Healed.IsZero() }

// A Fault is one fault as JSON, {"kind": "latency", …}.
type Fault struct{ chaos.Fault }

// MarshalJSON writes the kind first.
func (f Fault) MarshalJSON() ([]byte, error) {
	list, err := json.Marshal(chaos.Faults{f.Fault})
	if err != nil {
		return nil, err
	}
	return list[1 : len(list)-1], nil
}

// listPlace is what a list says of the place of its first fault.
var listPlace = regexp.MustCompile(`^faults\[0\](?:: | \((\w+)\)(:))`)

// UnmarshalJSON refuses unknown kinds and fields, and what is wrong with their values.
func (f *Fault) UnmarshalJSON(data []byte) error {
	var list chaos.Faults
	if err := json.Unmarshal(slices.Concat([]byte("["), data, []byte("]")), &list); err != nil {
		return errors.New(listPlace.ReplaceAllString(err.Error(), "$1$2"))
	}
	if len(list) != 1 {
		return errors.New("fault is missing")
	}
	f.Fault = list[0]
	return nil
}

// injectRequest asks for a fault, for good or for a time.
type injectRequest struct {
	Fault Fault          `json:"fault"`
	For   units.Duration `json:"for,omitempty"`
}
