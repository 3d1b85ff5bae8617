// Package server owns the servers that the benchmark of the generator asks, each of which knows what a request must have taken: one that
// freezes, one that is a queue, one that never answers. An event loop answers all of them, at times that a Behaviour gives; nothing is
// computed meanwhile. It knows nothing of generators; the benchmark starts it as a process of its own.
package server
