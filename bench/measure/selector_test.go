package measure

import (
	"reflect"
	"testing"

	"shakedown/bench/record"
)

func TestSelectors(t *testing.T) {
	for text, want := range map[string]Selector{
		`up`:                    {Metric: "up"},
		`a:b_total{x="1"}`:      {"a:b_total", map[string]string{"x": "1"}},
		`up{a="x,y}",b="\"\\"}`: {"up", map[string]string{"a": "x,y}", "b": `"\`}},
	} {
		got, err := ParseSelector(text)
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %+v, %v", text, got, err)
		}
	}
	for _, text := range []string{
		``, `1up`, `{a="x"}`, `up{}`, `up{`, `up}`, `up{a}`, `up{a=}`, `up{a="x"`, `up{a="x",}`, `up{a="x"}b`, `up{a="x" }`, `up {a="x"}`,
		`up{a=~"x"}`, `up{a!="x"}`, `up{a="x",a="y"}`, `up{a='x'}`, `up{a=x}`, "up{a=`x`}", `up{1a="x"}`, `up{a="\q"}`, `up{a="x"b="y"}`,
	} {
		if got, err := ParseSelector(text); err == nil {
			t.Errorf("%s: accepted as %+v", text, got)
		}
	}
}

func TestASelectorAsksForAllItsLabels(t *testing.T) {
	s := Selector{"up", map[string]string{"job": "x"}}
	for _, test := range []struct {
		series record.Series
		want   bool
	}{
		{record.Series{Name: "up", Labels: map[string]string{"job": "x", "instance": "0"}}, true},
		{record.Series{Name: "up", Labels: map[string]string{"job": "y"}}, false},
		{record.Series{Name: "up"}, false},
		{record.Series{Name: "down", Labels: map[string]string{"job": "x"}}, false},
	} {
		if got := s.Matches(test.series); got != test.want {
			t.Errorf("%+v: %v", test.series, got)
		}
	}
}

func FuzzParseSelector(f *testing.F) {
	for _, seed := range []string{`up`, `up{a="b"}`, `up{a="b",c="\n\"\\"}`, `up{`, `a:b{_x="☃"}`, "up{a=\"\xff\"}"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		s, err := ParseSelector(text)
		if err != nil {
			return
		}
		again, err := ParseSelector(s.String())
		if err != nil || !reflect.DeepEqual(s, again) {
			t.Fatalf("%q is written as %q, which reads as %+v, %v", text, s, again, err)
		}
	})
}
