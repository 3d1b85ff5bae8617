// Loadbench compares shakedown's generator with its peers on this machine, in one go, and writes docs/benchmarks/load.md. `make bench-load`
// calls it. Each experiment measures one promise of the generator; it states the bound beside what was measured, met or not. It is not part
// of shakedown, and drives bin/shakedown as it drives the others: as a program.
package main
