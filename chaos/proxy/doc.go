// Package proxy owns the TCP proxy that every dependency edge of a run passes through, and what effects do to
// bytes: delay, limit, hold, reset. It must never know which pattern, engine or fault it serves: it sees links,
// connections and effects. Package api serves it to other processes, and the command `shakedown chaos serve` runs that.
package proxy
