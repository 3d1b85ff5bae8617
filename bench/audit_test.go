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

func TestAJobIsOvertakenByOneThatWasSentAfterItsAcknowledgement(t *testing.T) {
	ms := func(n int) time.Duration { return time.Duration(n) * time.Millisecond }
	samples := []Sample{
		{Key: 1, Outcome: OK, Sent: ms(0), Done: ms(5)},
		{Key: 2, Outcome: OK, Sent: ms(3), Done: ms(8)}, // under way together with 1: they have no order
		{Key: 3, Outcome: OK, Sent: ms(10), Done: ms(15)},
		{Key: 4, Outcome: OK, Sent: ms(20), Done: ms(25)},
		{Key: 5, Outcome: Unsure, Sent: ms(21), Done: ms(90)},      // nobody was told when it was accepted
		{Key: 6, Op: 1, Outcome: OK, Sent: ms(30), Done: ms(31)},   // another operation
		{Key: 7, Outcome: Refused, Sent: ms(200), Done: ms(201)},   // it has no effect, or a wrong one
		{Key: 8, Outcome: OK, Sent: ms(300), Done: ms(301)},        // it never happened
		{Key: 9, Outcome: Degraded, Sent: ms(400), Done: ms(4000)}, // acknowledged late, and so behind nobody
	}
	for name, tc := range map[string]struct {
		effects            []int64
		ordered, overtaken float64
	}{
		"in order":                         {[]int64{1, 2, 3, 4}, 4, 0},
		"concurrent ones swapped":          {[]int64{2, 1, 3, 4}, 4, 0},
		"one overtaken":                    {[]int64{1, 3, 2, 4}, 4, 1},
		"all overtaken by the last":        {[]int64{4, 1, 2, 3}, 4, 3},
		"a repetition is no place":         {[]int64{1, 2, 3, 1, 4, 2}, 4, 0},
		"those without an acknowledgement": {[]int64{5, 7, 6, 1, 2, 99}, 2, 0},
		"late acknowledgement":             {[]int64{1, 9, 4}, 3, 1},
		"nothing":                          {nil, 0, 0},
	} {
		a := AccountForOrder(samples, 0, tc.effects)
		if a.Numbers[AuditOrdered] != tc.ordered || a.Numbers[AuditOvertaken] != tc.overtaken || a.Of != int(tc.ordered) {
			t.Errorf("%s: %+v, want %v of %v overtaken", name, a, tc.overtaken, tc.ordered)
		}
		if (len(a.Examples) > 0) != (tc.overtaken > 0) {
			t.Errorf("%s: examples %q", name, a.Examples)
		}
	}
	if a := AccountForOrder(samples, 0, []int64{1, 3, 2}); a.Examples[0] != "overtaken: key 2, acknowledged at 8ms, by key 3, sent at 10ms" {
		t.Errorf("%q", a.Examples)
	}
}

func TestAuditsAddUp(t *testing.T) {
	var a Audit
	a.Add(Audit{Numbers: map[string]float64{"x": 1}, Of: 3, Examples: []string{"e"}})
	a.Add(Audit{Numbers: map[string]float64{"y": 2}, Of: 2})
	if a.Of != 3 || a.Numbers["x"] != 1 || a.Numbers["y"] != 2 || len(a.Examples) != 1 {
		t.Errorf("%+v", a)
	}
}
