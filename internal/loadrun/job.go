package loadrun

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"math"
	"runtime"
	"slices"

	"shakedown/bench/load"
	"shakedown/bench/load/mix"
	"shakedown/bench/load/wire"
	"shakedown/bench/run"
	"shakedown/internal/allow"
)

// A job is a load that makes sense and may be run.
type job struct {
	o       Options
	targets []target
	shape   shape
	slo     SLO
	work    *mix.Requests
	config  *tls.Config
	client  load.Client // nil where event loops send
	end     func()      // of the client
	guard   int         // the most requests in flight
	cores   int         // that this process may run on
	machine int         // cores of the machine
	notes   []string    // that the user should read

	ceilingPerS float64 // 0: not calibrated
}

// newJob makes sense of the flags, and finds whatever can be found wrong with them without touching the network.
func newJob(o Options, in io.Reader) (*job, error) {
	if err := o.check(); err != nil {
		return nil, err
	}
	j := &job{o: o, cores: runtime.NumCPU(), end: func() {}}
	var err error
	if j.targets, err = parseTargets(o); err != nil {
		return nil, err
	}
	if err := o.fits(j.first()); err != nil {
		return nil, err
	}
	if j.shape, err = newShape(o); err != nil {
		return nil, err
	}
	if j.shape.said != "" {
		j.note("%s", j.shape.said)
	}
	if o.Search && !j.shape.searchable() {
		return nil, fmt.Errorf("--search tries one rate after another; its arrivals are poisson or constant, not a %s", j.shape.kind)
	}
	if o.SLO != "" {
		if j.slo, err = ParseSLO(o.SLO); err != nil {
			return nil, fmt.Errorf("--slo: %w", err)
		}
	}
	if least := o.Loops * len(j.targets); o.Connections > 0 && o.Connections < least {
		return nil, fmt.Errorf("--connections %d: %d event loops to %d URLs need as many", o.Connections, o.Loops, len(j.targets))
	}
	if j.first().secure {
		if j.config, err = tlsConfig(o); err != nil {
			return nil, err
		}
	}
	if j.work, err = newRequests(o, j.targets, in); err != nil {
		return nil, err
	}
	return j, nil
}

func (j *job) first() target { return j.targets[0] }

func (j *job) http2() bool { return j.o.HTTP2 || j.first().http2 }

// plain says whether the event loops can send the load.
func (j *job) plain() bool {
	return j.first().proto == protoHTTP && !j.first().secure && !j.http2() && j.o.Backend != netHTTP
}

func (j *job) note(format string, args ...any) {
	j.notes = append(j.notes, fmt.Sprintf(format, args...))
}

// open reaches the servers and makes the client.
func (j *job) open(ctx context.Context) (err error) {
	if j.machine, err = machineCores(); err != nil {
		return &run.EnvironmentError{Err: err}
	}
	if err := j.fit(); err != nil {
		return &run.EnvironmentError{Err: err}
	}
	if err := reach(ctx, j.targets, j.o, j.config); err != nil {
		return err
	}
	if j.plain() {
		return nil
	}
	if j.client, j.end, err = j.connect(ctx); err != nil {
		if ctx.Err() != nil {
			return aborted(ctx)
		}
		return err
	}
	return nil
}

// fit makes room for the connections that the load may come to, and says when there is not enough.
func (j *job) fit() error {
	j.guard = j.o.MaxInFlight
	if j.guard == 0 {
		j.guard = load.DefaultMaxInFlight
	}
	files, err := allowFiles(j.atMost(j.guard))
	if err != nil {
		return err
	}
	need := j.atMost(j.worst())
	if files < need {
		j.note("open files are limited to %d, and the load may come to %d connections; raise the limit (ulimit -n)", files+spareFiles, need)
	}
	if j.o.Connections == 0 {
		j.guard = min(j.guard, files)
	}
	if p := ports() * len(j.targets); need > p && (!j.plain() || !j.loopback()) {
		j.note("this machine has ports for %d connections at a time to these URLs, and the load may come to %d", p, need)
	}
	return nil
}

// atMost is how many connections n requests in flight may have.
func (j *job) atMost(n int) int {
	if j.o.Connections > 0 {
		return min(n, j.o.Connections)
	}
	return n
}

// worst is how many requests are in flight if the server never answers.
func (j *job) worst() int {
	if j.shape.closed != nil {
		return min(j.guard, j.shape.closed.Users)
	}
	return int(min(float64(j.guard), math.Ceil(j.shape.peak()*j.o.Timeout.Seconds())))
}

// loopback says whether every target is on this machine, where connections come from several addresses.
func (j *job) loopback() bool {
	for _, t := range j.targets {
		hosts, err := t.hosts()
		if err != nil || slices.ContainsFunc(hosts, func(h string) bool { return !allow.Loopback(h) }) {
			return false
		}
	}
	return true
}

// wire is a set of event loops towards the targets.
func (j *job) wire() (*load.Wire, error) {
	var to []wire.Target
	for _, t := range j.targets {
		to = append(to, wire.Target{Addr: t.addr})
	}
	return load.NewWire(j.work, load.WireOptions{
		Targets: to, Connections: j.o.Connections, Loops: j.o.Loops, Backend: wire.Backend(j.o.Backend),
		Gather: j.o.Gather,
	})
}
