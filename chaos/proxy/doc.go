// Package proxy owns the proxy that every dependency edge of a run passes through, and what effects do to connections and
// bytes, and to datagrams. It must never know which pattern, engine or fault it serves: it sees links, connections and
// effects. Package api serves it to other processes, and the command `shakedown chaos serve` runs that.
//
// A loop is a thread that owns connections whole, with both sockets and both directions, so that a byte crosses the proxy
// without a lock, a hand-off or the Go scheduler. What changes from outside, an effect that comes or goes, is an order that
// the loop carries out between two events.
package proxy
