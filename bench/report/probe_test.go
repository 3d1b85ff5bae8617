package report_test

import (
	"fmt"
	"strings"
	"testing"

	"shakedown/bench"
	"shakedown/bench/report"
	"shakedown/bench/verdict"
)

const lostUpdate = "P4, lost update: seen\n  T1  begin                   ok\n  T2  update test set …       waits for T1"

// probe is the result of an experiment without a load.
func probe() report.Input {
	in := single()
	r := &in.Result
	e := &r.Run.Experiment
	e.Probe, e.Phases, e.Workload = "hermitage", nil, bench.Workload{}
	at := func(variants ...string) (seen []verdict.Sighting) {
		for i, v := range variants {
			seen = append(seen, verdict.Sighting{Trial: i, Variant: v})
		}
		return seen
	}
	r.Examples = []verdict.Example{{Text: lostUpdate, Seen: at("plain", "retry")}}
	for i := range 4 {
		r.Examples = append(r.Examples, verdict.Example{Text: fmt.Sprintf("G2, case %d: <seen>", i), Seen: at("plain")})
	}
	r.Audits = []string{"trial 0 (plain, repeat 1): of 14 cases 5 in violation of what must hold"}
	return in
}

func TestExamplesAreShownAsTheyAreInEveryFormatThatPeopleRead(t *testing.T) {
	for format, wants := range map[string][]string{
		"text": {"Examples of what was counted\n\n  plain, retry\n    P4, lost update: seen\n      T1  begin                   ok\n", "G2, case 3", "a probe, no load"},
		"md":   {"plain, retry\n\n```text\nP4, lost update: seen\n  T1  begin                   ok\n", "G2, case 3"},
		"html": {"<summary>P4, lost update: seen <span class=\"about\">plain, retry</span></summary>", "  T1  begin                   ok\n", "&lt;seen&gt;"},
		"json": {`"text": "P4, lost update: seen\n  T1  begin                   ok\n`},
	} {
		got := string(write(t, format, probe(), report.Options{Width: 100}))
		for _, want := range wants {
			if !strings.Contains(got, want) {
				t.Errorf("%s lacks %q:\n%s", format, want, got)
			}
		}
		if strings.Contains(got, `id="charts"`) || strings.Contains(got, `id="h-ledger"`) {
			t.Errorf("%s shows the load of a probe", format)
		}
	}
}

func TestOfAnAuditsExamplesATextShowsAFew(t *testing.T) {
	in := probe()
	in.Result.Run.Experiment.Probe = ""
	got := string(write(t, "text", in, report.Options{Width: 100}))
	if strings.Contains(got, "G2, case 2") || !strings.Contains(got, "G2, case 1") || !strings.Contains(got, "and 2 more in the report and in result.json") {
		t.Errorf("%s", got)
	}
}

func TestManyRemarksDoNotHideTheClaims(t *testing.T) {
	in := probe()
	in.Result.Audits = nil
	for i := range 40 {
		in.Result.Audits = append(in.Result.Audits, fmt.Sprintf("audit %02d", i))
	}
	text := string(write(t, "text", in, report.Options{Width: 100}))
	if !strings.Contains(text, "audit 06") || strings.Contains(text, "audit 07") || !strings.Contains(text, "and 33 more in the report") {
		t.Errorf("%s", text)
	}
	html := string(write(t, "html", in, report.Options{}))
	claims, audits := strings.Index(html, `id="claims"`), strings.Index(html, "<summary>40 remarks</summary>")
	if claims < 0 || audits < claims || !strings.Contains(html, "audit 39") {
		t.Errorf("the claims are at %d of the page and the audits at %d", claims, audits)
	}
}
