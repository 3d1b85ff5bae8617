package loadrun

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"syscall"

	"shakedown/bench/load"
	"shakedown/bench/load/pgclient"
	"shakedown/bench/load/redisclient"
	"shakedown/bench/run"
)

// connect makes the client that sends what no event loop can.
func (j *job) connect(ctx context.Context) (c load.Client, end func(), err error) {
	t := j.first()
	ctx, cancel := context.WithTimeout(ctx, knock)
	defer cancel()
	switch t.proto {
	case protoPostgres:
		pg, err := pgclient.New(ctx, t.url, pgclient.Options{MaxConns: j.connections()}, j.work)
		if err != nil {
			return nil, nil, t.turnedAway(err)
		}
		return pg, pg.Close, nil
	case protoRedis:
		rd, err := redisclient.New(ctx, t.url, redisclient.Options{MaxConns: j.connections()}, j.work)
		if err != nil {
			return nil, nil, t.turnedAway(err)
		}
		return rd, rd.Close, nil
	default:
		h, err := load.NewHTTPClientWith(load.HTTPOptions{Connections: j.o.Connections, HTTP2: j.http2(), TLS: j.config}, j.bases()...)
		if err != nil {
			return nil, nil, err
		}
		return h, h.Close, nil
	}
}

// connections is the most that there can be; 0: as many as it takes.
func (j *job) connections() int {
	switch {
	case j.o.Connections > 0:
		return j.o.Connections
	case j.first().proto == protoPostgres:
		return pgclient.DefaultConns
	case j.first().proto == protoRedis:
		return redisclient.DefaultConns
	default:
		return 0
	}
}

// bases are the URLs that paths are appended to.
func (j *job) bases() []string {
	var all []string
	for _, t := range j.targets {
		base := t.server()
		if j.o.Requests != "" {
			base += strings.TrimSuffix(t.path, "/")
		}
		all = append(all, base)
	}
	return all
}

// turnedAway is a first contact with a database that failed: for want of a server, or because of what was asked of it.
func (t target) turnedAway(err error) error {
	var network *net.OpError
	var dns *net.DNSError
	var errno syscall.Errno
	said := fmt.Errorf("%s: %w", t.said, err)
	switch {
	case errors.As(err, &dns), errors.As(err, &errno), errors.As(err, &network) && network.Op == "dial":
		return &run.EnvironmentError{Err: fmt.Errorf("%s: %w", t.said, unreachable(err))}
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, os.ErrDeadlineExceeded):
		return &run.EnvironmentError{Err: said}
	default:
		return &run.InputError{Err: said}
	}
}
