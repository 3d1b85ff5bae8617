package bench

import (
	"maps"
	"strings"
	"testing"
	"time"
)

func TestEveryWriteIsAccountedFor(t *testing.T) {
	at := func(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }
	samples := []Sample{
		{Key: 1, Value: 11, Outcome: OK, Done: at(1)},
		{Key: 2, Value: 12, Outcome: OK, Done: at(2)},
		{Key: 3, Value: 13, Outcome: OK, Done: at(3.5)},
		{Key: 4, Value: 14, Outcome: Degraded, Done: at(4)},
		{Key: 5, Outcome: Unsure, Done: at(5)},
		{Key: 6, Outcome: Unsure, Done: at(5)},
		{Key: 7, Outcome: Failed, Done: at(5)},
		{Key: 8, Outcome: Refused, Done: at(6)},
		{Key: 9, Outcome: Unsent},
		{Key: 10, Value: 20, Outcome: OK, Done: at(7)},
		{Key: 1, Value: 99, Outcome: OK, Op: 1, Done: at(1)}, // another operation
	}
	stored := map[int64]Stored{1: {Value: 11}, 4: {Value: 15}, 5: {Value: 1}, 8: {Value: 18}, 9: {Value: 1}, 10: {Value: 20, Times: 2}}
	a := AccountForWrites(samples, 0, stored)
	want := map[string]float64{
		AuditAcked: 5, AuditLost: 2, AuditLostS: 1.5, AuditChanged: 1, AuditDoubled: 1, AuditPhantom: 1, AuditUnsure: 2, AuditLanded: 1,
	}
	if !maps.Equal(a.Numbers, want) || a.Of != 5 {
		t.Errorf("accounted %v of %d, want %v of 5", a.Numbers, a.Of, want)
	}
	text := strings.Join(a.Examples, "\n")
	for _, example := range []string{
		"lost: key 2, value 12, acknowledged at 2s", "lost: key 3, value 13, acknowledged at 3.5s", "changed: key 4", "doubled: key 10", "phantom: key 8",
	} {
		if !strings.Contains(text, example) {
			t.Errorf("no example %q in\n%s", example, text)
		}
	}
}

func TestTheLastLostWriteIsAmongTheExamples(t *testing.T) {
	var samples []Sample
	for i := range int64(100) {
		samples = append(samples, Sample{Key: i, Value: i, Outcome: OK, Done: time.Duration(100-i) * time.Second}) // out of order
	}
	a := AccountForWrites(samples, 0, nil)
	if n := len(a.Examples); n != auditExamples || !strings.Contains(a.Examples[n-1], "key 0,") {
		t.Errorf("%q", a.Examples)
	}
	if a.Numbers[AuditLost] != 100 || a.Numbers[AuditLostS] != 99 {
		t.Errorf("%v", a.Numbers)
	}
}

func TestNothingIsAccountedForWhereNothingWasWritten(t *testing.T) {
	a := AccountForWrites(nil, 0, map[int64]Stored{1: {}})
	if a.Of != 0 || len(a.Numbers) == 0 || len(a.Examples) != 0 {
		t.Errorf("%+v", a)
	}
}
