// Package wire owns the fast HTTP/1.1 client of the generator: event loops that each own a thread, connections and a share of the
// load, and send without asking the Go scheduler. A loop knows when requests are due, when they left and what came back; it never
// knows what the load is for or where its results are kept. Package load drives it, through a Source. It speaks plaintext
// HTTP/1.1 with keep-alive and without pipelining; everything else is the standard library's.
package wire
