// Package peer knows load generators, shakedown's own among them: how each is told to send a load, and how what it says is read. It knows
// nothing of what they are compared on; the benchmark runs them.
package peer
