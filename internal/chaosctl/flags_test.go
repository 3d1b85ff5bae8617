package chaosctl

import (
	"encoding/json"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/pflag"

	"shakedown/chaos"
	"shakedown/internal/units"
)

func TestFlagsDescribeAFault(t *testing.T) {
	for args, want := range map[string]chaos.Fault{
		"latency --link a --delay 50ms --jitter 5ms --seed 7 --share 0.5": &chaos.Latency{
			Link: "a", Delay: 50 * units.Millisecond, Jitter: 5 * units.Millisecond, Seed: 7, Share: 0.5,
		},
		"latency --link a --law trace --trace 1ms,20ms": &chaos.Latency{
			Link: "a", Law: chaos.Traced, Trace: []units.Duration{units.Millisecond, 20 * units.Millisecond},
		},
		"bandwidth --link a->b --bytes-per-second 1000 --direction upstream": &chaos.Bandwidth{
			Link: "a->b", BytesPerSecond: 1000, Direction: chaos.Upstream,
		},
		"reset --link a": &chaos.Reset{Link: "a"},
	} {
		words := strings.Fields(args)
		set := pflag.NewFlagSet("", pflag.ContinueOnError)
		flags := AddFaultFlags(set, words[0])
		if err := set.Parse(words[1:]); err != nil {
			t.Fatal(err)
		}
		text, err := flags.JSON()
		var got chaos.Faults
		if err == nil {
			err = json.Unmarshal([]byte("["+text+"]"), &got)
		}
		if err != nil || !reflect.DeepEqual(got, chaos.Faults{want}) {
			t.Errorf("%s: %s %+v, %v", args, text, got, err)
		}
	}
}

func TestEveryKindOfALinkHasFlags(t *testing.T) {
	kinds := LinkKinds()
	for _, want := range []string{"latency", "bandwidth", "blackhole", "reset"} {
		if !slices.Contains(kinds, want) {
			t.Errorf("no %s among %q", want, kinds)
		}
	}
	for _, kind := range kinds {
		set := pflag.NewFlagSet("", pflag.ContinueOnError)
		AddFaultFlags(set, kind) // panics when two fields make the same flag
		if set.Lookup("link") == nil || About(kind) == "" {
			t.Errorf("%s: %s", kind, About(kind))
		}
	}
}

func TestValuesAreWrittenAsTheirTypesHaveThem(t *testing.T) {
	for _, tc := range []struct {
		zero        any
		typed, want string // no want: refused
	}{
		{"", `say "hi"`, `"say \"hi\""`},
		{units.Duration(0), "5ms", `"5ms"`},
		{chaos.Direction(""), "upstream", `"upstream"`},
		{0, "-7", "-7"},
		{0, "7.5", ""},
		{uint8(0), "256", ""},
		{uint64(0), "-1", ""},
		{0, "0x10", ""},
		{0.0, "1e-3", "1e-3"},
		{0.0, "Inf", ""},
		{0.0, "much", ""},
		{false, "true", "true"},
		{false, "perhaps", ""},
		{false, "1", ""}, // which JSON would take for a number
		{[]int{}, "1, 2", "[1,2]"},
		{[]string{}, "a,b", `["a","b"]`},
		{[]int{}, "1,x", ""},
		{struct{}{}, `{"a":1}`, `{"a":1}`},
		{struct{}{}, `{`, ""},
	} {
		got, err := encode(reflect.TypeOf(tc.zero), tc.typed)
		if (err != nil) != (tc.want == "") || err == nil && got != tc.want {
			t.Errorf("%q for a %T: %s, %v; want %s", tc.typed, tc.zero, got, err, tc.want)
		}
	}
}
