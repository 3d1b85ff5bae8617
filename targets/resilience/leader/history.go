package leader

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"shakedown/bench"
	"shakedown/bench/check/leadership"
	"shakedown/targets/serve"
)

// The kinds of lines of an instance's history, and what became of an act.
const (
	kindLease   = "lease"
	kindRelease = "release"
	kindAct     = "act"

	saidTaken    = "taken"
	saidRejected = "rejected"
	saidUnknown  = "unknown" // its answer never came
	saidDropped  = "dropped" // it was not asked for
)

func said(err error) string {
	switch {
	case err == nil:
		return saidTaken
	case errors.Is(err, errRejected):
		return saidRejected
	default:
		return saidUnknown
	}
}

// line is what an instance records of itself. Times are those of the machine's monotonic clock.
type line struct {
	Kind   string        `json:"kind"`
	Holder string        `json:"holder"`
	Lease  string        `json:"lease"`
	Term   int64         `json:"term,omitempty"`
	Step   int64         `json:"step,omitempty"`
	Start  time.Duration `json:"start_ns,omitempty"` // of the piece of work
	Call   time.Duration `json:"call_ns,omitempty"`
	Return time.Duration `json:"return_ns,omitempty"`
	Said   string        `json:"said,omitempty"`
}

func (s *service) record(l line) {
	l.Holder = s.server.Env().Name()
	s.server.Record(l)
}

// taken is an act that the resource has.
type taken struct {
	seq   int64
	lease string
	step  int64
}

// stored reads what the resource has taken, in its order.
func stored(ctx context.Context, env bench.Env) (acts []taken, err error) {
	err = withPostgres(ctx, env, func(c *pgx.Conn) error {
		rows, err := c.Query(ctx, `SELECT seq, lease, step FROM shakedown_leader_act ORDER BY seq`)
		if err != nil {
			return err
		}
		acts, err = pgx.CollectRows(rows, func(r pgx.CollectableRow) (t taken, err error) {
			return t, r.Scan(&t.seq, &t.lease, &t.step)
		})
		return err
	})
	return acts, err
}

// told puts together what instances have recorded and what the resource has. An act that no instance has recorded, because it was killed
// before it could, was asked for at some time after its lease was granted.
func told(lines []line, acts []taken) leadership.History {
	type key struct {
		lease string
		step  int64
	}
	var h leadership.History
	at := map[string]int{} // of a lease, in h.Leases
	recorded := map[key]line{}
	slices.SortStableFunc(lines, func(a, b line) int { return cmp.Compare(a.Call, b.Call) })
	for _, l := range lines {
		switch l.Kind {
		case kindLease:
			at[l.Lease] = len(h.Leases)
			h.Leases = append(h.Leases, leadership.Lease{ID: l.Lease, Holder: l.Holder, Term: l.Term, Call: l.Call, Return: l.Return})
		case kindAct:
			recorded[key{l.Lease, l.Step}] = l
			h.Sections = append(h.Sections, leadership.Section{Lease: l.Lease, Start: l.Start, End: l.Return})
		}
	}
	for _, l := range lines {
		if i, ok := at[l.Lease]; ok && l.Kind == kindRelease {
			h.Leases[i].Released = l.Call
		}
	}
	for _, a := range acts {
		act := leadership.Act{Lease: a.lease, Seq: a.seq, Return: leadership.Never}
		if l, ok := recorded[key{a.lease, a.step}]; ok {
			act.Call = l.Call
			if l.Said == saidTaken {
				act.Return = l.Return
			}
		} else if i, ok := at[a.lease]; ok {
			act.Call = h.Leases[i].Return
		}
		h.Acts = append(h.Acts, act)
	}
	return h
}

// The numbers of an audit of leaders, beside bench.AuditViolations, which is stale and unheld together.
const (
	auditStale      = "stale"      // acts that the resource took of an old leader after one of a newer
	auditLate       = "late"       // acts that were asked for after the role had been given to another
	auditLateS      = "late_s"     // how long it had been another's, at most
	auditOverlaps   = "overlaps"   // pieces of work during which another leader worked too
	auditTerms      = "terms"      // how often the role was given
	auditReused     = "reused"     // times that a token did not grow
	auditUnrecorded = "unrecorded" // grants by etcd that its own history does not have as the only one at that time
	auditRejected   = "rejected"   // acts that the resource turned away
	auditOpen       = "open"       // searches for an order that explains the history which were not finished
)

// audit judges the history of the trial.
func audit(ctx context.Context, env bench.Env, raw json.RawMessage, _ []bench.Sample) (bench.Audit, error) {
	config, err := serve.Decode[Config](raw)
	if err != nil {
		return bench.Audit{}, err
	}
	lines, err := bench.ReadHistory[line](env)
	if err != nil {
		return bench.Audit{}, err
	}
	acts, err := stored(ctx, env)
	if err != nil {
		return bench.Audit{}, fmt.Errorf("reading the acts: %w", err)
	}
	j, err := leadership.Judge(told(lines, acts), leadership.Options{})
	if err != nil {
		return bench.Audit{}, err
	}
	numbers := map[string]float64{
		auditStale: float64(j.Stale), auditLate: float64(j.Late), auditLateS: j.LateFor.Seconds(), auditOverlaps: float64(j.Overlaps),
		auditTerms: float64(j.Leases), auditReused: float64(j.Reused), auditRejected: 0, auditOpen: 0,
		bench.AuditViolations: float64(j.Stale + j.Unheld),
	}
	for _, l := range lines {
		if l.Said == saidRejected {
			numbers[auditRejected]++
		}
	}
	if config.Store == storeEtcd {
		if numbers[auditUnrecorded], err = unrecorded(ctx, env, lines); err != nil {
			return bench.Audit{}, fmt.Errorf("reading etcd's history: %w", err)
		}
	}
	// The checker of linearizability must come to what was counted; where it does not, one of the two is wrong.
	if wrong := j.Stale+j.Unheld > 0; j.Resource != leadership.Open && wrong != (j.Resource == leadership.Unexplained) {
		return bench.Audit{}, fmt.Errorf("the judge contradicts itself: %d stale acts and %d in no lease, and yet the history is %s", j.Stale, j.Unheld, j.Resource)
	}
	for _, v := range []leadership.Verdict{j.Role, j.Resource} {
		if v == leadership.Open {
			numbers[auditOpen]++
		}
	}
	return bench.Audit{Numbers: numbers, Of: j.Acts, What: "acts", Examples: j.Examples}, nil
}
