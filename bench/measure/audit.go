package measure

import "shakedown/bench"

// audited is a number of the trial's audit. It speaks of the whole trial, whatever the window.
func audited(t *Trial, q bench.Query, _ []window) Value {
	a := t.data.Trial.Audit
	if a == nil {
		return none("the trial was not audited")
	}
	v, ok := a.Numbers[q.Name]
	if !ok {
		return none("the audit did not count %q", q.Name)
	}
	return Value{V: v, N: a.Of, OK: a.Of > 0, Why: nothingAudited(a.Of)}
}

func nothingAudited(of int) string {
	if of > 0 {
		return ""
	}
	return "nothing was there to be accounted for, so nothing could be wrong with it"
}
