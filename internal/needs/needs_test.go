package needs

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"shakedown/chaos"
)

// needy is a fault that only its needs matter of.
type needy struct {
	chaos.Fault
	needs []chaos.Need
}

func (n needy) Needs() []chaos.Need { return n.needs }

func TestEveryNeedOfEveryFaultCanBeLookedFor(t *testing.T) {
	for _, kind := range chaos.Kinds() {
		f, ok := chaos.New(kind)
		if !ok {
			t.Fatalf("there is no fault %q", kind)
		}
		for _, n := range chaos.NeedsOf(f) {
			if !slices.Contains(All(), n) {
				t.Errorf("%s needs %q, which nobody knows how to look for", kind, n)
			}
		}
	}
}

func TestALookSaysWhatThereIsOrWhyNot(t *testing.T) {
	for _, n := range All() {
		found, err := Look(n)
		switch {
		case err == nil && found == "":
			t.Errorf("%s: nothing is said of what is there", n)
		case err != nil && (found != "" || strings.Contains(err.Error(), "\n")):
			t.Errorf("%s: want one line, got %q and %v", n, found, err)
		}
	}
}

func TestTheFirstNeedThatCannotBeMetIsNamed(t *testing.T) {
	defer func(was []need) { all = was }(all)
	all = []need{
		{"air", func() (string, error) { return "yes", nil }},
		{"wings", func() (string, error) { return "", errors.New("none; walk") }},
	}
	for _, tc := range []struct {
		needs []chaos.Need
		want  string
	}{
		{nil, ""},
		{[]chaos.Need{"air"}, ""},
		{[]chaos.Need{"air", "wings", "legs"}, "it needs wings: none; walk"},
		{[]chaos.Need{"legs"}, `it needs legs: nobody knows how to look for "legs"`},
	} {
		got := ""
		if err := Check(needy{needs: tc.needs}); err != nil {
			got = err.Error()
		}
		if got != tc.want {
			t.Errorf("%q: %q, want %q", tc.needs, got, tc.want)
		}
	}
}
