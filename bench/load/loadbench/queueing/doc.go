// Package queueing knows what queues do in theory, and simulates them: how long a customer stays in an M/M/c or M/D/1 queue, by formula and
// by recursion. It knows nothing of servers and generators; the benchmark's server gets its times from it, and the benchmark what to expect.
package queueing
