package run

import (
	"strconv"
	"strings"

	"shakedown/chaos"
)

// surface is what the faults of one trial may act on.
type surface struct {
	links     []chaos.Link
	processes []namedProcess
	disks     []chaos.Disk // of engines, by whose names they go
	hosts     []chaos.Host
	engines   []chaos.Engine
}

type namedProcess struct {
	role string // "service"; the name itself for an engine
	chaos.Process
}

var (
	_ chaos.Surface       = (*surface)(nil)
	_ chaos.DiskSurface   = (*surface)(nil)
	_ chaos.Hoster        = (*surface)(nil)
	_ chaos.EngineSurface = (*surface)(nil)
)

// Disks are those of the processes of the given name.
func (s *surface) Disks(name string) []chaos.Disk {
	var found []chaos.Disk
	for _, p := range s.Processes(name) {
		for _, d := range s.disks {
			if d.Name() == p.Name() {
				found = append(found, d)
			}
		}
	}
	return found
}

// Links are the links of the given name; the name of a role stands for all its instances.
func (s *surface) Links(name string) []chaos.Link {
	name = strings.ReplaceAll(name, "->", "→")
	var found []chaos.Link
	for _, l := range s.links {
		if standsFor(name, l.Name()) {
			found = append(found, l)
		}
	}
	return found
}

// Processes are those of the given name; the name of a role stands for all its instances.
func (s *surface) Processes(name string) []chaos.Process {
	var found []chaos.Process
	for _, p := range s.processes {
		if p.Name() == name || p.role == name {
			found = append(found, p.Process)
		}
	}
	return found
}

// Hosts are those of the given name; the name of a role stands for all its instances.
func (s *surface) Hosts(name string) []chaos.Host {
	var found []chaos.Host
	for _, h := range s.hosts {
		if name == chaos.EveryHost || name == h.Name() || name == roleOf(h.Name()) {
			found = append(found, h)
		}
	}
	return found
}

// Engines are those of the given name; "postgres-replica" stands for all replicas.
func (s *surface) Engines(name string) []chaos.Engine {
	var found []chaos.Engine
	for _, e := range s.engines {
		if e.Name() == name || roleOf(e.Name()) == name {
			found = append(found, e)
		}
	}
	return found
}

// EngineNames are all engines.
func (s *surface) EngineNames() []string {
	var names []string
	for _, e := range s.engines {
		names = append(names, e.Name())
	}
	return names
}

// Names are all links and processes, for errors that say what there is.
func (s *surface) Names() (links, processes []string) {
	for _, l := range s.links {
		links = append(links, l.Name())
	}
	for _, p := range s.processes {
		processes = append(processes, p.Name())
	}
	return links, processes
}

// standsFor says whether a name is that of an edge, or of several that the edge is one of: "service→backend" stands for
// "service-0→backend-1".
func standsFor(name, edge string) bool {
	from, to, _ := strings.Cut(edge, "→")
	nameFrom, nameTo, ok := strings.Cut(name, "→")
	return ok && (from == nameFrom || roleOf(from) == nameFrom) && (to == nameTo || roleOf(to) == nameTo)
}

// roleOf is "service" for "service-0", and the name itself for what is not one of several.
func roleOf(instance string) string {
	i := strings.LastIndexByte(instance, '-')
	if i < 0 {
		return instance
	}
	if _, err := strconv.Atoi(instance[i+1:]); err != nil {
		return instance
	}
	return instance[:i]
}

func linkName(instance, to string) string { return instance + "→" + to }
