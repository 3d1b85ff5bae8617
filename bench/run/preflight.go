package run

import (
	"fmt"

	"shakedown/bench"
	"shakedown/chaos"
	"shakedown/internal/needs"
	"shakedown/internal/stack"
)

// checkFaults makes sure, before anything starts, that every fault of the experiment has something to act on, and that this
// machine has what the fault needs. A server that the user gave is no process of the run: nothing may kill it.
func checkFaults(e bench.Experiment, sources map[string]engineSource) error {
	for _, level := range e.LevelList() {
		for _, v := range e.Variants {
			if !level.Runs(v.Name) {
				continue
			}
			s := plannedSurface(e, level, v, sources)
			for _, p := range e.PhasesAt(level) {
				if err := checkEach(p.AllFaults(), s); err != nil {
					return fmt.Errorf("%s, phase %s: %w", e.Name, p.Name, err)
				}
			}
			if err := checkEach(networkAt(e, level), s); err != nil {
				return fmt.Errorf("%s, network: %w", e.Name, err)
			}
		}
	}
	return nil
}

func checkEach(faults chaos.Faults, s *surface) error {
	for _, f := range faults {
		if err := f.Available(s); err != nil {
			return &InputError{fmt.Errorf("fault %s: %w", f, err)}
		}
		if err := needs.Check(f); err != nil {
			return &EnvironmentError{fmt.Errorf("fault %s: %w", f, err)}
		}
	}
	return nil
}

func networkAt(e bench.Experiment, level bench.Level) chaos.Faults {
	if level.Network != nil {
		return level.Network
	}
	return e.Network
}

// plannedSurface has the names of all that a trial will have, and nothing behind them.
func plannedSurface(e bench.Experiment, level bench.Level, v bench.Variant, sources map[string]engineSource) *surface {
	s := &surface{}
	link := func(from, to string) plannedLink {
		return plannedLink{name: linkName(from, to), protocol: spoken(e, to)}
	}
	for _, spec := range e.EnginesAt(level, v) {
		if given := sources[spec.Name].given; given != nil {
			s.engines = append(s.engines, given) // no process of the run, though some of its levers may be pulled
		} else {
			s.planEngine(spec, link)
		}
	}
	behind := engineNames(e, level, v)
	for _, b := range e.Backends {
		s.plan(b.Role, max(b.Instances, 1), behind, link)
	}
	for _, b := range e.Backends {
		behind = append(behind, backendNames(b)...)
	}
	s.plan(bench.ServiceRole, max(v.Instances, 1), behind, link)
	if e.Isolation == bench.Namespaces {
		for _, p := range s.processes {
			s.hosts = append(s.hosts, plannedHost{name: p.Name()})
		}
	}
	if e.Direct {
		s.links = nil
	}
	return s
}

// planEngine plans a server and its replicas, and the links by which each reaches each other.
func (s *surface) planEngine(spec bench.EngineSpec, link func(from, to string) plannedLink) {
	members := []string{spec.Name}
	for n := range spec.Replicas {
		members = append(members, stack.ReplicaName(spec.Name, n))
	}
	for _, name := range members {
		s.processes = append(s.processes, namedProcess{roleOf(name), plannedProcess{name: name, skew: stack.ClockFault(spec.Name)}})
		if spec.Disk && name == spec.Name {
			s.disks = append(s.disks, plannedDisk{name: name})
		}
		s.engines = append(s.engines, plannedEngine{name: name, kind: spec.Name})
		for _, to := range members {
			if to != name {
				s.links = append(s.links, link(name, to))
			}
		}
	}
	for n := 1; n < spec.Members; n++ {
		name := stack.MemberName(spec.Name, n)
		s.processes = append(s.processes, namedProcess{roleOf(name), plannedProcess{name: name, skew: stack.ClockFault(spec.Name)}})
		if spec.Disk {
			s.disks = append(s.disks, plannedDisk{name: name})
		}
		s.engines = append(s.engines, plannedEngine{name: name, kind: spec.Name})
	}
	if spec.Pooler != nil {
		name := stack.PoolerName(spec.Name)
		s.processes = append(s.processes, namedProcess{roleOf(name), plannedProcess{name: name, skew: errNoClock}})
		s.engines = append(s.engines, plannedEngine{name: name, kind: name})
		s.links = append(s.links, link(name, spec.Name))
	}
}

func (s *surface) plan(role string, n int, behind []string, link func(from, to string) plannedLink) {
	for i := range n {
		name := bench.InstanceName(role, i)
		s.processes = append(s.processes, namedProcess{role, plannedProcess{name: name, skew: errNoClock}})
		for _, to := range behind {
			s.links = append(s.links, link(name, to))
		}
	}
}

// backendNames are the names under which services reach a backend: that of its role, or of each instance of several.
func backendNames(b bench.Backend) []string {
	if b.Instances <= 1 {
		return []string{b.Role}
	}
	var names []string
	for i := range b.Instances {
		names = append(names, bench.InstanceName(b.Role, i))
	}
	return names
}

type plannedDisk struct {
	chaos.Disk
	name string
}

func (d plannedDisk) Name() string { return d.name }

type plannedLink struct {
	chaos.RuleLink
	name     string
	protocol chaos.Protocol
}

func (l plannedLink) Name() string { return l.name }

// Protocol is what the link will speak if a fault wants it to.
func (l plannedLink) Protocol() chaos.Protocol { return l.protocol }

// plannedProcess can do all that faults may ask of a process, once it is there.
type plannedProcess struct {
	chaos.Subject
	name string
	skew error // why its clock cannot be changed
}

func (p plannedProcess) Name() string { return p.name }

func (p plannedProcess) CanSkew() error { return p.skew }

// plannedEngine will be a server of the run.
type plannedEngine struct{ name, kind string }

func (e plannedEngine) Name() string { return e.name }
func (e plannedEngine) Kind() string { return e.kind }
func (plannedEngine) Ours() error    { return nil }
