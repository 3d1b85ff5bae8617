// Package stack owns the engines, the real servers that services depend on: it finds their programs, starts them in a
// run's directory under a proc.Keeper or attaches to one at an address the user gave, waits until they are healthy, and
// reads their own statistics. It never knows patterns, load or verdicts, and never stops or kills what it did not start.
// The orchestrator calls it; an engine is one file here and one line in the list of kinds.
package stack
