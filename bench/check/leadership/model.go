package leadership

import (
	"time"

	"github.com/anishathalye/porcupine"
)

// Verdict says whether an order explains a history.
type Verdict string

// The verdicts. The zero value means that nobody looked.
const (
	Explained   Verdict = "explained"   // there is such an order
	Unexplained Verdict = "unexplained" // there is none
	Open        Verdict = "open"        // the time was over before it was found out
)

type kind uint8

const (
	acquire kind = iota
	release
	act
)

// op is the input of an operation of the model. rank is the lease's place in the order of the grants; seq is an act's place in the
// resource's order, which the resource answers with.
type op struct {
	kind  kind
	lease string
	rank  int
	seq   int64
}

// state is who has the role, and how many acts the resource has taken.
type state struct {
	lease string
	rank  int
	seq   int64
}

// model is a role that one lease has at a time, and a resource that takes acts in a row. A lease that is granted ends the one before,
// which may have expired without anybody's doing. An act is right only in the lease that has the role.
var model = porcupine.Model{
	Init: func() any { return state{rank: -1} },
	Step: func(now, input, _ any) (bool, any) {
		s, in := now.(state), input.(op) //nolint:forcetypeassert // nothing else is put in
		switch in.kind {
		case acquire:
			if in.rank <= s.rank {
				return false, s
			}
			s.lease, s.rank = in.lease, in.rank
		case release:
			if s.lease == in.lease {
				s.lease = ""
			}
		case act:
			if s.lease != in.lease || s.seq+1 != in.seq {
				return false, s
			}
			s.seq++
		}
		return true, s
	},
}

// explain asks whether an order explains the leases and acts. When strict, a lease has the role from its grant on. Otherwise it may
// get it as late as its first act is answered: a resource knows of a leader only what the leader has told it.
func (j *judging) explain(leases []Lease, strict bool) Verdict {
	first := map[string]time.Duration{}
	for _, a := range j.acts {
		if at, ok := first[a.Lease]; !ok || a.Return < at {
			first[a.Lease] = a.Return
		}
	}
	var ops []porcupine.Operation
	add := func(in op, call, end time.Duration) {
		ops = append(ops, porcupine.Operation{Input: in, Call: int64(call), Return: int64(end)})
	}
	for _, l := range leases {
		granted := l.Return
		if !strict {
			at, acted := first[l.ID]
			if !acted {
				continue // it has told the resource nothing
			}
			granted = max(granted, at)
		}
		add(op{kind: acquire, lease: l.ID, rank: j.rank[l.ID]}, l.Call, granted)
		if l.Released > 0 {
			add(op{kind: release, lease: l.ID}, l.Released, Never)
		}
	}
	for _, a := range j.acts {
		add(op{kind: act, lease: a.Lease, seq: a.Seq}, a.Call, a.Return)
	}
	switch porcupine.CheckOperationsTimeout(model, ops, j.Patience) {
	case porcupine.Ok:
		return Explained
	case porcupine.Illegal:
		return Unexplained
	default:
		return Open
	}
}
