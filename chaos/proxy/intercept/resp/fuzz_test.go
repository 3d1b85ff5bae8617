package resp

import (
	"testing"

	"shakedown/chaos"
	"shakedown/chaos/proxy/intercept"
	"shakedown/chaos/proxy/intercept/intercepttest"
	"shakedown/internal/units"
)

func FuzzAConnectionWithoutRulesIsPassedAsItIs(f *testing.F) { intercepttest.FuzzTransparent(f, New) }

func FuzzWhereBytesAreCutChangesNothing(f *testing.F) {
	intercepttest.FuzzCuts(f, New, []chaos.Rule{
		{Redis: &chaos.RedisRule{Error: "OOM {slot}", Command: "@write,EXEC"}},
		{Redis: &chaos.RedisRule{Error: "BUSY", Key: "[a-m]*"}},
		{Redis: &chaos.RedisRule{Delay: units.Millisecond, Command: "G*"}},
	}, waitLimit+argsKept*argLimit+answerLimit*64+(64<<10), kept)
}

// kept is how many bytes a filter keeps, about.
func kept(of intercept.Filter) int {
	f := of.(*filter)
	n := f.client.Held() + f.server.Held() + len(f.client.arg) + 9*len(f.server.stack)
	for _, a := range f.client.args {
		n += len(a)
	}
	for _, a := range f.answers {
		n += len(a.text) + 40
	}
	return n
}
