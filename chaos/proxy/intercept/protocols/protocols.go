// Package protocols is the list of the protocols that are understood: adding one is one package beside this and one line here.
// It decides nothing; whoever makes a proxy gives the list to it.
package protocols

import (
	"shakedown/chaos"
	"shakedown/chaos/proxy/intercept"
	"shakedown/chaos/proxy/intercept/http1"
	"shakedown/chaos/proxy/intercept/postgres"
	"shakedown/chaos/proxy/intercept/resp"
)

// All make the inspector of a link, by the protocol that the link speaks.
func All() map[chaos.Protocol]func(link string) intercept.Inspector {
	return map[chaos.Protocol]func(string) intercept.Inspector{
		chaos.PostgreSQL: func(link string) intercept.Inspector { return postgres.New(link) },
		chaos.Redis:      func(link string) intercept.Inspector { return resp.New(link) },
		chaos.HTTP:       func(link string) intercept.Inspector { return http1.New(link) },
	}
}
