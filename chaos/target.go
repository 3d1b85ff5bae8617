package chaos

import (
	"errors"
	"fmt"
	"strings"
)

// Namer is a Surface that can list what it has, so that an error can say what would have worked.
type Namer interface {
	Names() (links, processes []string)
}

// arrow writes the name of an edge with "→", however it was typed.
func arrow(name string) string { return strings.ReplaceAll(strings.TrimSpace(name), "->", "→") }

// checkLinkName says what is wrong with the name of a link: it is that of an edge of a run, service→redis, or one that the
// user of a standalone proxy chose, redis. Whether there is such a link only a surface knows.
func checkLinkName(name string) error {
	if name == "" {
		return errors.New("link is missing; write it as service→redis or service->redis")
	}
	from, to, edge := strings.Cut(arrow(name), "→")
	if edge && (from == "" || to == "") {
		return fmt.Errorf("link %q is not an edge; write it as service→redis or service->redis", name)
	}
	return nil
}

// linksOf resolves the name of an edge; none is an error.
func linksOf(s Surface, name string) ([]Link, error) {
	if links := s.Links(arrow(name)); len(links) > 0 {
		return links, nil
	}
	names := func(n Namer) []string { links, _ := n.Names(); return links }
	return nil, fmt.Errorf("no link %s%s", arrow(name), present(s, names))
}

// processesOf resolves the name of a process; none is an error.
func processesOf(s Surface, name string) ([]Process, error) {
	if procs := s.Processes(name); len(procs) > 0 {
		return procs, nil
	}
	names := func(n Namer) []string { _, procs := n.Names(); return procs }
	return nil, fmt.Errorf("no process %s%s", name, present(s, names))
}

// present says what the surface has in place of a missing name, where it can tell.
func present(s Surface, names func(Namer) []string) string {
	n, ok := s.(Namer)
	if !ok {
		return ""
	}
	have := names(n)
	if len(have) == 0 {
		return "; this run has none"
	}
	return "; this run has " + strings.Join(have, ", ")
}

func (d Direction) validate() error {
	switch d {
	case Both, Upstream, Downstream:
		return nil
	}
	return fmt.Errorf("direction %q is unknown; it is upstream, downstream, or left out for both", d)
}

// ways is the number of directions that d stands for.
func (d Direction) ways() int {
	if d == Both {
		return 2
	}
	return 1
}

// where names the direction behind a quantity: "20ms each way on", "20ms upstream on".
func (d Direction) where() string {
	if d == Both {
		return "each way on"
	}
	return string(d) + " on"
}
