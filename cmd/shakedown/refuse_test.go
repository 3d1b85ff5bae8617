package main

import (
	"bytes"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// refusal is an invocation that must be turned down: one line that says why, the right exit code, and nothing left.
type refusal struct {
	name    string
	args    string                         // split at blanks
	prepare func(t *testing.T, s *sandbox) // before the run; nil for nothing
	code    int
	says    string // a regular expression that the line matches
}

func (r refusal) check(t *testing.T) {
	s := newSandbox(t)
	if r.prepare != nil {
		r.prepare(t, s)
	}
	before := tree(t, s.dir)
	got := s.run(strings.Fields(r.args)...)
	if got.code != r.code {
		t.Errorf("want exit code %d, got %v", r.code, got)
	}
	line, more, ended := strings.Cut(got.stderr, "\n")
	if !ended || more != "" || !strings.HasPrefix(line, "shakedown: ") || got.out != "" {
		t.Errorf("want one line on standard error and nothing else, got %v", got)
	}
	if !regexp.MustCompile(r.says).MatchString(line) {
		t.Errorf("want a line that matches %q, got %s", r.says, line)
	}
	if strings.Contains(line, "hidden") {
		t.Errorf("a password is shown: %s", line)
	}
	if left := s.left(); left != nil {
		t.Errorf("left: %q", left)
	}
	for _, path := range tree(t, s.dir) {
		if !slices.Contains(before, path) {
			t.Errorf("left: %s", path)
		}
	}
}

// tree lists all files below a directory.
func tree(t *testing.T, dir string) []string {
	t.Helper()
	var all []string
	err := filepath.WalkDir(dir, func(path string, _ os.DirEntry, err error) error {
		all = append(all, path)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func refuse(t *testing.T, all []refusal) {
	t.Helper()
	for _, r := range all {
		t.Run(r.name, r.check)
	}
}

func TestACommandLineThatMakesNoSenseIsRefused(t *testing.T) {
	refuse(t, []refusal{
		{"unknown command", "rnu", nil, 2, `unknown command "rnu"`},
		{"unknown flag", "run --wrong", nil, 2, `unknown flag: --wrong`},
		{"flag without value", "run tiny.yaml --out", nil, 2, `flag needs an argument: --out`},
		{"no experiment", "run", nil, 2, `say which experiment to run`},
		{"unknown experiment", "run cache/aside/stampde", nil, 2, `did you mean cache/aside/stampede\?`},
		{"unknown experiment to show", "show nothing/like/it", nil, 2, `there is no experiment "nothing/like/it"`},
		{"show without an experiment", "show", nil, 2, `accepts 1 arg`},
		{"show in an unknown format", "show cache/aside/stampede -o xml", nil, 2, `-o xml: the formats are text and yaml`},
		{"unknown pattern", "target cache/asides --spec x", nil, 2, `did you mean cache/aside\?`},
		{"process without a specification", "target cache/aside", nil, 2, `--spec FILE`},
		{"argument too many", "list all", nil, 2, `unknown command "all"`},

		{"-p without =", "run tiny.yaml -p ttl", nil, 2, `-p ttl: write key=value`},
		{"-p of an unknown key", "run tiny.yaml -p tll=1s", nil, 2, `no parameter "tll"; its parameters are .*ttl`},
		{"-p of an unknown variant", "run tiny.yaml -p pain.ttl=1s", nil, 2, `no variant "pain"; its variants are plain, singleflight`},
		{"-p of the wrong type", "run tiny.yaml -p pool=many", nil, 2, `pool`},
		{"-p out of range", "run tiny.yaml -p jitter=2", nil, 2, `jitter: must be in \[0, 1\), got 2`},
		{"unknown variant", "run tiny.yaml --variant plane", nil, 2, `no variant "plane"; its variants are plain, singleflight`},
		{"no repeats", "run tiny.yaml --repeats 0", nil, 2, `--repeats 0: must be 1 to 1000`},
		{"negative repeats", "run tiny.yaml --repeats -1", nil, 2, `--repeats -1: must be 1 to 1000`},
		{"too many repeats", "run tiny.yaml --repeats 1001", nil, 2, `--repeats 1001: must be 1 to 1000`},
		{"repeats in words", "run tiny.yaml --repeats twice", nil, 2, `"twice" for "--repeats"`},
		{"too many times again", "run tiny.yaml --again 11", nil, 2, `--again 11: must be 0 to 10`},
		{"seed in words", "run tiny.yaml --seed lucky", nil, 2, `"lucky" for "--seed"`},
		{"negative seed", "run tiny.yaml --seed -1", nil, 2, `"-1" for "--seed"`},
		{"unknown format", "run tiny.yaml -o pdf", nil, 2, `-o pdf: the formats are text, json, ndjson`},

		{"report of nothing", "report gone", nil, 2, `gone is not a run directory`},
		{"report of another directory", "report .", nil, 2, `is not a run directory`},
		{"report of a file", "report tiny.yaml", nil, 2, `tiny.yaml`},
		{"report of a newer layout", "report rec", func(_ *testing.T, s *sandbox) {
			s.stored("run.json", `"schema_version": 1`, `"schema_version": 2`)
		}, 2, `schema_version 2; this shakedown reads up to 1`},
		{"report of a damaged run", "report rec", func(_ *testing.T, s *sandbox) { s.stored("run.json", `{`, `{{`) }, 2, `run.json`},
		{"report of a damaged trial", "report rec", func(t *testing.T, s *sandbox) {
			s.stored("run.json", `{`, `{`)
			if err := os.Truncate(filepath.Join(s.dir, "rec/trials/000/samples.bin"), 40); err != nil {
				t.Fatal(err)
			}
		}, 2, `samples.bin is damaged`},
		{"report in an unknown format", "report rec --format pdf", nil, 2, `--format pdf: the formats are text, html, json, junit, md`},
		{"proxy on a public address", "chaos serve --listen 0.0.0.0:0", nil, 2, `loopback`},
	})
}

// edit replaces a part of tiny.yaml, which must be there.
func edit(old, changed string) func(*testing.T, *sandbox) {
	return func(t *testing.T, s *sandbox) {
		t.Helper()
		if !strings.Contains(tiny(t), old) {
			t.Fatalf("tiny.yaml has no %q", old)
		}
		s.write("bad.yaml", strings.Replace(tiny(t), old, changed, 1))
	}
}

func content(text string) func(*testing.T, *sandbox) {
	return func(_ *testing.T, s *sandbox) { s.write("bad.yaml", text) }
}

func TestAnExperimentThatMakesNoSenseIsRefused(t *testing.T) {
	const judged = "    judged: true\n"
	faults := func(list string) func(*testing.T, *sandbox) { return edit(judged, judged+"    faults: ["+list+"]\n") }
	cases := []refusal{
		{"no such file", "", nil, 2, `bad.yaml: no such file`},
		{"a directory", "", func(_ *testing.T, s *sandbox) { s.write("bad.yaml/x", "") }, 2, `bad.yaml: is a directory`},
		{"empty", "", content(""), 2, `bad.yaml: is empty`},
		{"only a comment", "", content("# nothing\n"), 2, `bad.yaml: is (empty|not an experiment)`},
		{"no YAML", "", content("name: [\n"), 2, `bad.yaml: yaml: line`},
		{"not text", "", content("\x00\x01\xff"), 2, `bad.yaml: yaml`},
		{"a list", "", content("- name: a/b/c\n"), 2, `the top level must be a mapping`},
		{"two documents", "", content("name: a/b/c\n---\nname: d/e/f\n"), 2, `more than one document`},
		{"a key twice", "", edit("question:", "name: cache/aside/twice\nquestion:"), 2, `bad.yaml: yaml: .*already defined`},
		{"unknown field", "", edit("question:", "qestion:"), 2, `unknown field "qestion"`},
		{"wrong type", "", edit("    for: 1s", "    for: [1s]"), 2, `bad.yaml: .*phases`},
		{"duration without a unit", "", edit("for: 1s", "for: '1'"), 2, `"1" is not a duration`},
		{"no name", "", edit("name: cache/aside/tiny", "name: ''"), 2, `must read family/pattern/question`},
		{"unknown pattern", "", edit("cache/aside/tiny", "cache/besides/tiny"), 2, `there is no pattern "cache/besides"`},
		{"no variants", "", edit("variants:", "factor: x\nlevels: []\nvariants: []\nnetwork: []\ncolumns: []\nsweeps: []\n#"), 2, `bad.yaml: yaml|variants`},
		{"variant twice", "", edit("name: singleflight", "name: plain"), 2, `the name "plain" stands twice`},
		{"unknown configuration", "", edit("ttl: 1s", "tll: 1s"), 2, `variant plain: configuration: unknown field "tll"; the fields are`},
		{"unknown fault", "", faults("{kind: gremlin}"), 2, `unknown kind "gremlin"; the kinds are latency`},
		{"fault without a kind", "", faults("{link: service→redis}"), 2, `needs a kind`},
		{"fault with an unknown field", "", faults("{kind: kill, process: redis, softly: true}"), 2, `kill.*unknown field "softly"`},
		{"fault with a bad value", "", faults("{kind: latency, link: service→redis, delay: -5ms}"), 2, `latency.*-5ms`},
		{"fault on no edge", "", faults("{kind: blackhole, link: redis→}"), 2, `"redis→" is not an edge`},
		{"fault on an engine for a link", "", faults("{kind: blackhole, link: redis}"), 2, `no link redis; this run has service-0→postgres`},
		{"fault on a missing link", "", faults("{kind: blackhole, link: service→mysql}"), 2, `no link service→mysql; this run has service-0→postgres`},
		{"fault on a missing process", "", faults("{kind: kill, process: mysql}"), 2, `no process mysql; this run has postgres`},
		{"negative rate", "", edit("per_s: 100", "per_s: -1"), 2, `phases\[steady\].rate: must be a number ≥ 0, got -1`},
		{"rate of a capacity that is not measured", "", edit("per_s: 100", "of_capacity: 0.5"), 2, `does not measure one`},
		{"phase without length", "", edit("for: 1s", "for: 0s"), 2, `phases\[steady\].for: must be positive`},
		{"nothing judged", "", edit(judged, ""), 2, `none is judged`},
		{"no timeout", "", edit("timeout: 2s", "timeout: 0s"), 2, `workload.timeout: must be positive`},
		{"unknown distribution of keys", "", edit("path: '/item/{key}'", "path: /x, keys: {dist: pareto}"), 2, `unknown dist "pareto"`},
		{"unknown metric", "", edit("{metric: response_ms,", "{metric: respons_ms,"), 2, `there is no metric "respons_ms"`},
		{"unknown stat", "", edit("stat: p99", "stat: p98"), 2, `no stat "p98"`},
		{"unknown phase in a check", "", edit("stat: burst_max", "stat: burst_max, phase: late"), 2, `there is no phase "late"`},
		{"unknown variant in a check", "", edit("{variant: singleflight, metric", "{variant: doubleflight, metric"), 2, `there is no variant "doubleflight"`},
		{"unknown claim", "", edit("cache/aside#7", "cache/aside#99"), 2, `cites claim cache/aside#99, which no pattern makes`},
		{"unknown relation", "", edit("rel: at_most", "rel: below"), 2, `unknown relation "below"`},
		{"unknown engine", "", edit("{name: redis}", "{name: redsi}"), 2, `unknown engine "redsi"; the engines are`},
		{"unknown role", "", edit("workload:", "backends: [{role: helper}]\nworkload:"), 2, `cache/aside has no role "helper"`},
		{"setting that is the harness's own", "", edit("max_connections", "port"), 2, `the setting port is the harness's own`},
	}
	for i := range cases {
		cases[i].args = "run bad.yaml"
	}
	refuse(t, cases)
}

func TestAServerThatRefusesASettingIsBadInput(t *testing.T) {
	refuse(t, []refusal{
		{"unknown setting of postgres", "run bad.yaml", edit("max_connections", "max_conections"), 2, `unrecognized configuration parameter "max_conections"`},
		{"bad value for postgres", "run bad.yaml", edit(`"20"`, `"plenty"`), 2, `invalid value for parameter "max_connections": "plenty"`},
		{
			"bad value for redis", "run bad.yaml --out new/rec",
			edit("{name: redis}", "{name: redis, settings: {maxmemory-policy: keep-the-good-ones}}"), 2, `FATAL CONFIG FILE ERROR.*maxmemory-policy`,
		},
	})
}

func TestAPlaceThatCannotBeWrittenToIsRefused(t *testing.T) {
	refuse(t, []refusal{
		{"not empty", "run tiny.yaml --out rec", func(_ *testing.T, s *sandbox) { s.write("rec/x", "") }, 2, `--out: rec is not empty`},
		{"a file", "run tiny.yaml --out tiny.yaml", nil, 2, `--out: tiny.yaml is not a directory`},
		{"below a file", "run tiny.yaml --out tiny.yaml/rec", nil, 2, `--out: .*tiny.yaml`},
		{"where nobody can write", "run tiny.yaml --out /proc/rec", nil, 2, `--out: /proc cannot be written to`},
		{"a cache where nobody can write", "run tiny.yaml", func(_ *testing.T, s *sandbox) {
			s.env = append(s.env, "SHAKEDOWN_CACHE=/proc/shakedown")
		}, 3, `making the cache folder.*/proc/shakedown`},
		{"a cache whose path is too long", "run tiny.yaml", func(_ *testing.T, s *sandbox) {
			s.env = append(s.env, "SHAKEDOWN_CACHE="+s.cache+"/"+strings.Repeat("x", 60))
		}, 3, `unix sockets below it allow.*SHAKEDOWN_CACHE`},
		{"a broken server program", "run tiny.yaml", func(t *testing.T, s *sandbox) {
			t.Helper()
			s.write("bin/redis-server", "#!/bin/sh\nexit 1\n")
			if err := os.Chmod(filepath.Join(s.dir, "bin/redis-server"), 0o755); err != nil {
				t.Fatal(err)
			}
			s.env = append(s.env, "PATH="+filepath.Join(s.dir, "bin")+":"+os.Getenv("PATH"))
		}, 3, `redis-server for its version`},
	})
}

func TestATelemetryAddressThatCannotBeUsedIsRefused(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = ln.Close() }()
	refuse(t, []refusal{
		{"taken", "run tiny.yaml --telemetry " + ln.Addr().String(), nil, 2, `telemetry: .*address already in use`},
		{"not loopback", "run tiny.yaml --telemetry 0.0.0.0:0", nil, 2, `telemetry: .*not loopback`},
		{"no address", "run tiny.yaml --telemetry here", nil, 2, `telemetry: address "here"`},
	})
}

// TestAMissingServerIsNamed hides redis-server in a mount namespace. Where none can be made, the tests of package stack and the
// broken program above have to do.
func TestAMissingServerIsNamed(t *testing.T) {
	s := newSandbox(t)
	cmd := s.command("run", "tiny.yaml")
	const hide = `for p in /usr/bin/redis-server /usr/local/bin/redis-server; do
		[ ! -e "$p" ] || mount --bind /dev/null "$p" || exit 99; done; PATH=/nonexistent; exec "$@"`
	hidden := exec.Command("unshare", append([]string{"--mount", "sh", "-c", hide, "sh"}, cmd.Args...)...)
	var stderr bytes.Buffer
	hidden.Dir, hidden.Env, hidden.Stderr = cmd.Dir, cmd.Env, &stderr
	err := hidden.Run()
	if code := hidden.ProcessState.ExitCode(); code == 99 || code == 1 {
		t.Logf("no mount namespace here: %v: %s", err, stderr.String())
		return
	}
	got := ended{hidden.ProcessState.ExitCode(), "", stderr.String()}
	want := `^shakedown: redis is not installed .*apt-get install redis-server.*--redis-url\n$`
	if got.code != 3 || !regexp.MustCompile(want).MatchString(got.stderr) {
		t.Errorf("want exit code 3 and one line that says how to install it, got %v", got)
	}
	if left := append(s.left(), tree(t, s.dir)[2:]...); len(left) > 0 {
		t.Errorf("left: %q", left)
	}
}

// TestAFullDiskIsRefused needs a disk to fill: a small one in memory, which root may mount. Where that is not allowed, the test of
// package exit on ENOSPC has to do.
func TestAFullDiskIsRefused(t *testing.T) {
	s := newSandbox(t)
	disk := filepath.Join(s.dir, "disk")
	if err := os.Mkdir(disk, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mount("tmpfs", disk, "tmpfs", 0, "size=64k"); err != nil {
		t.Logf("no disk to fill: %v", err)
		return
	}
	defer func() {
		if err := unix.Unmount(disk, unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	}()
	got := s.run("run", "tiny.yaml", "--out", "disk/rec")
	if got.code != 3 || strings.Count(got.stderr, "\n") != 1 || !strings.Contains(got.stderr, "no space left on device") {
		t.Errorf("want exit code 3 and one line, got %v", got)
	}
	if left := append(s.left(), tree(t, disk)[1:]...); len(left) > 0 {
		t.Errorf("left: %q", left)
	}
}
