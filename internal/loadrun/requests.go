package loadrun

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"shakedown/bench/load/mix"
)

// newRequests compiles what the load asks for: a file of requests, or the one that the flags describe.
func newRequests(o Options, targets []target, in io.Reader) (*mix.Requests, error) {
	var to []mix.Target
	for _, t := range targets {
		m := mix.Target{Host: t.host}
		if t.proto == protoHTTP && o.Requests != "" {
			base, err := t.base()
			if err != nil {
				return nil, err
			}
			m.Base = base
		}
		to = append(to, m)
	}
	if o.Requests == "" {
		op, err := described(o, targets, in)
		if err != nil {
			return nil, err
		}
		m, err := mix.New([]mix.Op{op})
		if err != nil {
			return nil, errors.New(strings.TrimPrefix(err.Error(), op.Name+": "))
		}
		return m.Requests(o.Seed, to...), nil
	}
	m, err := mix.Read(o.Requests)
	if err != nil {
		return nil, fmt.Errorf("--requests: %w", err)
	}
	if t := targets[0]; m.Protocol() != t.proto {
		return nil, fmt.Errorf("--requests %s: asks %s, and %s is %s", o.Requests, protocolNames[m.Protocol()], t.said, protocolNames[t.proto])
	}
	return m.Requests(o.Seed, to...), nil
}

// base is what stands before the paths of a file of requests.
func (t target) base() (string, error) {
	switch {
	case strings.ContainsAny(t.path, "?{}"):
		return "", fmt.Errorf("%s: with --requests the URL is what stands before every path; it has no query and no places", t.said)
	case t.auth != "":
		return "", fmt.Errorf("%s: with --requests the user goes into the file, as a header Authorization", t.said)
	}
	return strings.TrimSuffix(t.path, "/"), nil
}

// described is the operation that single flags describe.
func described(o Options, targets []target, in io.Reader) (mix.Op, error) {
	t := targets[0]
	switch t.proto {
	case protoPostgres:
		return mix.Op{Name: "sql", SQL: o.SQL, Args: o.Args}, nil
	case protoRedis:
		return mix.Op{Name: "command", Command: o.Command}, nil
	}
	op := mix.Op{Name: "request", Method: o.Method, Path: t.path, Body: o.Body}
	var err error
	if op.Header, err = mix.ParseHeader(o.Headers); err != nil {
		return op, fmt.Errorf("--header: %w", err)
	}
	for _, u := range targets {
		if u.auth != t.auth {
			return op, fmt.Errorf("%s and %s: several URLs have one user", t.said, u.said)
		}
	}
	if t.auth != "" {
		if op.Header["Authorization"] != "" {
			return op, fmt.Errorf("%s has a user, and --header Authorization another", t.said)
		}
		op.Header["Authorization"] = t.auth
	}
	if o.BodyFile != "" {
		op.Body, err = readBody(o.BodyFile, in)
	}
	return op, err
}

// readBody reads a file, or what "-" stands for.
func readBody(file string, in io.Reader) (string, error) {
	if file != "-" {
		raw, err := os.ReadFile(file)
		if err != nil {
			return "", fmt.Errorf("--body-file: %w", err)
		}
		return string(raw), nil
	}
	raw, err := io.ReadAll(in)
	if err != nil {
		return "", fmt.Errorf("--body-file -: %w", err)
	}
	return string(raw), nil
}
