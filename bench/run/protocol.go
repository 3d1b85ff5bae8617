package run

import (
	"strings"

	"shakedown/bench"
	"shakedown/chaos"
)

// protocols are what servers speak, by the name of the engine. A replica, "postgres-replica-0", speaks as its engine.
var protocols = map[string]chaos.Protocol{"postgres": chaos.PostgreSQL, "redis": chaos.Redis}

// spoken is the protocol of the links that lead to an engine or a backend.
func spoken(e bench.Experiment, to string) chaos.Protocol {
	for _, b := range e.Backends {
		if to == b.Role || roleOf(to) == b.Role {
			return chaos.HTTP
		}
	}
	engine, _, _ := strings.Cut(to, "-")
	return protocols[engine]
}

// looksInto is the protocol of a link if a fault of the trial acts on its messages. Else the proxy only moves its bytes, as
// fast as it can.
func (t *trial) looksInto(link, to string) chaos.Protocol {
	faults := append([]chaos.Fault(nil), t.network()...)
	for _, p := range t.phases {
		faults = append(faults, p.AllFaults()...)
	}
	if chaos.ProtocolOf(faults, func(name string) bool { return standsFor(name, link) }) == "" {
		return ""
	}
	return spoken(t.o.Experiment, to)
}
