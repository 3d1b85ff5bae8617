package bench

import (
	"fmt"
	"math"
	"strconv"
	"strings"

	"shakedown/internal/units"
)

// OpID is the index of an operation in its workload.
type OpID uint8

// A Workload is a mix of HTTP operations. It is data, so that it can be stored, edited and replayed.
type Workload struct {
	Ops []Op `json:"ops"`
	// SLO is the response time within which an answer counts as goodput.
	SLO units.Duration `json:"slo"`
	// Timeout is when the user gives up; the outcome is then Unsure.
	Timeout units.Duration `json:"timeout"`
}

// An Op is one operation of the mix.
type Op struct {
	Name   string         `json:"name"`
	Weight float64        `json:"weight,omitempty"` // relative; 0 means 1
	Method string         `json:"method,omitempty"` // empty: GET
	Path   string         `json:"path"`             // "/item/{key}"
	Keys   Keys           `json:"keys,omitzero"`
	SLO    units.Duration `json:"slo,omitempty"` // 0: the workload's
}

// Keys says how the key of a request is drawn.
type Keys struct {
	Dist string  `json:"dist,omitempty"` // "fixed" (the zero value), "uniform", "zipf", "sequential"
	From int64   `json:"from,omitempty"` // the smallest key
	N    int64   `json:"n,omitempty"`    // how many keys there are
	S    float64 `json:"s,omitempty"`    // exponent of zipf, in (0, 10]
}

// A Request is one arrival's work.
type Request struct {
	Op     OpID
	Method string
	Path   string
	Key    int64
	Header map[string][]string // shared by requests: read only; keys are canonical
	Body   []byte
}

// A Stream draws the requests of one workload. It is pure in (seed, seq): the same seed replays, whatever
// the order in which requests are drawn, and it is safe for concurrent use.
type Stream struct {
	seed uint64
	ops  []Op
	pick Choice
	keys []*KeyDraw
}

// NewStream prepares a stream; it fails where Validate does.
func NewStream(w Workload, seed uint64) (*Stream, error) {
	if err := w.Validate(); err != nil {
		return nil, err
	}
	s := &Stream{seed: seed, ops: w.Ops}
	for _, op := range w.Ops {
		s.pick.Add(op.weight())
		keys, err := op.Keys.Draw()
		if err != nil {
			return nil, err // Validate has seen it
		}
		s.keys = append(s.keys, keys)
	}
	return s, nil
}

// Pick is what arrival seq does, and on which key. It allocates nothing.
func (s *Stream) Pick(seq uint64) (op OpID, key int64) {
	rng := Rand{}
	rng.Seed(s.seed, seq)
	at := s.pick.Of(&rng)
	return OpID(at), s.keys[at].Key(&rng, seq)
}

// Next is the request of arrival seq.
func (s *Stream) Next(seq uint64) Request {
	at, key := s.Pick(seq)
	op := &s.ops[at]
	path := op.Path
	if i := strings.Index(path, "{key}"); i >= 0 {
		path = path[:i] + strconv.FormatInt(key, 10) + path[i+len("{key}"):]
	}
	return Request{Op: at, Method: op.method(), Path: path, Key: key}
}

func (op Op) weight() float64 {
	if op.Weight == 0 {
		return 1
	}
	return op.Weight
}

func (op Op) method() string {
	if op.Method == "" {
		return "GET"
	}
	return op.Method
}

// SLOOf is the response time within which an answer to the operation counts as goodput.
func (w Workload) SLOOf(op OpID) units.Duration {
	if int(op) < len(w.Ops) && w.Ops[op].SLO > 0 {
		return w.Ops[op].SLO
	}
	return w.SLO
}

// OpIndex is the id of the operation with the given name.
func (w Workload) OpIndex(name string) (OpID, bool) {
	for i, op := range w.Ops {
		if op.Name == name {
			return OpID(i), true
		}
	}
	return 0, false
}

// OpNames are the names of the operations, by OpID.
func (w Workload) OpNames() []string {
	names := make([]string, len(w.Ops))
	for i, op := range w.Ops {
		names[i] = op.Name
	}
	return names
}

// Validate says what is wrong with the workload, and where.
func (w Workload) Validate() error {
	if len(w.Ops) == 0 {
		return fmt.Errorf("workload.ops: needs at least one operation")
	}
	if len(w.Ops) > math.MaxUint8 {
		return fmt.Errorf("workload.ops: at most %d operations", math.MaxUint8)
	}
	if w.SLO <= 0 {
		return fmt.Errorf("workload.slo: must be positive, got %v", w.SLO)
	}
	if w.Timeout <= 0 {
		return fmt.Errorf("workload.timeout: must be positive, got %v", w.Timeout)
	}
	for i, op := range w.Ops {
		at := fmt.Sprintf("workload.ops[%d] (%s)", i, op.Name)
		switch {
		case op.Name == "":
			return fmt.Errorf("%s: needs a name", at)
		case !strings.HasPrefix(op.Path, "/"):
			return fmt.Errorf("%s: path must start with /, got %q", at, op.Path)
		case op.Weight < 0 || math.IsNaN(op.Weight) || math.IsInf(op.Weight, 0):
			return fmt.Errorf("%s: weight must be a number ≥ 0, got %v", at, op.Weight)
		}
		if err := op.Keys.Validate(); err != nil {
			return fmt.Errorf("%s: keys: %w", at, err)
		}
	}
	return nil
}

// Validate says what is wrong with how keys are drawn.
func (k Keys) Validate() error {
	switch k.Dist {
	case "", "fixed":
		return nil
	case "uniform", "sequential", "zipf":
		if k.N <= 0 {
			return fmt.Errorf("%s needs n > 0, got %d", k.Dist, k.N)
		}
		if k.Dist == "zipf" && !(k.S > 0 && k.S <= 10) {
			return fmt.Errorf("zipf needs s in (0, 10], got %v", k.S)
		}
		return nil
	default:
		return fmt.Errorf("unknown dist %q; one of fixed, uniform, zipf, sequential", k.Dist)
	}
}
