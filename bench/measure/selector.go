package measure

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"shakedown/bench/record"
)

// Selector names scraped series: those with the metric's name and at least the given labels.
type Selector struct {
	Metric string
	Labels map[string]string
}

var (
	metricName = regexp.MustCompile(`^[a-zA-Z_:][a-zA-Z0-9_:]*`)
	labelName  = regexp.MustCompile(`^[a-zA-Z_][a-zA-Z0-9_]*`)
)

// ParseSelector reads metric or metric{label="value",…}: the part of PromQL's selectors that asks for equality. Values
// are quoted as in Go. There is no white space, no empty {} and no trailing comma, and no label stands twice, so that
// one selector has one spelling but for the order of its labels.
func ParseSelector(text string) (Selector, error) {
	bad := func(format string, args ...any) (Selector, error) {
		return Selector{}, fmt.Errorf(`selector %q: %s; write metric or metric{label="value"}`, text, fmt.Sprintf(format, args...))
	}
	s := Selector{Metric: metricName.FindString(text)}
	rest := text[len(s.Metric):]
	switch {
	case s.Metric == "":
		return bad("does not begin with a metric's name")
	case rest == "":
		return s, nil
	case rest[0] != '{':
		return bad("%q after the metric's name", rest)
	}
	s.Labels = map[string]string{}
	for rest = rest[1:]; ; rest = rest[1:] {
		label := labelName.FindString(rest)
		rest = rest[len(label):]
		if label == "" || !strings.HasPrefix(rest, `="`) {
			return bad("needs label=\"value\" at %q", rest)
		}
		quoted, err := strconv.QuotedPrefix(rest[1:])
		if err != nil {
			return bad("the value of %s is not a quoted string", label)
		}
		value, err := strconv.Unquote(quoted)
		if err != nil {
			return bad("the value of %s: %v", label, err)
		}
		if _, twice := s.Labels[label]; twice {
			return bad("the label %s stands twice", label)
		}
		s.Labels[label] = value
		rest = rest[1+len(quoted):]
		if rest == "}" {
			return s, nil
		}
		if !strings.HasPrefix(rest, ",") {
			return bad("needs , or } at %q", rest)
		}
	}
}

// String writes what ParseSelector reads, with the labels in order.
func (s Selector) String() string {
	if len(s.Labels) == 0 {
		return s.Metric
	}
	var parts []string
	for _, label := range slices.Sorted(maps.Keys(s.Labels)) {
		parts = append(parts, label+"="+strconv.Quote(s.Labels[label]))
	}
	return s.Metric + "{" + strings.Join(parts, ",") + "}"
}

// Matches says whether the selector names the series.
func (s Selector) Matches(r record.Series) bool {
	if r.Name != s.Metric {
		return false
	}
	for label, value := range s.Labels {
		if got, ok := r.Labels[label]; !ok || got != value {
			return false
		}
	}
	return true
}
