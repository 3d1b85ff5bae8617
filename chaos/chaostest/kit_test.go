package chaostest

import (
	"fmt"
	"testing"

	"shakedown/chaos"
)

func TestEveryTwoFaultsOfAStandMeetOnce(t *testing.T) {
	a, b := &Stand{}, &Stand{}
	for n := range 9 {
		var rows []Row
		for i := range n {
			rows = append(rows, Row{Fault: &chaos.Kill{Process: string(rune('a' + i))}, On: a}, Row{Fault: &chaos.Pause{}, On: b})
		}
		met := map[[2]chaos.Fault]int{}
		for i, row := range rows {
			for _, o := range meets(rows, i) {
				if o.On != row.On {
					t.Errorf("%s meets %s of another stand", row.Fault, o.Fault)
				}
				met[[2]chaos.Fault{row.Fault, o.Fault}]++
				met[[2]chaos.Fault{o.Fault, row.Fault}]++
			}
		}
		if len(met) != 2*n*(n-1) && n > 0 {
			t.Errorf("of %d faults on each of 2 stands %d pairs meet", n, len(met))
		}
		for pair, times := range met {
			if times != 1 || pair[0] == pair[1] {
				t.Errorf("%s and %s meet %d times", pair[0], pair[1], times)
			}
		}
	}
}

func TestRowsOfOneStandAreFarApart(t *testing.T) {
	a, b, c := &Stand{Name: "a"}, &Stand{Name: "b"}, &Stand{Name: "c"}
	got := ""
	for _, i := range spread([]Row{{On: a}, {On: a}, {On: a}, {On: b}, {On: c}, {On: c}}) {
		got += fmt.Sprint(i)
	}
	if got != "034152" {
		t.Errorf("the order is %s", got)
	}
}
