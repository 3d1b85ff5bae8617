package chaos_test

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"shakedown/chaos"
	"shakedown/internal/units"
)

// spokenLink is a link that speaks a protocol, with what the tests want of its rules.
type spokenLink struct {
	fakeLink
	protocol chaos.Protocol
	counters chaos.RuleCounters
	failsAt  string
	rules    map[string]chaos.Rule
}

func (l *spokenLink) Protocol() chaos.Protocol { return l.protocol }

func (l *spokenLink) SetRule(_ context.Context, id string, r chaos.Rule) error {
	if l.failsAt == "set" {
		return errors.New("no rule today")
	}
	if l.rules == nil {
		l.rules = map[string]chaos.Rule{}
	}
	l.rules[id] = r
	return r.Validate()
}

func (l *spokenLink) ClearRule(ctx context.Context, id string) error {
	delete(l.rules, id)
	return ctx.Err()
}

func (l *spokenLink) RuleCounters(_ context.Context, id string) (chaos.RuleCounters, error) {
	if _, ok := l.rules[id]; !ok || l.failsAt == "count" {
		return chaos.RuleCounters{}, errors.New("no such rule")
	}
	return l.counters, nil
}

type spokenSurface []chaos.Link

func (s spokenSurface) Links(name string) []chaos.Link {
	if name != "service→db" {
		return nil
	}
	return s
}

func (spokenSurface) Processes(string) []chaos.Process { return nil }

func pair() (spokenSurface, *spokenLink, *spokenLink) {
	a := &spokenLink{fakeLink: fakeLink{name: "service-0→db"}, protocol: chaos.PostgreSQL}
	b := &spokenLink{fakeLink: fakeLink{name: "service-1→db"}, protocol: chaos.PostgreSQL}
	a.counters = chaos.RuleCounters{Seen: 10, Matched: 4, Acted: 2, Live: 3, Acknowledged: 3}
	b.counters = chaos.RuleCounters{Live: 1, Acknowledged: 1}
	return spokenSurface{a, b}, a, b
}

func ackLost() *chaos.CommitAckLost { return &chaos.CommitAckLost{Link: "service->db"} }

func TestARuleHasLandedWhenEveryLiveConnectionFollowsIt(t *testing.T) {
	s, a, b := pair()
	in, err := ackLost().Inject(t.Context(), s)
	if err != nil {
		t.Fatal(err)
	}
	if e := in.Landed(); !e.Seen || e.Got != 4 || e.Want != 4 || len(a.rules) != 1 || len(b.rules) != 1 {
		t.Errorf("landed: %s", e)
	}
	e, err := in.Heal(t.Context())
	if err != nil || !e.Seen || e.Got != 2 || !strings.Contains(e.What, "of 4 that match and 10 seen") || len(a.rules)+len(b.rules) != 0 {
		t.Errorf("met: %s, %v; left are %v and %v", e, err, a.rules, b.rules)
	}
}

func TestARuleThatCannotBeSeenSaysWhy(t *testing.T) {
	s, a, b := pair()
	b.counters.Opaque, b.counters.Why, b.counters.Acknowledged = 1, "TLS", 0
	in, err := ackLost().Inject(t.Context(), s)
	if err != nil {
		t.Fatal(err)
	}
	if e := in.Landed(); e.Seen || !strings.Contains(e.What, "1 cannot be looked into: TLS") {
		t.Errorf("landed: %s", e)
	}
	if e, err := in.Heal(t.Context()); err != nil || e.Seen || !strings.Contains(e.What, "TLS") {
		t.Errorf("met: %s, %v", e, err)
	}
	b.counters = chaos.RuleCounters{}
	a.counters.Acted = 0
	if in, err = ackLost().Inject(t.Context(), s); err != nil || !in.Landed().Seen {
		t.Fatalf("%v", err)
	}
	if e, err := in.Heal(t.Context()); err != nil || e.Seen {
		t.Errorf("met by nothing: %s, %v", e, err)
	}
}

func TestAFaultOfMessagesRefusesLinksThatDoNotSpeak(t *testing.T) {
	s, _, b := pair()
	b.protocol = chaos.Redis
	want := "no postgres on service-1→db (speaks redis)"
	if err := ackLost().Available(s); err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("%v, want %s", err, want)
	}
	if in, err := ackLost().Inject(t.Context(), s); err == nil || in != nil {
		t.Errorf("%v, %v", in, err)
	}
	bytesOnly := spokenSurface{&fakeLink{name: "service-0→db"}}
	if err := ackLost().Available(bytesOnly); err == nil || !strings.Contains(err.Error(), "carries bytes only") {
		t.Errorf("%v", err)
	}
}

func TestHalfARuleIsUndone(t *testing.T) {
	for _, at := range []string{"set", "count"} {
		s, a, b := pair()
		b.failsAt = at
		if in, err := ackLost().Inject(t.Context(), s); err == nil || in != nil {
			t.Errorf("%s: %v, %v", at, in, err)
		}
		if len(a.rules)+len(b.rules) != 0 {
			t.Errorf("%s: left are %v and %v", at, a.rules, b.rules)
		}
	}
}

func TestARuleIsHealedAlsoWhenTheContextIsDone(t *testing.T) {
	s, a, b := pair()
	in, err := ackLost().Inject(t.Context(), s)
	if err != nil {
		t.Fatal(err)
	}
	done, cancel := context.WithCancel(t.Context())
	cancel()
	first, err := in.Heal(done)
	if err != nil || len(a.rules)+len(b.rules) != 0 {
		t.Errorf("%v; left are %v and %v", err, a.rules, b.rules)
	}
	if again, err := in.Heal(t.Context()); err != nil || again != first {
		t.Errorf("again: %s, %v", again, err)
	}
}

func TestFaultsOfMessagesSayWhatIsWrong(t *testing.T) {
	const link = "service→db"
	for want, f := range map[string]chaos.Fault{
		"link is missing":                   &chaos.CommitAckLost{},
		"sqlstate \"4001\"":                 &chaos.PostgresError{Link: link, SQLState: "4001"},
		"no regular expression":             &chaos.PostgresError{Link: link, SQLState: "40001", Statement: "("},
		"nth, every and share exclude":      &chaos.PostgresError{Link: link, SQLState: "40001", Pick: chaos.Pick{Nth: 1, Every: 2}},
		"share is 2":                        &chaos.CommitAckLost{Link: link, Pick: chaos.Pick{Share: 2}},
		"lose_ack \"drop\" is unknown":      &chaos.CommitAckLost{Link: link, Then: "drop"},
		"delay is 0s":                       &chaos.CommitDelay{Link: link},
		"delay is -1s":                      &chaos.PostgresDelay{Link: link, Delay: -units.Second},
		"cut_after must not":                &chaos.CutInTransaction{Link: link, After: -1},
		"error is \"\"":                     &chaos.RedisError{Link: link},
		"error is \"readonly\"":             &chaos.RedisError{Link: link, Error: "readonly"},
		"message is missing":                &chaos.RedisError{Link: link, Error: "NOSCRIPT"},
		"address is missing":                &chaos.RedisError{Link: link, Error: "MOVED"},
		"address is only for":               &chaos.RedisError{Link: link, Error: "OOM", Address: "x:1"},
		"one line":                          &chaos.RedisError{Link: link, Error: "OOM", Message: "a\r\nb"},
		"status is 0":                       &chaos.HTTPError{Link: link},
		"retry_after is 500ms":              &chaos.HTTPError{Link: link, Status: 429, RetryAfter: 500 * units.Millisecond},
		"when \"during\" is unknown":        &chaos.HTTPDelay{Link: link, Delay: 1, When: "during"},
		"an answer of status 204":           &chaos.HTTPError{Link: link, Status: 204, Body: "x"},
		"after_bytes must not be negative":  &chaos.HTTPCut{Link: link, AfterBytes: -1},
		"message and address exclude":       &chaos.RedisError{Link: link, Error: "ASK", Address: "x:1", Message: "m"},
		"nth and every count from 1":        &chaos.HTTPCut{Link: link, Pick: chaos.Pick{Nth: -1}},
		"redis delay 1s of GET on service→": nil,
	} {
		if f == nil {
			f = &chaos.RedisDelay{Link: link, Command: "GET", Delay: units.Second}
			if got := f.String(); !strings.HasPrefix(got, want) {
				t.Errorf("%q does not begin with %q", got, want)
			}
			continue
		}
		if err := f.Validate(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s", f.Kind(), err, want)
		}
	}
}

func TestARuleIsAboutOneProtocolAndDoesOneThing(t *testing.T) {
	for text, want := range map[string]string{
		`{}`: "exactly one of",
		`{"redis": {"error": "OOM no"}, "http": {"delay": "1s"}}`:                      "exactly one of",
		`{"redis": {"error": "OOM no", "delay": "1s"}}`:                                "does one thing",
		`{"postgres": {"lose_ack": "cut"}}`:                                            "set commit",
		`{"postgres": {"autocommit": true, "delay": "1s"}}`:                            "adds to commit",
		`{"postgres": {"commit": true, "statement": "x", "delay": "1s"}}`:              "exclude each other",
		`{"postgres": {"cut_after": 1, "cut_at_commit": true}}`:                        "exclude each other",
		`{"http": {"cut": {"after_bytes": 1}, "when": "after"}}`:                       "leave when out",
		`{"every": 2, "redis": {"command": "@write", "error": "READONLY You can't."}}`: "",
	} {
		var r chaos.Rule
		if err := json.Unmarshal([]byte(text), &r); err != nil {
			t.Fatal(err)
		}
		err := r.Validate()
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%s: %v, want %q", text, err, want)
		}
	}
}
