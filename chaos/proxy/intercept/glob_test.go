package intercept_test

import (
	"strings"
	"testing"

	"shakedown/chaos/proxy/intercept"
)

func TestGlobsMatchAsInRedis(t *testing.T) {
	for _, tc := range []struct {
		glob, s string
		want    bool
	}{
		{"", "anything", true},
		{"*", "", true},
		{"a", "a", true},
		{"a", "ab", false},
		{"a*c", "abbbc", true},
		{"a*c", "abbb", false},
		{"*b*b*", "abab", true},
		{"h?llo", "hello", true},
		{"h?llo", "hllo", false},
		{"h[ae]llo", "hallo", true},
		{"h[^e]llo", "hello", false},
		{"h[a-c]llo", "hbllo", true},
		{"h[c-a]llo", "hbllo", true},
		{`h\*llo`, "h*llo", true},
		{`h\*llo`, "hello", false},
		{`[\]]x`, "]x", true},
		{"[a", "a", true},
		{`\`, `\`, true},
		{"/orders/*", "/orders/1/items", true},
		{strings.Repeat("*a", 30) + "b", strings.Repeat("a", 5000), false},
	} {
		if got := intercept.Glob(tc.glob).Match([]byte(tc.s)); got != tc.want {
			t.Errorf("%q on %.20q: %v", tc.glob, tc.s, got)
		}
	}
}

func FuzzAGlobIsNeverOutOfBounds(f *testing.F) {
	f.Add("h[^a-c]*?\\", "hello")
	f.Fuzz(func(_ *testing.T, glob, s string) { intercept.Glob(glob).Match([]byte(s)) })
}
