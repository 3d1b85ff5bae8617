package api

import (
	"shakedown/chaos"
	"shakedown/chaos/proxy"
	"shakedown/internal/units"
)

// LinkSpec says where a link listens and where it leads.
type LinkSpec = proxy.Spec

// LinkInfo is a link as the API shows it.
type LinkInfo struct {
	LinkSpec
	Addr    string                  `json:"addr"` // what the link listens on
	Effects map[string]chaos.Effect `json:"effects,omitempty"`
}

// Hello is the line that the proxy process prints once it listens.
type Hello struct {
	Control string `json:"control"` // "http://127.0.0.1:PORT"
	Token   string `json:"token"`
}

type probeRequest struct {
	GiveUp units.Duration `json:"give_up"`
}

type errorBody struct {
	Error string `json:"error"`
}
