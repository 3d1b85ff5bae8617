package run

import (
	"strings"

	"shakedown/chaos"
)

// surface is what the faults of one trial may act on.
type surface struct {
	links     []chaos.Link
	processes []namedProcess
}

type namedProcess struct {
	role string // "service"; the name itself for an engine
	chaos.Process
}

var _ chaos.Surface = (*surface)(nil)

// Links are the links of the given name; the name of a role stands for all its instances.
func (s *surface) Links(name string) []chaos.Link {
	name = strings.ReplaceAll(name, "->", "→")
	var found []chaos.Link
	for _, l := range s.links {
		if l.Name() == name || roleLink(l.Name()) == name {
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

// roleLink is "service→redis" for "service-0→redis".
func roleLink(name string) string {
	from, to, _ := strings.Cut(name, "→")
	if i := strings.LastIndex(from, "-"); i > 0 {
		from = from[:i]
	}
	return from + "→" + to
}

func linkName(instance, to string) string { return instance + "→" + to }
