// Package session goes from what the user typed to experiments that are ready to run: names or files, overrides, --quick,
// and every check that can be made before anything starts. It starts nothing itself; the commands call it.
package session

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"shakedown/bench"
	"shakedown/bench/measure"
	"shakedown/bench/run"
	"shakedown/internal/allow"
	"shakedown/internal/specfile"
	"shakedown/internal/stack"
	"shakedown/targets/catalog"
	"shakedown/targets/serve"
)

// Request is what the user asked for.
type Request struct {
	Experiments []string // names, or paths of YAML files
	Quick       bool
	Variants    []string
	Params      []string // key=value
	Out         string
	Attach      map[string]string // engine → URL; an empty URL is none
	AllowTarget []string          // hosts, beside loopback, that may get load and faults
}

// Job is one experiment, ready to run.
type Job struct {
	Name       string // as it was typed: of the catalog, or a file
	Pattern    bench.Pattern
	Experiment bench.Experiment
	Claims     []bench.Claim
	Out        string
	Attach     map[string]string
}

// Prepare resolves the request. Every error is a *run.InputError of one line.
func Prepare(r Request, now time.Time) ([]Job, error) {
	if len(r.Experiments) == 0 {
		return nil, bad("say which experiment to run; `shakedown list` shows them")
	}
	var jobs []Job
	for _, name := range r.Experiments {
		job, err := prepare(r, name)
		if err != nil {
			return nil, &run.InputError{Err: err}
		}
		if slices.ContainsFunc(jobs, func(j Job) bool { return j.Experiment.Name == job.Experiment.Name }) {
			return nil, bad("%s is to be run twice, which would be recorded in one place; run it with --repeats, or one after the other", job.Experiment.Name)
		}
		jobs = append(jobs, job)
	}
	if err := attach(jobs, r); err != nil {
		return nil, err
	}
	for i := range jobs {
		jobs[i].Out = outDir(r.Out, jobs[i].Experiment.Name, len(jobs), now)
		if err := writable(jobs[i].Out); err != nil {
			return nil, err
		}
	}
	return jobs, nil
}

func prepare(r Request, name string) (Job, error) {
	pattern, experiment, err := find(name)
	if err != nil {
		return Job{}, err
	}
	if experiment, err = experiment.Clone(); err != nil {
		return Job{}, err
	}
	if err := Check(pattern, experiment); err != nil {
		return Job{}, err
	}
	if r.Quick {
		experiment.Quicken()
	}
	for _, p := range r.Params {
		key, value, ok := strings.Cut(p, "=")
		if !ok || key == "" {
			return Job{}, fmt.Errorf("-p %s: write key=value", p)
		}
		if err := experiment.Set(key, value, fieldsOf(pattern, experiment)); err != nil {
			return Job{}, err
		}
	}
	if len(r.Variants) > 0 {
		if err := experiment.Only(r.Variants); err != nil {
			return Job{}, err
		}
	}
	claims, err := catalog.Claims(experiment)
	if err != nil {
		return Job{}, err
	}
	return Job{Name: name, Pattern: pattern, Experiment: experiment, Claims: claims}, checkBuild(pattern, experiment)
}

// find is an experiment of the catalog, or one in a file.
func find(name string) (bench.Pattern, bench.Experiment, error) {
	if !strings.HasSuffix(name, ".yaml") && !strings.HasSuffix(name, ".yml") {
		return catalog.Experiment(name)
	}
	e, err := specfile.Read(name)
	if err != nil {
		return bench.Pattern{}, e, err
	}
	p, err := catalog.PatternOf(e.Name)
	if err != nil {
		return p, e, fmt.Errorf("%s: name: %w", name, err)
	}
	return p, e, nil
}

// Check finds whatever can be found wrong with a whole experiment without starting anything.
func Check(p bench.Pattern, e bench.Experiment) error {
	if err := checkBuild(p, e); err != nil {
		return err
	}
	return oneLine(e.Name, errors.Join(checkQueries(e)...))
}

// checkBuild looks at what is run. It holds for a part of an experiment too, whose checks may name variants and levels that
// --quick or --variant left out: their verdict is unknown then.
func checkBuild(p bench.Pattern, e bench.Experiment) error {
	if err := e.Validate(); err != nil {
		return oneLine(e.Name, err)
	}
	role, err := driven(p, e)
	if err != nil {
		return oneLine(e.Name, err)
	}
	var errs []error
	for _, l := range e.LevelList() {
		for _, v := range e.Variants {
			if !l.Runs(v.Name) {
				continue
			}
			raw, err := bench.MarshalConfig(v.Config, l.Config)
			if err == nil {
				err = serve.CheckConfig(role, raw)
			}
			if err != nil {
				errs = append(errs, fmt.Errorf("variant %s: %w", v.Name, err))
			}
		}
	}
	for _, b := range e.Backends {
		role, ok := p.Roles[b.Role]
		if !ok {
			errs = append(errs, fmt.Errorf("backends: %s has no role %q", p.Name, b.Role))
			continue
		}
		if err := checkBackend(e, b, role); err != nil {
			errs = append(errs, fmt.Errorf("backend %s: %w", b.Role, err))
		}
	}
	return oneLine(e.Name, errors.Join(errs...))
}

// checkBackend looks at every configuration that the backend is built from in some trial.
func checkBackend(e bench.Experiment, b bench.Backend, role bench.Role) error {
	for _, l := range e.LevelList() {
		for _, v := range e.Variants {
			raw, err := b.ConfigAt(l, v)
			if err == nil {
				err = serve.CheckConfig(role, raw)
			}
			if err != nil {
				return err
			}
		}
	}
	return nil
}

// checkQueries makes sure that every number that is asked for is one that can be measured.
func checkQueries(e bench.Experiment) []error {
	var errs []error
	ask := func(at string, q bench.Query) {
		if err := measure.Validate(q, e); err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", at, err))
		}
	}
	for _, c := range e.Columns {
		ask("column "+c.Title, c.Of)
	}
	for _, s := range e.Sweeps {
		ask("sweep "+s.Title, s.Of)
	}
	for _, c := range e.Checks {
		ask("check of "+c.Claim, c.Of)
		if c.Versus != nil {
			ask("check of "+c.Claim, *c.Versus)
		}
	}
	return errs
}

// driven is what the variants configure: the service, or the probe that stands in its place.
func driven(p bench.Pattern, e bench.Experiment) (bench.Role, error) {
	if !e.Probes() {
		return p.Roles[bench.ServiceRole], nil
	}
	probe, ok := p.Probes[e.Probe]
	if !ok {
		return bench.Role{}, fmt.Errorf("probe: %s has no probe %q", p.Name, e.Probe)
	}
	return bench.Role{Config: probe.Config}, nil
}

func fieldsOf(p bench.Pattern, e bench.Experiment) func(role string) []string {
	return func(name string) []string {
		role, err := driven(p, e)
		if name != bench.ServiceRole || err != nil {
			role = p.Roles[name]
		}
		return serve.Fields(role)
	}
}

// attach gives each job the servers that its experiment uses, and refuses those that nobody uses or that are not allowed.
func attach(jobs []Job, r Request) error {
	for engine, address := range r.Attach {
		if address == "" {
			continue
		}
		if err := allowed(engine, address, r.AllowTarget); err != nil {
			return &run.InputError{Err: err}
		}
		used := false
		for i := range jobs {
			for _, spec := range jobs[i].Experiment.AllEngines() {
				if spec.Name != engine {
					continue
				}
				if jobs[i].Attach == nil {
					jobs[i].Attach = map[string]string{}
				}
				jobs[i].Attach[engine] = address
				used = true
			}
		}
		if !used {
			return bad("--%s-url: none of the experiments uses %s", engine, engine)
		}
	}
	return nil
}

// allowed refuses to act on a machine that the user did not name: load and faults hurt. Every host that the client may dial
// counts, wherever in the address it stands.
func allowed(engine, address string, named []string) error {
	kind, err := stack.Lookup(engine)
	if err != nil {
		return err
	}
	hosts, err := kind.Hosts(address)
	if err != nil {
		return fmt.Errorf("--%s-url: %w", engine, err)
	}
	return allow.Hosts("--"+engine+"-url", hosts, named)
}

// outDir is where a job's recording goes: below --out when there are several.
func outDir(out, experiment string, jobs int, now time.Time) string {
	flat := strings.ReplaceAll(experiment, "/", "-")
	switch {
	case out == "":
		return filepath.Join("runs", now.Format("20060102-150405")+"-"+flat)
	case jobs > 1:
		return filepath.Join(out, flat)
	default:
		return out
	}
}

// writable finds out early whether the recording can be written, without leaving anything.
func writable(dir string) error {
	if entries, err := os.ReadDir(dir); err == nil && len(entries) > 0 {
		return bad("--out: %s is not empty; a recording is never written over", dir)
	}
	for parent := filepath.Clean(dir); ; parent = filepath.Dir(parent) {
		info, err := os.Stat(parent)
		if errors.Is(err, os.ErrNotExist) && parent != filepath.Dir(parent) {
			continue
		}
		if err != nil {
			return bad("--out: %v", err)
		}
		if !info.IsDir() {
			return bad("--out: %s is not a directory", parent)
		}
		probe, err := os.CreateTemp(parent, ".shakedown-*")
		if err != nil {
			return bad("--out: %s cannot be written to: %v", parent, errors.Unwrap(err))
		}
		_, err = probe.Write(make([]byte, leastSpace))
		if err := errors.Join(err, probe.Close(), os.Remove(probe.Name())); err != nil {
			return &run.EnvironmentError{Err: fmt.Errorf("--out: %w", err)}
		}
		return nil
	}
}

// leastSpace is what any recording needs on its disk; where there is less, nothing is begun.
const leastSpace = 256 << 10

func bad(format string, args ...any) error {
	return &run.InputError{Err: fmt.Errorf(format, args...)}
}

// oneLine puts everything that is wrong into one line.
func oneLine(name string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %s", name, strings.ReplaceAll(err.Error(), "\n", "; "))
}
