// Package benchmark is what the programs that compare shakedown with its peers share: the command line, the page that it writes, the machine
// on the page, and what becomes of the numbers of several rounds. It knows nothing of what is measured. bench/load/loadbench and
// chaos/chaosbench are such programs.
package benchmark
