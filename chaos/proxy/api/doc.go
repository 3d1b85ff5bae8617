// Package api owns the control API of the proxy: HTTP on loopback, behind a token, and the client of it whose links
// are chaos.Links in another process. It must never decide what an effect does to bytes, which is package proxy's.
// The command `shakedown chaos serve` runs the server, and the orchestrator and `shakedown chaos` use the client.
//
// The proxy of a run wants "Authorization: Bearer TOKEN" with every request; see Guard. Names and ids are path-escaped; bodies
// are JSON; errors are {"error": "…", "status": 400}.
//
//	GET    /v1/links                      all links
//	PUT    /v1/links/{name}               create: {"network": "tcp", "address": "127.0.0.1:6379"}
//	GET    /v1/links/{name}               address, effects in force
//	DELETE /v1/links/{name}               close it and its connections
//	PUT    /v1/links/{name}/effects/{id}  put an effect in force: {"delay": "20ms"}
//	DELETE /v1/links/{name}/effects/{id}  clear it
//	POST   /v1/links/{name}/probe         send a probe: {"give_up": "1s"}
//	GET    /v1/links/{name}/counters      cumulative counters
//	GET    /v1/links/{name}/rules         rules in force about single messages, of a link with a protocol
//	PUT    /v1/links/{name}/rules/{id}    put a rule in force: {"redis": {"command": "SET", "error": "OOM no"}}
//	GET    /v1/links/{name}/rules/{id}    what it has seen and done
//	DELETE /v1/links/{name}/rules/{id}    clear it
//	GET    /v1/faults                     faults that were injected, and what they did
//	POST   /v1/faults                     inject and prove: {"fault": {"kind": "latency", …}, "for": "30s"}
//	GET    /v1/faults/{id}                one of them
//	DELETE /v1/faults/{id}                heal it, and prove it gone; repeating it is no error
//	GET    /metrics                       the same, and what is in force, for Prometheus
package api
