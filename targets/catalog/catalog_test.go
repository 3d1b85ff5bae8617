package catalog

import (
	"regexp"
	"strings"
	"testing"

	"shakedown/bench"
)

func TestNamesAndClaimsAreWellFormedAndUnique(t *testing.T) {
	pattern := regexp.MustCompile(`^[a-z][a-z0-9-]*/[a-z][a-z0-9-]*$`)
	seen := map[string]bool{}
	once := func(what, name string) {
		t.Helper()
		if seen[name] {
			t.Errorf("%s %s stands twice", what, name)
		}
		seen[name] = true
	}
	for _, p := range Patterns() {
		once("pattern", p.Name)
		if !pattern.MatchString(p.Name) || p.Title == "" || p.Summary == "" {
			t.Errorf("pattern %q needs a name of two parts, a title and a summary", p.Name)
		}
		for _, c := range p.Claims {
			once("claim", c.ID)
			if err := bench.ValidClaim(c); err != nil {
				t.Error(err)
			}
			if !strings.HasPrefix(c.ID, p.Name+"#") {
				t.Errorf("claim %s is listed by %s", c.ID, p.Name)
			}
			if c.Source == "" {
				t.Errorf("claim %s has no source", c.ID)
			}
		}
		for _, e := range p.Experiments {
			once("experiment", e.Name)
			if !strings.HasPrefix(e.Name, p.Name+"/") {
				t.Errorf("experiment %s is listed by %s", e.Name, p.Name)
			}
		}
	}
}

func TestEveryClaimIsDecidedAndEveryCitedClaimIsMade(t *testing.T) {
	decided := map[string]bool{}
	for _, p := range Patterns() {
		for _, e := range p.Experiments {
			claims, err := Claims(e)
			if err != nil {
				t.Error(err)
			}
			if ids := ClaimIDs(e); len(ids) == 0 || len(ids) != len(claims) {
				t.Errorf("%s cites %v and gets %d claims", e.Name, ids, len(claims))
			}
			for _, c := range claims {
				decided[c.ID] = true
			}
		}
	}
	for _, p := range Patterns() {
		for _, c := range p.Claims {
			if !decided[c.ID] {
				t.Errorf("no experiment decides claim %s", c.ID)
			}
		}
	}
}

func TestClaimsOfAnotherCatalogAreRefused(t *testing.T) {
	if _, err := Claims(bench.Experiment{Name: "a/b/c", Checks: []bench.Check{{Claim: "no/such#1"}}}); err == nil ||
		!strings.Contains(err.Error(), "no/such#1") {
		t.Errorf("got %v", err)
	}
}

func TestLookup(t *testing.T) {
	for _, p := range Patterns() {
		if got, err := Pattern(p.Name); err != nil || got.Name != p.Name {
			t.Errorf("%s: %s, %v", p.Name, got.Name, err)
		}
		for _, e := range p.Experiments {
			q, got, err := Experiment(e.Name)
			if err != nil || got.Name != e.Name || q.Name != p.Name {
				t.Errorf("%s: %s of %s, %v", e.Name, got.Name, q.Name, err)
			}
			if q, err := PatternOf(e.Name); err != nil || q.Name != p.Name {
				t.Errorf("pattern of %s: %s, %v", e.Name, q.Name, err)
			}
		}
	}
	for _, bad := range []string{"", "x", "cache/aside", "no/such/thing"} {
		if _, _, err := Experiment(bad); err == nil {
			t.Errorf("there should be no experiment %q", bad)
		}
	}
	if _, err := PatternOf("word"); err == nil {
		t.Error("a name of one part has no pattern")
	}
}

func TestDidYouMean(t *testing.T) {
	names := []string{"cache/aside/stampede", "db/pooling/size"}
	for name, want := range map[string]string{
		"cache/aside/stampde": ", did you mean cache/aside/stampede?",
		"db/pool/size":        ", did you mean db/pooling/size?",
		"DB/pooling/size":     ", did you mean db/pooling/size?",
		"something/else":      "",
		"":                    "",
	} {
		if got := didYouMean(name, names); got != want {
			t.Errorf("%q: %q, want %q", name, got, want)
		}
	}
}

func TestDistance(t *testing.T) {
	for _, tc := range []struct {
		a, b string
		want int
	}{
		{"", "", 0},
		{"abc", "abc", 0},
		{"", "abc", 3},
		{"kitten", "sitting", 3},
		{"flaw", "lawn", 2},
	} {
		if got, back := distance(tc.a, tc.b), distance(tc.b, tc.a); got != tc.want || back != tc.want {
			t.Errorf("%s and %s: %d and %d, want %d", tc.a, tc.b, got, back, tc.want)
		}
	}
}
