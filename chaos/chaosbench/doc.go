// Chaosbench compares shakedown's fault proxy with toxiproxy, with HAProxy in TCP mode and with no proxy on this machine, in
// one go, and writes docs/benchmarks/chaos.md. `make bench-chaos` calls it. It states each promise of the proxy beside what
// was measured, met or not. It is not part of shakedown, and drives bin/shakedown as it drives the others: as a program.
package main
