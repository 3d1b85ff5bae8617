package archtest

import (
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"path"
	"slices"
	"strings"
	"testing"
)

// A rule says which packages of the module a package may import, beside what every package may: internal/units,
// internal/clock and the standard of its own folder. Patterns are those of path.Match; "/..." matches any depth.
type rule struct {
	pkg  string
	may  []string
	note string
}

// rules are tried in order; the first whose pkg matches decides. No rule, no import.
var rules = []rule{
	{"internal/units", nil, "plain quantities"},
	{"internal/clock", nil, "the shared clock"},
	{"internal/version", nil, "knows itself only"},
	{"internal/benchmark", nil, "pages of numbers, and nothing of what is measured"},
	{"internal/favour", nil, "the process's own priority"},
	{"internal/tcp", nil, "options of sockets"},
	{"internal/roottest", nil, "it knows no probe"},
	{"internal/allow", nil, "addresses, and nothing of what is done to them"},
	{"chaos", nil, "the vocabulary of faults stands at the bottom"},
	{"chaos/proxy/intercept", []string{"chaos"}, "what proxy and protocols share"},
	{"chaos/proxy/intercept/protocols", []string{"chaos", "chaos/proxy/intercept", "chaos/proxy/intercept/..."}, "the only list of them"},
	{"chaos/proxy/intercept/...", []string{"chaos", "chaos/proxy/intercept"}, "a protocol knows no other, and moves no bytes"},
	{"chaos/proxy", []string{"chaos", "chaos/proxy/intercept", "internal/netns", "internal/tcp"}, ""},
	{"chaos/proxy/api", []string{"chaos", "chaos/proxy", "chaos/proxy/intercept/protocols"}, ""},
	{"chaos/proxy/toxiproxy/toxics", []string{"chaos"}, "a toxic is an effect, whatever carries it out"},
	{"chaos/proxy/toxiproxy", []string{"chaos", "chaos/proxy", "chaos/proxy/toxiproxy/toxics"}, "it answers, and does not decide who may ask"},
	{"chaos/disk", []string{"chaos"}, "files and system calls, and nothing of whose they are"},
	{"chaos/chaosbench", []string{"internal/benchmark"}, "it knows proxies as programs only, shakedown's too"},
	{"chaos/chaostest", []string{"chaos", "chaos/proxy", "chaos/proxy/api", "chaos/proxy/intercept/protocols", "chaos/disk", "internal/netns"}, ""},
	{"chaos/proxy/daemon", []string{"chaos", "chaos/proxy", "chaos/proxy/api", "chaos/proxy/intercept/protocols", "chaos/proxy/toxiproxy", "internal/allow"}, "the proxy that stands alone"},
	{"bench", []string{"chaos"}, "the vocabulary of experiments knows faults, and nothing that runs"},
	{"bench/arrival", []string{"bench"}, ""},
	{"bench/schedule", []string{"bench", "chaos"}, "when faults are due is pure"},
	{"bench/load", []string{"bench", "bench/load/wire"}, "siblings do not know each other"},
	{"bench/load/mix", []string{"bench"}, "what is asked for is pure, and knows no client"},
	{"bench/load/wire", []string{"bench", "internal/tcp"}, "the event loops know what becomes of an arrival, and not why it is sent"},
	{"bench/record", []string{"bench", "chaos"}, "siblings do not know each other"},
	{"bench/internal/synth", []string{"bench", "chaos", "bench/arrival", "bench/record"}, "recordings for the tests of the judging stages"},
	{"bench/measure", []string{"bench", "chaos", "bench/record"}, "judging is pure, and flows one way"},
	{"bench/check/listappend", []string{"bench"}, "a history says nothing of who recorded it"},
	{"bench/check/leadership", nil, "a history says nothing of who recorded it"},
	{"bench/check/invariants", []string{"bench"}, "a history says nothing of who recorded it"},
	{"bench/check", []string{"bench", "chaos", "bench/schedule", "bench/record", "bench/measure"}, "judging is pure, and flows one way"},
	{"bench/verdict", []string{"bench", "chaos", "bench/record", "bench/measure", "bench/check"}, "judging is pure, and flows one way"},
	{"bench/report", []string{"bench", "chaos", "bench/record", "bench/measure", "bench/check", "bench/verdict", "internal/page"}, "judging is pure, and flows one way"},
	{"bench/load/result", []string{"bench", "bench/load", "bench/load/search", "internal/page"}, "what a load came to; it starts nothing"},
	{"bench/load/search", nil, "it only knows what a trial says"},
	{"bench/load/pgclient", []string{"bench", "bench/load"}, ""},
	{"bench/load/redisclient", []string{"bench", "bench/load"}, ""},
	{"bench/load/loadbench", []string{"bench", "bench/arrival", "bench/load/loadbench/...", "internal/benchmark", "internal/favour"}, "it knows generators as programs only, shakedown's too"},
	{"bench/load/loadbench/queueing", nil, "theory"},
	{"bench/load/loadbench/peer", []string{"bench/load/loadbench/queueing"}, ""},
	{"bench/load/loadbench/server", []string{"bench/load/loadbench/queueing"}, ""},
	{"internal/page/pagetest", nil, ""},
	{"internal/page", nil, "what pages share"},
	{"bench/run", []string{
		"bench", "chaos", "chaos/disk", "chaos/proxy/api", "bench/arrival", "bench/schedule", "bench/load", "bench/load/mix", "bench/load/wire", "bench/record", "bench/check",
		"internal/stack", "internal/proc", "internal/netns", "internal/workdir", "internal/telemetry", "internal/favour", "internal/undo", "internal/needs", "internal/subject",
	}, "the orchestrator knows all that runs; of judging only whether a trial counts"},
	{"targets/serve", []string{"bench", "internal/mysqlurl"}, ""},
	{"targets/targettest", []string{"bench", "targets/serve", "internal/stack", "internal/proc", "internal/workdir"}, ""},
	{"targets/internal/...", []string{"bench", "chaos"}, "data that patterns share"},
	{"targets/catalog", []string{"bench", "targets/..."}, "the only package that knows all patterns"},
	{"targets/...", []string{"bench", "bench/check/...", "chaos", "targets/serve", "targets/internal/..."}, "a pattern knows no other pattern"},
	{"internal/proc/procfs", nil, ""},
	{"internal/workdir", []string{"internal/proc/procfs"}, ""},
	{"internal/cgroup", []string{"internal/workdir"}, "control groups, and nothing of what runs in them"},
	{"internal/faketime", []string{"internal/workdir"}, "clocks, and nothing of who asks them"},
	{"internal/netns", []string{"chaos"}, "hosts, and nothing of what runs on them"},
	{"internal/needs", []string{"chaos", "chaos/disk", "internal/cgroup", "internal/faketime", "internal/netns"}, "probes of the machine; it knows no fault"},
	{"internal/undo", []string{"internal/workdir", "internal/cgroup", "internal/faketime", "chaos/disk"}, "the list of what a sweep can take back"},
	{"internal/proc", []string{"internal/proc/procfs"}, ""},
	{"internal/subject", []string{"chaos", "internal/cgroup", "internal/faketime", "internal/proc", "internal/proc/procfs"}, "one process, whatever it is"},
	{"internal/stack", []string{"chaos", "chaos/disk", "internal/netns", "internal/subject", "internal/proc", "internal/proc/procfs", "internal/workdir", "internal/mysqlurl"}, "engines"},
	{"internal/mysqlurl", nil, "the form of an address"},
	{"internal/telemetry", []string{"bench"}, ""},
	{"dashboards/...", []string{"dashboards", "bench", "internal/telemetry", "targets/serve"}, ""},
	{"dashboards", nil, ""},
	{"internal/specfile", []string{"bench"}, ""},
	{"internal/judge", []string{"bench/record", "bench/report", "bench/verdict"}, ""},
	{"internal/console", []string{"bench", "bench/load", "bench/load/search", "bench/record", "bench/run"}, ""},
	{"internal/exit", []string{"bench/run"}, ""},
	{"internal/doctor", []string{"bench/run", "chaos", "internal/needs", "internal/proc", "internal/stack", "internal/workdir"}, ""},
	{"internal/catalogdocs", []string{"bench", "chaos", "bench/...", "targets/catalog", "targets/serve", "internal/specfile"}, ""},
	{"internal/loadrun", []string{
		"bench", "bench/arrival", "bench/check", "bench/load", "bench/load/...", "bench/run",
		"internal/allow", "internal/console", "internal/exit", "internal/favour", "internal/stack", "internal/version",
	}, "the load command; of experiments it knows the bounds of validity only"},
	{"internal/chaosctl", []string{"chaos", "chaos/proxy/api", "chaos/proxy/daemon", "bench/run", "internal/exit"}, "it talks to a daemon, and shapes no link itself"},
	{"internal/session", []string{"bench", "bench/...", "targets/catalog", "targets/serve", "internal/..."}, ""},
	{"internal/archtest", nil, ""},
	{"cmd/shakedown", []string{"..."}, "the commands may use everything; nobody may use them"},
}

func TestImportsRunOneWay(t *testing.T) {
	for _, p := range packages(t) {
		at := slices.IndexFunc(rules, func(r rule) bool { return matches(r.pkg, p.name) })
		if at < 0 {
			t.Errorf("%s has no rule: say in internal/archtest what it may import, and in docs/architecture.md why it exists", p.name)
			continue
		}
		for _, imported := range p.imports {
			if imported == "internal/units" || imported == "internal/clock" {
				continue
			}
			if !slices.ContainsFunc(rules[at].may, func(m string) bool { return matches(m, imported) }) {
				t.Errorf("%s imports %s, which runs against the order: %s", p.name, imported, rules[at].note)
			}
		}
	}
}

func TestARuleCanBeBroken(t *testing.T) {
	for _, tc := range []struct {
		pattern, name string
		want          bool
	}{
		{"bench", "bench", true},
		{"bench", "bench/run", false},
		{"targets/...", "targets/cache/aside", true},
		{"targets/...", "targets", false},
		{"...", "bench/run", true},
	} {
		if got := matches(tc.pattern, tc.name); got != tc.want {
			t.Errorf("matches(%q, %q) = %v, want %v", tc.pattern, tc.name, got, tc.want)
		}
	}
}

func matches(pattern, name string) bool {
	if pattern == "..." {
		return true
	}
	if prefix, ok := strings.CutSuffix(pattern, "/..."); ok {
		return strings.HasPrefix(name, prefix+"/")
	}
	ok, err := path.Match(pattern, name)
	return ok && err == nil
}

type pkg struct {
	name    string
	imports []string
}

// packages asks the go command, so that build tags and generated files count as they do in a build. Imports of tests do not count.
func packages(t *testing.T) []pkg {
	t.Helper()
	const module = "shakedown/"
	out, err := exec.Command("go", "list", "-json=ImportPath,Imports", module+"...").Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	var all []pkg
	dec := json.NewDecoder(strings.NewReader(string(out)))
	for {
		var listed struct {
			ImportPath string
			Imports    []string
		}
		err := dec.Decode(&listed)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		p := pkg{name: strings.TrimPrefix(listed.ImportPath, module)}
		for _, i := range listed.Imports {
			if rest, ok := strings.CutPrefix(i, module); ok {
				p.imports = append(p.imports, rest)
			}
		}
		all = append(all, p)
	}
	if len(all) == 0 {
		t.Fatal("go list found no packages: this test would pass on nothing")
	}
	return all
}
