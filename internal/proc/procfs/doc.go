// Package procfs reads what the Linux kernel says of processes in /proc (proc(5)): identity, state, family, environment.
// It only reads: it never starts, signals or waits for anything, and knows nothing of runs or engines.
// Packages proc, workdir and stack call it, so that all three agree on what "the same process" means.
package procfs
