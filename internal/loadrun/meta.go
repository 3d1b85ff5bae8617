package loadrun

import (
	"fmt"
	"strings"

	"shakedown/bench/load/result"
	"shakedown/bench/load/wire"
	"shakedown/bench/run"
	"shakedown/internal/version"
)

// meta is what is known of a load beside its statistics.
func (j *job) meta(t trial, rec *recording) result.Meta {
	h := run.Machine()
	m := result.Meta{
		Target: j.said(), Arrival: t.shape.String(), Client: j.sender(), Closed: t.shape.closed != nil, Measured: t.measured, Warmup: t.shape.warmup,
		Timeout: j.o.Timeout, Connections: j.connections(), Seed: j.o.Seed, Ops: j.work.Names(), VoidReasons: t.void, Aborted: t.aborted,
		CeilingPerS: j.ceilingPerS, Machine: result.Machine{Cores: h.Cores, CPU: h.CPU, Kernel: h.Kernel}, Version: version.String(),
		Started: rec.started,
	}
	for _, f := range t.found {
		term := result.Term{Term: f.String(), AtLeast: f.AtLeast, Met: f.Met}
		if f.Known {
			term.Value = &f.Value
		}
		m.SLO = append(m.SLO, term)
	}
	return m
}

// said are the URLs, without passwords.
func (j *job) said() string {
	var all []string
	for _, t := range j.targets {
		all = append(all, t.said)
	}
	return strings.Join(all, " ")
}

// sender is what sends the load, in words.
func (j *job) sender() string {
	http := map[bool]string{true: "HTTP/2", false: "HTTP/1.1"}[j.http2()]
	switch t := j.first(); {
	case t.proto == protoPostgres:
		return "pgx"
	case t.proto == protoRedis:
		return "go-redis"
	case !j.plain():
		return http + " by net/http"
	case j.o.Loops > 1:
		return fmt.Sprintf("%s by %d event loops (%s)", http, j.o.Loops, wire.Backend(j.o.Backend).Chosen())
	default:
		return fmt.Sprintf("%s by an event loop (%s)", http, wire.Backend(j.o.Backend).Chosen())
	}
}
