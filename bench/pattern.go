package bench

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
)

// ServiceRole is the role that load drives. A pattern may have further roles, such as a
// dependency with a finite capacity, which run as processes of their own.
const ServiceRole = "service"

// A Pattern is one entry of the catalog: what is said about it, how it is asked, and how its
// reference services are built.
type Pattern struct {
	Name        string       // "cache/aside"
	Title       string       // "Cache-aside"
	Summary     string       // what the pattern is, in a sentence or two
	Claims      []Claim      // what is said, before anything is run
	Experiments []Experiment // how it is asked
	Roles       map[string]Role
	// Probes are what experiments without a load run, by name.
	Probes map[string]Probe
	// Seed puts the engines in the state that a trial starts from. It is idempotent: whatever an
	// earlier trial left is gone afterwards. env.URLs lead straight to the engines, not through the proxy;
	// config is the variant's.
	Seed func(ctx context.Context, env Env, config json.RawMessage) error
	// Audit, when set, accounts for what users were told, at the end of each trial.
	Audit Auditor
}

// A Role is one kind of process of a pattern.
type Role struct {
	// New builds one process of one variant from the variant's configuration.
	New func(ctx context.Context, env Env, config json.RawMessage) (Service, error)
	// Config is the zero value of the role's configuration struct; its fields, with their JSON names, are
	// what a variant may set. When its pointer has a method Validate() error, that is called too.
	Config any
}

// A Service is one variant in its own process. Serve answers on ln until ctx is done, and returns once
// every goroutine it started has exited.
type Service interface {
	Serve(ctx context.Context, ln net.Listener) error
}

// Env is what a process of a pattern is told about the trial it is part of.
type Env struct {
	Pattern   string `json:"pattern"`
	Role      string `json:"role"`
	Variant   string `json:"variant"`
	Instance  int    `json:"instance"`  // 0-based, within the role
	Instances int    `json:"instances"` // of this role
	Seed      uint64 `json:"seed"`      // of the trial; a service derives its randomness from it and Instance
	// URLs are the addresses of engines and of other roles, by name: "postgres", "redis", "backend".
	// For a service they lead through the chaos proxy.
	URLs map[string]string `json:"urls"`
	// Ops are the names of the workload's operations, by OpID.
	Ops []string `json:"ops,omitempty"`
	// Spans is the path of the file that the process appends its spans to; empty when nothing records.
	Spans string `json:"spans,omitempty"`
	// History is the folder that keeps what processes record of themselves for the pattern's audit; empty when nobody keeps it.
	History string `json:"history,omitempty"`
}

// Name is the name of the instance, "service-0", by which links, processes and logs call it.
func (e Env) Name() string { return InstanceName(e.Role, e.Instance) }

// URL is the address of an engine or role, which the process needs and must have been told.
func (e Env) URL(name string) (string, error) {
	if u := e.URLs[name]; u != "" {
		return u, nil
	}
	return "", fmt.Errorf("%s needs the address of %s, and was not told it", e.Name(), name)
}

// A Claim is a falsifiable sentence about a pattern, with its source. Checks decide it.
type Claim struct {
	ID     string      `json:"id"`   // "cache/aside#5"; stable
	Text   string      `json:"text"` // as folklore words it
	Source string      `json:"source,omitempty"`
	Expect Expectation `json:"expect"`
	// On names the condition that a claim with Expect Depends is expected to depend on.
	On string `json:"on,omitempty"`
}
