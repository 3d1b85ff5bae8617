package resp

import (
	"testing"

	"shakedown/chaos"
	"shakedown/chaos/proxy/intercept"
	"shakedown/chaos/proxy/intercept/intercepttest"
	"shakedown/internal/units"
)

func FuzzAConnectionWithoutRulesIsPassedAsItIs(f *testing.F) {
	intercepttest.AddScripts(f)
	f.Fuzz(func(t *testing.T, stored []byte) {
		intercepttest.Transparent(t, intercepttest.Parse(stored), func() intercept.Filter { return New("link").Open(1) })
	})
}

func FuzzWhereBytesAreCutChangesNothing(f *testing.F) {
	intercepttest.AddScripts(f)
	rules := []chaos.RedisRule{
		{Error: "OOM {slot}", Command: "@write,EXEC"}, {Error: "BUSY", Key: "[a-m]*"}, {Delay: units.Millisecond, Command: "G*"},
	}
	f.Fuzz(func(t *testing.T, stored []byte) {
		for _, r := range rules {
			open := func() intercept.Filter {
				in := New("link")
				if err := in.SetRule("r", chaos.Rule{Pick: chaos.Pick{Every: 2}, Redis: &r}); err != nil {
					t.Fatal(err)
				}
				return in.Open(1)
			}
			intercepttest.Same(t, intercepttest.Parse(stored), open, waitLimit+argsKept*argLimit+answerLimit*64+(64<<10), kept)
		}
	})
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
