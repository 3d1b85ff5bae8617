// Package serve owns what every reference service shares: the HTTP server with its health, metrics and profiles, the
// mapping of answers and errors to status and headers, instrumented pools and clients, spans, and seeded randomness.
// It must never know a pattern, an experiment or how a verdict is reached; it states facts and leaves judging to others.
// Patterns under targets call it to build their roles, and `shakedown target` calls Main to run one in a process.
package serve
