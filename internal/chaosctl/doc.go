// Package chaosctl owns the commands that talk to a proxy that stands alone: from what was typed to faults in force, what
// was seen of them, and the exit code. It must never shape a link by itself; faults do, inside the daemon.
package chaosctl
